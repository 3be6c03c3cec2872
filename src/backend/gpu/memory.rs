//! Device memory of one backend: allocated at the start, given back when it is dropped, never in between.

use std::fmt;

use crate::driver::{DevicePtr, Driver, DriverError};

/// A device and what was allocated on it.
pub struct Memory {
    driver: Box<dyn Driver>,
    held: Vec<DevicePtr>,
    bytes: u64,
    sealed: bool,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("device", &self.driver.facts().name)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Memory {
    /// A device with nothing allocated.
    pub fn new(driver: Box<dyn Driver>) -> Memory {
        Memory {
            driver,
            held: Vec::new(),
            bytes: 0,
            sealed: false,
        }
    }

    /// The device.
    pub fn driver(&self) -> &dyn Driver {
        self.driver.as_ref()
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `bytes` bytes that nobody has written; at least one, so that every tensor has an address.
    pub fn alloc(&mut self, bytes: usize) -> Result<DevicePtr, DriverError> {
        debug_assert!(!self.sealed, "{bytes} bytes asked for after the start");
        let ptr = self.driver.alloc(bytes.max(1))?;
        self.held.push(ptr);
        self.bytes += bytes as u64;
        Ok(ptr)
    }

    /// From here on nothing more is allocated, which debug builds assert.
    pub fn seal(&mut self) {
        self.sealed = true;
    }

    /// `parts`, one after the other, on the device.
    pub fn upload(&mut self, parts: &[&[u8]]) -> Result<DevicePtr, DriverError> {
        let start = self.alloc(parts.iter().map(|part| part.len()).sum())?;
        let mut at = start;
        for part in parts {
            self.driver.copy_in(at, part)?;
            at.0 += part.len() as u64;
        }
        Ok(start)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for ptr in self.held.drain(..) {
            // A device that fails here is lost, and its memory with it.
            let _ = self.driver.free(ptr);
        }
    }
}
