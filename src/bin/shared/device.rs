//! `--device` and what goes with it, the same in every command: from the choice to a device, its type, and what runs on it.
#![allow(dead_code, reason = "each program uses its own part")]

use std::path::Path;

use clap::{Args, ValueEnum};
use qwarp::backend::Backend;
use qwarp::backend::cpu::simd;
use qwarp::config::engine::Utilization;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::driver::cuda::{self, Cuda, cuda_version};
use qwarp::driver::{DeviceFacts, Driver, Target};
use qwarp::emu::{EmuOptions, Emulator};
use qwarp::engine::OpenOptions;
use qwarp::engine::open::{
    OpenedBackend, check_build, check_target, default_dtype, open_backend, open_backend_on,
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

    /// Share of the GPU's memory that may be taken, with what CUDA takes itself [default: 0.9]
    #[arg(long, value_name = "F", value_parser = parse_share, allow_negative_numbers = true)]
    pub gpu_memory_utilization: Option<Utilization>,
}

fn parse_share(text: &str) -> std::result::Result<Utilization, String> {
    let share = text.parse().map_err(|_| "expected a number".to_string())?;
    Utilization::new(share).map_err(|_| "expected a number above 0 and at most 1".to_string())
}

/// The emulator's name on the command line and in reports.
const EMULATOR: &str = "emulator";

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
pub struct Choice {
    /// Type of matrix inputs and of the cache.
    pub dtype: DType,
    /// What it is, for reports.
    pub about: About,
    /// Share of a GPU's memory that may be taken.
    pub utilization: Utilization,
    /// The type on the CPU, where that is taken if the GPU has no room.
    cpu_instead: Option<DType>,
}

impl Choice {
    /// The CPU in place of a GPU without room, where the choice was left to us.
    pub fn without_room(&self, error: &Error) -> Option<Choice> {
        let dtype = self
            .cpu_instead
            .filter(|_| matches!(error, Error::NoRoom { .. }))?;
        Some(Choice {
            dtype,
            about: About::cpu(vec![took_cpu(error)]),
            utilization: self.utilization,
            cpu_instead: None,
        })
    }
}

/// A model that is open.
pub struct Running {
    /// Where.
    pub choice: Choice,
    /// The limits, with the type of the choice.
    pub engine: EngineConfig,
    /// What runs it.
    pub opened: OpenedBackend<Box<dyn Backend>>,
}

/// A choice with the device open.
pub struct Chosen {
    /// What was chosen.
    pub choice: Choice,
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
    /// Whether the emulator looks for races and unwritten memory; nothing elsewhere.
    pub checks: Option<bool>,
    /// What was decided for the user, and why.
    pub notes: Vec<String>,
}

impl DeviceArgs {
    /// Settles device and type, and opens the device, before any weight is read. `threads` run the emulator.
    pub fn choose(
        &self,
        folder: &Path,
        config: &ModelConfig,
        dtype: DtypeArg,
        threads: usize,
    ) -> Result<Chosen> {
        let stored = match dtype.explicit() {
            Some(dtype) => dtype,
            None => default_dtype(folder, config)?,
        };
        let model = self.model(folder, config, dtype, stored)?;
        let on = |driver: Box<dyn Driver>, kind, version| -> Result<Chosen> {
            check_build()?;
            Ok(Chosen {
                choice: model.on_gpu(driver.facts(), kind, version)?,
                driver: Some(driver),
            })
        };
        let on_cuda = || -> Result<Chosen> {
            // Before anything of the GPU is taken.
            check_build()?;
            let cuda = Cuda::open(0)?;
            on(Box::new(cuda), "cuda", Some(cuda_version()?))
        };
        let on_cpu = |notes| Chosen {
            choice: model.on_cpu(notes),
            driver: None,
        };
        match self.device {
            DeviceArg::Cpu => Ok(on_cpu(Vec::new())),
            DeviceArg::Cuda => on_cuda(),
            DeviceArg::Emulator => on(Box::new(self.emulator(threads)), EMULATOR, None),
            DeviceArg::Auto => Ok(match on_cuda() {
                Ok(mut chosen) => {
                    chosen.choice.cpu_instead = Some(model.stored);
                    chosen
                }
                Err(error) => on_cpu(vec![took_cpu(&error)]),
            }),
        }
    }

    /// The same from `config.json` alone, with nothing opened: `stored` is the type of the weights.
    pub fn survey(
        &self,
        folder: &Path,
        config: &ModelConfig,
        dtype: DtypeArg,
        stored: DType,
    ) -> Result<Choice> {
        let model = self.model(folder, config, dtype, stored)?;
        let on_cuda = || -> Result<Choice> {
            let version = cuda_version()?;
            model.on_gpu(&cuda::facts(0)?, "cuda", Some(version))
        };
        match self.device {
            DeviceArg::Cpu => Ok(model.on_cpu(Vec::new())),
            DeviceArg::Cuda => on_cuda(),
            DeviceArg::Emulator => model.on_gpu(self.emulator(1).facts(), EMULATOR, None),
            DeviceArg::Auto => Ok(match check_build().and_then(|()| on_cuda()) {
                Ok(choice) => Choice {
                    cpu_instead: Some(model.stored),
                    ..choice
                },
                Err(error) => model.on_cpu(vec![took_cpu(&error)]),
            }),
        }
    }

    fn model<'a>(
        &self,
        folder: &'a Path,
        config: &'a ModelConfig,
        dtype: DtypeArg,
        stored: DType,
    ) -> Result<Model<'a>> {
        self.check()?;
        Ok(Model {
            folder,
            config,
            wanted: dtype.explicit(),
            stored: dtype.explicit().unwrap_or(stored),
            utilization: self.gpu_memory_utilization.unwrap_or_default(),
            checks: Some(!self.no_checks),
        })
    }

    /// Refuses what would have no effect.
    fn check(&self) -> Result<()> {
        let emulator = self.device == DeviceArg::Emulator;
        let gpu = self.device != DeviceArg::Cpu;
        let useless = [
            ("--emulate", self.emulate.is_some() && !emulator, "emulator"),
            ("--no-checks", self.no_checks && !emulator, "emulator"),
            (
                "--gpu-memory-utilization",
                self.gpu_memory_utilization.is_some() && !gpu,
                "auto, cuda or emulator",
            ),
        ];
        let Some((flag, _, with)) = useless.into_iter().find(|(_, useless, _)| *useless) else {
            return Ok(());
        };
        let device = self.device.to_possible_value();
        let device = device.as_ref().map_or("", |value| value.get_name());
        let found = format!("it with --device {device}");
        Err(Error::argument(flag, found, format!("--device {with}")))
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
    utilization: Utilization,
    checks: Option<bool>,
}

fn took_cpu(error: &Error) -> String {
    // The first line says why; the others are a table of sizes.
    let text = error.to_string();
    let why = text.lines().next().unwrap_or_default();
    format!("--device auto took the CPU: {why}")
}

impl Model<'_> {
    fn on_cpu(&self, notes: Vec<String>) -> Choice {
        Choice {
            dtype: self.stored,
            about: About::cpu(notes),
            utilization: self.utilization,
            cpu_instead: None,
        }
    }

    fn on_gpu(
        &self,
        facts: &DeviceFacts,
        kind: &'static str,
        cuda_version: Option<i32>,
    ) -> Result<Choice> {
        let mut notes = Vec::new();
        let mut dtype = self.stored;
        if self.wanted.is_none() && dtype == DType::Bf16 && !facts.target.has_bf16() {
            dtype = DType::F16;
            let target = facts.target;
            notes.push(format!(
                "f16 in place of the model's bf16, which {target} has not"
            ));
        }
        check_target(self.folder, self.config, dtype, facts.target)?;
        Ok(Choice {
            dtype,
            about: About {
                kind,
                facts: Some(facts.clone()),
                cuda_version,
                checks: self.checks.filter(|_| kind == EMULATOR),
                notes,
            },
            utilization: self.utilization,
            cpu_instead: None,
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
    ) -> Result<Running> {
        let mut choice = self.choice;
        if let Some(driver) = self.driver {
            match open_backend_on(driver, choice.utilization, folder, config, engine) {
                Ok(opened) => {
                    return Ok(Running {
                        choice,
                        engine,
                        opened: opened.boxed(),
                    });
                }
                Err(error) => choice = choice.without_room(&error).ok_or(error)?,
            }
        }
        let engine = EngineConfig {
            dtype: choice.dtype,
            ..engine
        };
        let opened = open_backend(folder, config, OpenOptions { engine, path })?.boxed();
        Ok(Running {
            choice,
            engine,
            opened,
        })
    }
}

impl About {
    fn cpu(notes: Vec<String>) -> About {
        About {
            kind: "cpu",
            facts: None,
            cuda_version: None,
            checks: None,
            notes,
        }
    }

    /// Whether times are those of the device; the emulator's are its own.
    pub fn has_times(&self) -> bool {
        self.kind != EMULATOR
    }

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
            "checks": self.checks,
        })
    }

    /// A few words.
    pub fn text(&self) -> String {
        let Some(facts) = &self.facts else {
            return self.kind.to_string();
        };
        let version = self.cuda_version.unwrap_or_default();
        let more = match self.checks {
            None => format!("driver of CUDA {}.{}", version / 1000, version % 1000 / 10),
            Some(true) => "every access checked".to_string(),
            Some(false) => "races and unwritten memory not looked for".to_string(),
        };
        format!("{}: {}, {}, {more}", self.kind, facts.name, facts.target)
    }
}
