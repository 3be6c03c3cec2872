//! How fast a device copies its own memory: the limit that a step is held against which reads its weights.

use crate::driver::{DevicePtr, Driver, DriverError, EventId};

/// Bytes of each of two buffers, where there is room.
pub const MOST_BYTES: u64 = 256 << 20;
/// Less would stay in the L2 of some card, of which the largest have about 50 MB.
pub const LEAST_BYTES: u64 = 64 << 20;

/// Copies that are timed together.
const COPIES: usize = 8;
/// Buffers start and end with whole lines.
const ALIGN: u64 = 256;

/// Memory for as long as something is measured.
struct Scratch<'a> {
    driver: &'a dyn Driver,
    at: DevicePtr,
}

impl<'a> Scratch<'a> {
    fn new(driver: &'a dyn Driver, bytes: usize) -> Result<Scratch<'a>, DriverError> {
        let at = driver.alloc(bytes)?;
        let scratch = Scratch { driver, at };
        // Written once before it is read.
        driver.fill(at, 0x5a, bytes)?;
        Ok(scratch)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // A device that fails here is lost, and its memory with it.
        let _ = self.driver.free(self.at);
    }
}

/// GB/s of copies between two buffers of `least` to `most` bytes, which are given back. What is read and what is written
/// both count, as in the bandwidth that a card is sold with. None where less than four times `least` is free, or no time passes.
pub fn gb_per_s(
    driver: &dyn Driver,
    [start, end]: [EventId; 2],
    [least, most]: [u64; 2],
) -> Result<Option<f64>, DriverError> {
    // Half of what is free stays free.
    let bytes = (driver.free_bytes()? / 4).min(most) / ALIGN * ALIGN;
    let Ok(len) = usize::try_from(bytes) else {
        return Ok(None);
    };
    if bytes < least.max(1) {
        return Ok(None);
    }
    let from = Scratch::new(driver, len)?;
    let to = Scratch::new(driver, len)?;
    // The first is the warm-up.
    driver.copy_within(from.at, to.at, len)?;
    driver.record(start)?;
    for _ in 0..COPIES {
        driver.copy_within(from.at, to.at, len)?;
    }
    driver.record(end)?;
    let ms = f64::from(driver.elapsed_ms(start, end)?);
    let moved = 2.0 * COPIES as f64 * bytes as f64;
    Ok((ms > 0.0).then(|| moved / ms / 1e6))
}
