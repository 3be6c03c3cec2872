//! Runs a case on a driver.

use qwarp::driver::{
    Access, Args, DevicePtr, Driver, DriverError, FunctionId, Geometry, Image, Launch, Result, View,
};

use super::{PtxCase, Role, Slot};

/// A buffer after the launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Bytes of an element.
    pub width: usize,
    /// Its elements.
    pub values: Vec<u64>,
}

/// Every buffer of a slab starts at a multiple of this.
const SLAB_ALIGN: usize = 16;

impl PtxCase {
    /// Loads the module, launches `test` once, and reads the outputs back. What it allocates it gives back.
    pub fn run(&self, driver: &dyn Driver) -> Result<Vec<Output>> {
        let image = Image {
            name: &self.name,
            target: self.target,
            ptx: &self.ptx,
            cubin: None,
        };
        let module = driver.load_module(&image)?;
        let function = driver.function(module, "test")?;
        let function = function.ok_or(DriverError::Module {
            module: self.name.clone(),
            reason: "no kernel named test".into(),
        })?;
        let mut allocations = Vec::new();
        let done = self.launched(driver, function, &mut allocations);
        // After a fault this fails too, and that is not the news.
        let freed = allocations.into_iter().map(|ptr| driver.free(ptr));
        let freed = freed.fold(Ok(()), Result::and);
        done.and_then(|outputs| freed.map(|()| outputs))
    }

    /// The outputs of one launch; what was allocated is in `allocations`, however it ends.
    fn launched(
        &self,
        driver: &dyn Driver,
        function: FunctionId,
        allocations: &mut Vec<DevicePtr>,
    ) -> Result<Vec<Output>> {
        let pointers = self.allocate(driver, allocations)?;
        let launch = Launch {
            function,
            geometry: Geometry {
                grid: self.grid,
                block: self.block,
                shared_bytes: self.shared,
            },
            args: self.args(&pointers),
        };
        driver.launch(&launch)?;
        driver.synchronize()?;
        self.read(driver, &pointers)
    }

    /// Memory with its values: an address a slot (0 for a scalar). What is to be given back comes into `allocations`.
    fn allocate(
        &self,
        driver: &dyn Driver,
        allocations: &mut Vec<DevicePtr>,
    ) -> Result<Vec<DevicePtr>> {
        let mut pointers = Vec::new();
        let mut at = 0;
        if self.slab {
            let sizes = self.slots.iter().filter(|slot| slot.is_memory());
            let total = sizes.map(|slot| slot.span()).sum();
            allocations.push(driver.alloc(total)?);
        }
        for slot in &self.slots {
            let ptr = match allocations.first() {
                _ if slot.role == Role::Scalar => DevicePtr(0),
                Some(slab) if self.slab && slot.is_memory() => {
                    at += slot.span();
                    DevicePtr(slab.0 + (at - slot.span()) as u64)
                }
                _ => {
                    let ptr = driver.alloc(slot.values.len() * slot.width)?;
                    allocations.push(ptr);
                    ptr
                }
            };
            pointers.push(ptr);
            if !matches!(slot.role, Role::Scalar | Role::Out) {
                driver.copy_in(ptr, &slot.bytes())?;
            }
            if slot.role == Role::Freed {
                driver.synchronize()?;
                driver.free(ptr)?;
                allocations.retain(|other| *other != ptr);
            }
        }
        Ok(pointers)
    }

    fn args(&self, pointers: &[DevicePtr]) -> Args {
        let mut args = Args::default();
        for (slot, ptr) in self.slots.iter().zip(pointers) {
            let access = match slot.role {
                Role::In => Access::Read,
                Role::Out => Access::Write,
                Role::InOut => Access::ReadWrite,
                Role::Scalar => {
                    let value = slot.values.first().copied().unwrap_or_default();
                    match slot.width {
                        8 => args.scalar(value),
                        _ => args.scalar(value as u32),
                    }
                    continue;
                }
                Role::Freed => {
                    args.scalar(ptr.0);
                    continue;
                }
                Role::Beside => continue,
            };
            args.views.push(View {
                ptr: *ptr,
                bytes: (slot.values.len() * slot.width) as u64,
                access,
                param: args.offsets.len() as u32,
            });
            args.scalar(ptr.0);
        }
        args
    }

    fn read(&self, driver: &dyn Driver, pointers: &[DevicePtr]) -> Result<Vec<Output>> {
        let outputs = self.slots.iter().zip(pointers);
        let outputs = outputs.filter(|(slot, _)| slot.is_output());
        outputs
            .map(|(slot, ptr)| {
                let mut bytes = vec![0; slot.values.len() * slot.width];
                driver.copy_out(*ptr, &mut bytes)?;
                let values = bytes.chunks_exact(slot.width).map(|element| {
                    let wide = element.iter().rev();
                    wide.fold(0, |value, byte| value << 8 | u64::from(*byte))
                });
                Ok(Output {
                    name: slot.name.clone(),
                    width: slot.width,
                    values: values.collect(),
                })
            })
            .collect()
    }
}

impl Slot {
    /// Whether it has a place in a slab.
    fn is_memory(&self) -> bool {
        !matches!(self.role, Role::Scalar | Role::Freed)
    }

    /// Its bytes in a slab.
    fn span(&self) -> usize {
        (self.values.len() * self.width).next_multiple_of(SLAB_ALIGN)
    }
}
