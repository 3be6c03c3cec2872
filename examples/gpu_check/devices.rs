//! What kernels run on: one GPU, or an emulator for each target.

use qwarp::driver::cuda::{Cuda, cuda_version};
use qwarp::driver::{Driver, Target};
use qwarp::emu::{EmuOptions, Emulator};
use serde_json::{Value, json};

use super::{DriverName, Result};

/// Where Linux tells the version of NVIDIA's kernel module.
const MODULE_VERSION: &str = "/proc/driver/nvidia/version";

/// The GPU, or the emulators.
pub struct Devices {
    /// One GPU, or one emulator a target.
    pub drivers: Vec<Box<dyn Driver>>,
    /// Whether this is hardware.
    pub hardware: bool,
    cuda_version: Option<i32>,
}

/// An emulator with every check on.
pub fn emulator(target: Target) -> Emulator {
    Emulator::new(EmuOptions {
        target,
        host_threads: 2,
        checks: true,
        counters: false,
    })
}

impl Devices {
    /// Opens GPU 0, or makes the emulators.
    pub fn open(driver: DriverName) -> Result<Devices> {
        if driver == DriverName::Emulator {
            let emulators = Target::ALL.map(|t| -> Box<dyn Driver> { Box::new(emulator(t)) });
            return Ok(Devices {
                drivers: emulators.into(),
                hardware: false,
                cuda_version: None,
            });
        }
        Ok(Devices {
            cuda_version: Some(cuda_version()?),
            drivers: vec![Box::new(Cuda::open(0)?)],
            hardware: true,
        })
    }

    /// The same device once more, for who keeps it to itself.
    pub fn again(&self, driver: &dyn Driver) -> Result<Box<dyn Driver>> {
        Ok(match self.hardware {
            true => Box::new(Cuda::open(0)?),
            false => Box::new(emulator(driver.facts().target)),
        })
    }

    /// What runs code of this target, if anything does.
    pub fn running(&self, target: Target) -> Option<&dyn Driver> {
        let runs = |driver: &&dyn Driver| {
            let (major, minor) = driver.facts().compute_capability;
            let number = major * 10 + minor;
            match self.hardware {
                true => number >= target.number(),
                false => driver.facts().target == target,
            }
        };
        self.drivers.iter().map(Box::as_ref).find(runs)
    }

    /// Whether tensor cores of this very generation are here.
    pub fn is_generation(&self, target: Target) -> bool {
        let number = |(major, minor)| major * 10 + minor;
        let mut all = self.drivers.iter().map(|d| d.facts().compute_capability);
        !self.hardware || all.any(|found| number(found) == target.number())
    }

    /// Whether a driver still answers: after a fault a GPU fails every call of the process.
    pub fn alive(driver: &dyn Driver) -> bool {
        driver.synchronize().is_ok()
    }

    /// What they are.
    pub fn json(&self) -> Value {
        let module = std::fs::read_to_string(MODULE_VERSION).unwrap_or_default();
        let facts = self.drivers.iter().map(|driver| {
            let facts = driver.facts();
            let (major, minor) = facts.compute_capability;
            json!({
                "name": facts.name,
                "compute_capability": format!("{major}.{minor}"),
                "target": facts.target.to_string(),
                "memory_bytes": facts.memory_bytes,
                "multiprocessors": facts.multiprocessors,
            })
        });
        json!({
            "hardware": self.hardware,
            "cuda_version": self.cuda_version,
            "driver": module.lines().next(),
            "gpus": facts.collect::<Vec<_>>(),
        })
    }
}
