//! Parsers with a fault each, on one input in sixty or so: a harness that does not report them is broken.

use std::hint::black_box;
use std::time::Duration;

use qwarp::Result;

/// A sum of the bytes, to pick the faulty inputs.
fn unlucky(bytes: &[u8]) -> bool {
    let sum: u64 = bytes.iter().map(|&byte| u64::from(byte)).sum();
    sum.is_multiple_of(61)
}

/// Panics.
pub fn panics(bytes: &[u8]) -> Result<()> {
    assert!(!unlucky(bytes), "planted");
    Ok(())
}

/// Takes more than any file may.
pub fn allocates(bytes: &[u8]) -> Result<()> {
    if unlucky(bytes) {
        black_box(Vec::<u8>::with_capacity(100 << 20));
    }
    Ok(())
}

/// Does not return.
pub fn hangs(bytes: &[u8]) -> Result<()> {
    while unlucky(bytes) {
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// Ends the process.
pub fn crashes(bytes: &[u8]) -> Result<()> {
    if unlucky(bytes) {
        std::process::abort();
    }
    Ok(())
}
