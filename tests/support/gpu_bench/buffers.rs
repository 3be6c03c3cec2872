//! Device memory of one measurement.

use std::cell::RefCell;

use qwarp::driver::{DevicePtr, DeviceType, Driver, In, InOut, Out, Result};

/// What inputs hold: a small positive number of every type.
const BYTE: u8 = 0x3c;

/// Memory of one measurement, given back when it is dropped.
pub struct Buffers<'a> {
    driver: &'a dyn Driver,
    all: RefCell<Vec<DevicePtr>>,
}

impl<'a> Buffers<'a> {
    /// None yet.
    pub fn new(driver: &'a dyn Driver) -> Self {
        Buffers {
            driver,
            all: RefCell::default(),
        }
    }

    /// Bytes that nobody has written.
    pub fn alloc(&self, bytes: usize) -> Result<DevicePtr> {
        let at = self.driver.alloc(bytes)?;
        self.all.borrow_mut().push(at);
        Ok(at)
    }

    fn filled<T: DeviceType>(&self, len: usize) -> Result<DevicePtr> {
        let bytes = len * size_of::<T>();
        let at = self.alloc(bytes)?;
        self.driver.fill(at, BYTE, bytes)?;
        Ok(at)
    }

    /// Elements that are only read.
    pub fn input<T: DeviceType>(&self, len: usize) -> Result<In<T>> {
        Ok(In::new(self.filled::<T>(len)?, len))
    }

    /// Elements that are read and written.
    pub fn in_out<T: DeviceType>(&self, len: usize) -> Result<InOut<T>> {
        Ok(InOut::new(self.filled::<T>(len)?, len))
    }

    /// Elements that are only written.
    pub fn output<T: DeviceType>(&self, len: usize) -> Result<Out<T>> {
        Ok(Out::new(self.alloc(len * size_of::<T>())?, len))
    }

    /// Whole numbers, one a row, each below `below`, and no two the same while there are enough.
    pub fn numbers(&self, rows: usize, below: usize, step: usize) -> Result<In<u32>> {
        let values: Vec<u32> = (0..rows).map(|i| (i * step % below) as u32).collect();
        let at = self.alloc(rows * size_of::<u32>())?;
        self.driver.copy_in(at, bytemuck::cast_slice(&values))?;
        Ok(In::new(at, rows))
    }
}

impl Drop for Buffers<'_> {
    fn drop(&mut self) {
        for at in self.all.borrow_mut().drain(..) {
            // A device that fails here has failed the measurement already.
            let _ = self.driver.free(at);
        }
    }
}
