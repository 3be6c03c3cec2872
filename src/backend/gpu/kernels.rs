//! The kernels that build.rs embedded, and their launch stubs, one method of [`Kernels`] for each.

use crate::driver::{
    self, Args, Card, Driver, DriverError, FunctionId, Geometry, Image, Launch, Occupancy,
    Residency, Target, occupancy,
};

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// What ptxas gave a kernel on one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Registers of a thread.
    pub registers: u32,
    /// Static shared memory of a CTA in bytes.
    pub shared_bytes: u32,
    /// Bytes of a thread that did not fit into registers, stored and loaded.
    pub spill_bytes: u32,
}

impl Resources {
    /// How many CTAs of such a launch fit on a multiprocessor of `card`.
    pub fn occupancy(self, card: &Card, geometry: &Geometry) -> Occupancy {
        let cta = Residency {
            registers: self.registers,
            shared_bytes: self.shared_bytes.saturating_add(geometry.shared_bytes),
            threads: (geometry.block.iter()).fold(1, |n, &size| n.saturating_mul(size)),
        };
        occupancy(card, cta)
    }
}

/// A kernel and where it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryFacts {
    /// Its name.
    pub name: &'static str,
    /// The image that holds it.
    pub file: &'static str,
    /// Most threads of a CTA, where the kernel states them.
    pub launch_bounds: Option<u32>,
    /// The targets that have it, oldest first; resources where a cubin was made.
    pub built: &'static [(Target, Option<Resources>)],
}

impl EntryFacts {
    /// Whether `target` has it.
    pub fn exists_on(&self, target: Target) -> bool {
        self.built.iter().any(|(built, _)| *built == target)
    }

    /// What it uses on `target`.
    pub fn resources(&self, target: Target) -> Option<Resources> {
        let built = self.built.iter().find(|(built, _)| *built == target);
        built.and_then(|(_, resources)| *resources)
    }
}

/// Why this build has no kernels and the one command that changes it; `None` where it has them.
pub fn missing() -> Option<&'static str> {
    MISSING
}

/// The one command that gets what a build lacks.
pub fn remedy() -> &'static str {
    REMEDY
}

fn images(target: Target) -> impl Iterator<Item = &'static Image<'static>> {
    IMAGES.iter().filter(move |image| image.target == target)
}

/// An image with another text, which the driver compiles.
fn changed<'a>(image: &Image<'a>, ptx: &'a str) -> Image<'a> {
    Image {
        ptx,
        cubin: None,
        ..*image
    }
}

/// All kernels of a device's target, loaded.
///
/// A launch takes what the kernel's signature says:
///
/// ```
/// # use half::f16;
/// # use qwarp::{backend::gpu::kernels::Kernels, driver::{DriverError, Geometry, In, Launch, Out}};
/// fn silu(k: &Kernels, g: Geometry, x: In<f32>, out: Out<f16>, n: u32) -> Result<Launch, DriverError> {
///     k.silu_mul_f16(g, x, out, n)
/// }
/// ```
///
/// Two arguments swapped do not compile:
///
/// ```compile_fail,E0308
/// # use half::f16;
/// # use qwarp::{backend::gpu::kernels::Kernels, driver::{DriverError, Geometry, In, Launch, Out}};
/// fn silu(k: &Kernels, g: Geometry, x: In<f32>, out: Out<f16>, n: u32) -> Result<Launch, DriverError> {
///     k.silu_mul_f16(g, out, x, n)
/// }
/// ```
///
/// Nor does a pointer to another type of element:
///
/// ```compile_fail,E0308
/// # use half::bf16;
/// # use qwarp::{backend::gpu::kernels::Kernels, driver::{DriverError, Geometry, In, Launch, Out}};
/// fn silu(k: &Kernels, g: Geometry, x: In<f32>, out: Out<bf16>, n: u32) -> Result<Launch, DriverError> {
///     k.silu_mul_f16(g, x, out, n)
/// }
/// ```
///
/// which the kernel for that type takes:
///
/// ```
/// # use half::bf16;
/// # use qwarp::{backend::gpu::kernels::Kernels, driver::{DriverError, Geometry, In, Launch, Out}};
/// fn silu(k: &Kernels, g: Geometry, x: In<f32>, out: Out<bf16>, n: u32) -> Result<Launch, DriverError> {
///     k.silu_mul_bf16(g, x, out, n)
/// }
/// ```
///
/// Nor a scalar of another width:
///
/// ```compile_fail,E0308
/// # use half::f16;
/// # use qwarp::{backend::gpu::kernels::Kernels, driver::{DriverError, Geometry, In, Launch, Out}};
/// fn silu(k: &Kernels, g: Geometry, x: In<f32>, out: Out<f16>, n: u64) -> Result<Launch, DriverError> {
///     k.silu_mul_f16(g, x, out, n)
/// }
/// ```
///
/// Nor a launch that is one argument short, as after an edit of the `.cu` file that its launch did not follow:
///
/// ```compile_fail,E0061
/// # use half::f16;
/// # use qwarp::{backend::gpu::kernels::Kernels, driver::{DriverError, Geometry, In, Launch, Out}};
/// fn silu(k: &Kernels, g: Geometry, x: In<f32>, out: Out<f16>) -> Result<Launch, DriverError> {
///     k.silu_mul_f16(g, x, out)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Kernels {
    target: Target,
    functions: [Option<FunctionId>; ENTRIES.len()],
}

impl Kernels {
    /// Loads every image of the device's target. Refuses where this build has none, and an image without a kernel that it
    /// was built with.
    pub fn load(driver: &dyn Driver) -> Result<Kernels, DriverError> {
        Self::load_with(driver, &|_| None)
    }

    /// Loads every image of the device's target, with the PTX that `replace` gives in place of an image's own.
    pub fn load_with(
        driver: &dyn Driver,
        replace: &dyn Fn(&Image<'static>) -> Option<String>,
    ) -> Result<Kernels, DriverError> {
        let mut kernels = Self::none(driver)?;
        for image in images(kernels.target) {
            match replace(image) {
                Some(ptx) => kernels.add(driver, &changed(image, &ptx), false)?,
                None => kernels.add(driver, image, true)?,
            }
        }
        Ok(kernels)
    }

    /// Loads the image of one kernel file alone, with `ptx` in place of its own: kernels of other files cannot be launched.
    pub fn load_changed(
        driver: &dyn Driver,
        file: &str,
        ptx: &str,
    ) -> Result<Kernels, DriverError> {
        let mut kernels = Self::none(driver)?;
        for image in images(kernels.target).filter(|image| image.name == file) {
            kernels.add(driver, &changed(image, ptx), false)?;
        }
        Ok(kernels)
    }

    fn none(driver: &dyn Driver) -> Result<Kernels, DriverError> {
        match missing() {
            Some(reason) => Err(DriverError::NoKernels {
                reason: reason.to_string(),
            }),
            None => Ok(Kernels {
                target: driver.facts().target,
                functions: [None; ENTRIES.len()],
            }),
        }
    }

    /// Loads an image; `whole` where every kernel of its file must be in it.
    fn add(
        &mut self,
        driver: &dyn Driver,
        image: &Image<'_>,
        whole: bool,
    ) -> Result<(), DriverError> {
        let module = driver.load_module(image)?;
        for (function, entry) in self.functions.iter_mut().zip(ENTRIES) {
            if entry.file != image.name {
                continue;
            }
            *function = driver.function(module, entry.name)?;
            if function.is_none() && whole && entry.exists_on(self.target) {
                return Err(DriverError::Module {
                    module: image.name.to_string(),
                    reason: format!("there is no kernel {} in it; build again", entry.name),
                });
            }
        }
        Ok(())
    }

    /// The target whose images are loaded.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The kernel that a launch of these runs.
    pub fn entry(&self, function: FunctionId) -> Option<&'static EntryFacts> {
        let index = self.functions.iter().position(|f| *f == Some(function))?;
        ENTRIES.get(index)
    }

    /// A launch of kernel `entry` of [`ENTRIES`].
    fn ready(&self, entry: usize, geometry: Geometry, args: Args) -> Result<Launch, DriverError> {
        let facts = &ENTRIES[entry];
        let refuse = |reason| DriverError::Launch {
            kernel: facts.name.to_string(),
            reason,
        };
        let Some(function) = self.functions[entry] else {
            let on: Vec<String> = facts.built.iter().map(|(t, _)| t.to_string()).collect();
            let (target, on) = (self.target, on.join(", "));
            return Err(refuse(format!(
                "it does not exist on {target}, only on {on}"
            )));
        };
        // Hardware says only that some resource does not suffice.
        let threads = geometry.block.iter().map(|n| u64::from(*n));
        let threads = threads.fold(1, u64::saturating_mul);
        if let Some(most) = facts
            .launch_bounds
            .filter(|most| threads > u64::from(*most))
        {
            return Err(refuse(format!(
                "a CTA of {threads} threads, its launch bounds allow {most}"
            )));
        }
        Ok(Launch {
            function,
            geometry,
            args,
        })
    }
}
