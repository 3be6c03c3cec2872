//! `--device` and what goes with it, the same in every command: from the choice to a device, its type, and what runs on it.

use std::path::Path;

use clap::{Args, ValueEnum};
use qwarp::backend::Backend;
use qwarp::backend::cpu::simd;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::driver::cuda::{Cuda, probe};
use qwarp::driver::{DeviceFacts, Driver, Target};
use qwarp::emu::{EmuOptions, Emulator};
use qwarp::engine::OpenOptions;
use qwarp::engine::open::{
    OpenedBackend, check_target, default_dtype, open_backend, open_backend_on,
};
use qwarp::{DType, Error, Result};
use serde_json::{Value, json};

use crate::dtype::DtypeArg;

/// Where a model runs.
#[derive(Debug, Clone, Args)]
pub struct DeviceArgs {
    /// Where to run; auto takes a GPU that can run the model, else the CPU
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    pub device: DeviceArg,

    /// GPU that the emulator stands for [default: sm_80]
    #[arg(long, value_enum, value_name = "TARGET")]
    pub emulate: Option<EmulateArg>,

    /// Let the emulator look for neither races nor reads of unwritten memory, which is faster
    #[arg(long)]
    pub no_checks: bool,
}

/// The value of `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceArg {
    /// A GPU that can run the model, else the CPU
    Auto,
    /// This machine's processor
    Cpu,
    /// The first GPU that CUDA lists; CUDA_VISIBLE_DEVICES says which that is
    Cuda,
    /// A GPU in software, which checks every kernel as it runs
    Emulator,
}

/// The value of `--emulate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EmulateArg {
    /// Turing: T4
    #[value(name = "sm_75")]
    Sm75,
    /// Ampere and Ada: A100, A10G, L4
    #[value(name = "sm_80")]
    Sm80,
    /// Hopper: H100, H200
    #[value(name = "sm_90")]
    Sm90,
}

impl EmulateArg {
    fn target(self) -> Target {
        match self {
            EmulateArg::Sm75 => Target::Sm75,
            EmulateArg::Sm80 => Target::Sm80,
            EmulateArg::Sm90 => Target::Sm90,
        }
    }
}

/// A device that can run the model, and the type it does so in.
pub struct Chosen {
    /// Type of matrix inputs and of the cache.
    pub dtype: DType,
    /// What it is, for reports.
    pub about: About,
    /// The GPU or its emulator; none is the CPU.
    driver: Option<Box<dyn Driver>>,
}

/// What a report says of a device.
#[derive(Debug, Clone)]
pub struct About {
    /// Its name on the command line.
    pub kind: &'static str,
    /// What the driver says of the GPU.
    pub facts: Option<DeviceFacts>,
    /// The newest CUDA version that the driver speaks: 12040 is 12.4.
    pub cuda_version: Option<i32>,
    /// What was decided for the user, and why.
    pub notes: Vec<String>,
}

impl DeviceArgs {
    /// Settles device and type before any weight is read. `threads` run the emulator.
    pub fn choose(
        &self,
        folder: &Path,
        config: &ModelConfig,
        dtype: DtypeArg,
        threads: usize,
    ) -> Result<Chosen> {
        self.check()?;
        let model = Model {
            folder,
            config,
            wanted: dtype.explicit(),
            stored: match dtype.explicit() {
                Some(dtype) => dtype,
                None => default_dtype(folder, config)?,
            },
        };
        match self.device {
            DeviceArg::Cpu => Ok(model.on_cpu(Vec::new())),
            DeviceArg::Cuda => model.on_cuda(),
            DeviceArg::Emulator => model.on_gpu(Box::new(self.emulator(threads)), "emulator", None),
            DeviceArg::Auto => Ok(model.on_cuda().unwrap_or_else(|error| {
                model.on_cpu(vec![format!("--device auto took the CPU: {error}")])
            })),
        }
    }

    /// Refuses what would have no effect.
    fn check(&self) -> Result<()> {
        let given = [
            ("--emulate", self.emulate.is_some()),
            ("--no-checks", self.no_checks),
        ];
        let given = given.into_iter().find(|(_, given)| *given);
        match given {
            Some((flag, _)) if self.device != DeviceArg::Emulator => {
                let device = self.device.to_possible_value();
                let device = device.as_ref().map_or("", |value| value.get_name());
                let found = format!("--device {device}");
                Err(Error::argument(flag, found, "--device emulator with it"))
            }
            _ => Ok(()),
        }
    }

    fn emulator(&self, threads: usize) -> Emulator {
        Emulator::new(EmuOptions {
            target: self.emulate.unwrap_or(EmulateArg::Sm80).target(),
            host_threads: threads,
            checks: !self.no_checks,
            counters: false,
        })
    }
}

/// What is to run.
struct Model<'a> {
    folder: &'a Path,
    config: &'a ModelConfig,
    /// The type that was asked for, unless that is left to us.
    wanted: Option<DType>,
    /// That type, else the model's own.
    stored: DType,
}

impl Model<'_> {
    fn on_cpu(&self, notes: Vec<String>) -> Chosen {
        Chosen {
            dtype: self.stored,
            about: About {
                kind: "cpu",
                facts: None,
                cuda_version: None,
                notes,
            },
            driver: None,
        }
    }

    fn on_cuda(&self) -> Result<Chosen> {
        let cuda = Cuda::open(0)?;
        let version = probe()?.cuda_version;
        self.on_gpu(Box::new(cuda), "cuda", Some(version))
    }

    fn on_gpu(
        &self,
        driver: Box<dyn Driver>,
        kind: &'static str,
        cuda_version: Option<i32>,
    ) -> Result<Chosen> {
        let facts = driver.facts().clone();
        let mut notes = Vec::new();
        let mut dtype = self.stored;
        if self.wanted.is_none() && dtype == DType::Bf16 && !facts.target.has_bf16() {
            dtype = DType::F16;
            notes.push(format!(
                "f16 in place of the model's bf16, which {} has not",
                facts.target
            ));
        }
        check_target(self.folder, self.config, dtype, facts.target)?;
        Ok(Chosen {
            dtype,
            about: About {
                kind,
                facts: Some(facts),
                cuda_version,
                notes,
            },
            driver: Some(driver),
        })
    }
}

impl Chosen {
    /// Opens `folder` there; `path` is for the CPU.
    pub fn open_backend(
        self,
        folder: &Path,
        config: &ModelConfig,
        engine: EngineConfig,
        path: simd::Path,
    ) -> Result<OpenedBackend<Box<dyn Backend>>> {
        Ok(match self.driver {
            None => open_backend(folder, config, OpenOptions { engine, path })?.boxed(),
            Some(driver) => open_backend_on(driver, folder, config, engine)?.boxed(),
        })
    }
}

impl About {
    /// Whether this is the CPU.
    pub fn is_cpu(&self) -> bool {
        self.facts.is_none()
    }

    /// One object; null for the CPU.
    pub fn gpu_json(&self) -> Value {
        let Some(facts) = &self.facts else {
            return Value::Null;
        };
        let (major, minor) = facts.compute_capability;
        json!({
            "name": facts.name,
            "compute_capability": format!("{major}.{minor}"),
            "target": facts.target.to_string(),
            "memory_bytes": facts.memory_bytes,
            "cuda_version": self.cuda_version,
        })
    }

    /// A few words.
    pub fn text(&self) -> String {
        let Some(facts) = &self.facts else {
            return self.kind.to_string();
        };
        let driver = self.cuda_version.map(|version| {
            let (major, minor) = (version / 1000, version % 1000 / 10);
            format!(", driver of CUDA {major}.{minor}")
        });
        let driver = driver.unwrap_or_default();
        format!("{}: {}, {}{driver}", self.kind, facts.name, facts.target)
    }
}
