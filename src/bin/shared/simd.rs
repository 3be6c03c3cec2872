//! `QWARP_SIMD`: which of the processor's SIMD paths to take. All give the same bits; this one is for measuring and for
//! holding them to that.

use std::env;

use qwarp::backend::cpu::simd::Path;
use qwarp::{Error, Result};

/// The variable.
const VARIABLE: &str = "QWARP_SIMD";

/// The path that `QWARP_SIMD` names, or the fastest if it is not set.
pub fn path() -> Result<Path> {
    let Some(value) = env::var_os(VARIABLE) else {
        return Ok(Path::best());
    };
    let name = value.to_string_lossy();
    Path::from_name(&name).ok_or_else(|| {
        let names: Vec<&str> = Path::available().into_iter().map(Path::name).collect();
        let expected = format!("one of what this processor has: {}", names.join(", "));
        Error::argument(VARIABLE, format!("'{name}'"), expected)
    })
}
