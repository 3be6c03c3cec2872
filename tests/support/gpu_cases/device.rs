//! Buffers of one case, each of exactly its size, and what must stand in them after the launches.

use std::cell::RefCell;
use std::fmt;

use qwarp::backend::bound::Broken;
use qwarp::backend::gpu::kernels::Kernels;
use qwarp::driver::{DevicePtr, DeviceType, Driver, DriverError, In, InOut, Launch, Out};

use super::bound::Bound;
use super::number::Number;

/// Where a case runs. Its buffers are given back when it is dropped.
pub struct Device<'a> {
    driver: &'a dyn Driver,
    pub kernels: &'a Kernels,
    buffers: RefCell<Vec<DevicePtr>>,
}

impl<'a> Device<'a> {
    pub fn new(driver: &'a dyn Driver, kernels: &'a Kernels) -> Self {
        Device {
            driver,
            kernels,
            buffers: RefCell::default(),
        }
    }

    /// Bytes that nobody has written.
    pub fn alloc(&self, bytes: usize) -> Result<DevicePtr, DriverError> {
        let ptr = self.driver.alloc(bytes)?;
        self.buffers.borrow_mut().push(ptr);
        Ok(ptr)
    }

    fn filled<T: DeviceType>(&self, values: &[T]) -> Result<DevicePtr, DriverError> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let ptr = self.alloc(bytes.len())?;
        self.driver.copy_in(ptr, bytes)?;
        Ok(ptr)
    }

    /// A buffer that kernels only read.
    pub fn input<T: DeviceType>(&self, values: &[T]) -> Result<In<T>, DriverError> {
        Ok(In::new(self.filled(values)?, values.len()))
    }

    /// A buffer that kernels only read, of which nothing is written but `parts`, each from its first element on.
    pub fn partly<T: DeviceType>(
        &self,
        len: usize,
        parts: &[(usize, Vec<T>)],
    ) -> Result<In<T>, DriverError> {
        let ptr = self.alloc(len * size_of::<T>())?;
        for (first, values) in parts {
            let at = DevicePtr(ptr.0 + (first * size_of::<T>()) as u64);
            self.driver.copy_in(at, bytemuck::cast_slice(values))?;
        }
        Ok(In::new(ptr, len))
    }

    /// A buffer that kernels read and write.
    pub fn in_out<T: DeviceType>(&self, values: &[T]) -> Result<InOut<T>, DriverError> {
        Ok(InOut::new(self.filled(values)?, values.len()))
    }

    /// A buffer that nobody has written.
    pub fn output<T: DeviceType>(&self, len: usize) -> Result<Out<T>, DriverError> {
        Ok(Out::new(self.alloc(len * size_of::<T>())?, len))
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        for ptr in self.buffers.borrow_mut().drain(..) {
            // A device that fails here has already failed the case.
            let _ = self.driver.free(ptr);
        }
    }
}

/// What a case runs and what must come of it.
pub struct Work<'a> {
    pub launches: Vec<Launch>,
    /// [`super::Case::floor_bytes`], or a copy's.
    pub floor_bytes: usize,
    /// What must come of it: asked for by tests alone, since a reference at the sizes of a model takes long.
    pub outputs: Box<dyn FnOnce() -> Vec<Output> + 'a>,
}

/// A buffer after the launches.
pub struct Output {
    name: &'static str,
    ptr: DevicePtr,
    bytes: usize,
    to_f64: fn(&[u8]) -> Vec<f64>,
    expected: Vec<f64>,
    bound: Bound,
    /// What the CPU backend gives, where the kernel promises the same bits.
    cpu: Option<Vec<f64>>,
    /// Bytes of one row, where each row belongs to one row of the case.
    pub row_bytes: Option<usize>,
}

fn to_f64<T: Number>(bytes: &[u8]) -> Vec<f64> {
    bytemuck::pod_collect_to_vec::<u8, T>(bytes)
        .into_iter()
        .map(T::to_f64)
        .collect()
}

impl Output {
    /// `expected` at `ptr`, in elements of type T.
    pub fn new<T: Number>(
        name: &'static str,
        ptr: DevicePtr,
        expected: Vec<f64>,
        bound: Bound,
    ) -> Self {
        Output {
            name,
            ptr,
            bytes: expected.len() * size_of::<T>(),
            to_f64: to_f64::<T>,
            expected,
            bound,
            cpu: None,
            row_bytes: None,
        }
    }

    /// The same, and exactly these values of the CPU backend.
    pub fn equal_to_cpu(mut self, values: Vec<f64>) -> Self {
        self.cpu = Some(values);
        self
    }

    /// The same, made of `rows` rows.
    pub fn in_rows(mut self, rows: usize) -> Self {
        self.row_bytes = Some(self.bytes / rows);
        self
    }

    /// What stands there.
    pub fn read(&self, driver: &dyn Driver) -> Result<Vec<u8>, DriverError> {
        let mut bytes = vec![0; self.bytes];
        driver.copy_out(self.ptr, &mut bytes)?;
        Ok(bytes)
    }

    /// Holds `bytes` against what is expected; the NMSE.
    pub fn check(&self, bytes: &[u8]) -> Result<f64, Failure> {
        let found = (self.to_f64)(bytes);
        let wrong = |what: &'static str| {
            let name = self.name;
            move |wrong: Broken| Failure::Wrong(format!("{name} against {what}: {wrong}"))
        };
        let nmse = self.bound.check(&found, &self.expected);
        let nmse = nmse.map_err(wrong("the reference"))?;
        if let Some(cpu) = &self.cpu {
            let same = Bound::EXACT.check(&found, cpu);
            same.map_err(wrong("the CPU backend"))?;
        }
        Ok(nmse)
    }
}

/// Why a case did not pass.
#[derive(Debug)]
pub enum Failure {
    /// A refusal of the driver, or a finding of the emulator.
    Driver(DriverError),
    /// A result outside its bound.
    Wrong(String),
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        Failure::Driver(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Driver(error) => error.fmt(f),
            Failure::Wrong(what) => f.write_str(what),
        }
    }
}
