//! `--threads`, the same in every command.

use qwarp::{Error, Result};

/// The cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Refuses a number of threads that the cores cannot run at once: those that wait would take turns with those that work.
pub fn check(threads: usize) -> Result<()> {
    let cores = cores();
    if (1..=cores).contains(&threads) {
        return Ok(());
    }
    let expected = format!("1 to {cores}, the cores that this process may use");
    Err(Error::argument("--threads", threads, expected))
}
