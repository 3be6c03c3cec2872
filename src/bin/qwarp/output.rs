//! Text to standard output.

use std::io::Write;

use qwarp::{Error, Result};

/// Writes `text`.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| Error::io("standard output", "write", e))
}
