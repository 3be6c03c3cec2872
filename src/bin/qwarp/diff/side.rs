//! A side of a comparison on the command line: `cpu`, `cuda`, `emulator:sm_75`, `cpu/f32`.

use clap::Parser;
use qwarp::backend::Backend;
use qwarp::backend::cpu::simd::Path;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::{DType, Result};

use crate::device::{Choice, DeviceArgs};
use crate::dtype::DtypeArg;

/// The side, as the flags of other commands.
#[derive(Clone, Parser)]
#[command(no_binary_name = true)]
pub struct Side {
    #[command(flatten)]
    device: DeviceArgs,
    #[arg(long, value_enum, default_value_t = DtypeArg::Auto)]
    dtype: DtypeArg,
}

/// Reads `DEVICE[:TARGET][/TYPE]`.
pub fn parse(text: &str) -> std::result::Result<Side, String> {
    let (place, dtype) = text.split_once('/').unwrap_or((text, "auto"));
    let (device, target) = match place.split_once(':') {
        Some((device, target)) => (device, Some(target)),
        None => (place, None),
    };
    let mut flags = vec!["--device", device, "--dtype", dtype];
    flags.extend(target.iter().flat_map(|target| ["--emulate", target]));
    Side::try_parse_from(flags).map_err(|_| {
        "expected DEVICE[:TARGET][/TYPE], such as cpu/f32 or emulator:sm_80".to_string()
    })
}

/// An open side.
pub struct Open {
    pub backend: Box<dyn Backend>,
    pub dtype: DType,
    /// What it is, in a few words.
    pub about: String,
}

impl Side {
    /// Opens the model of `folder`; `limits` hold but for the type.
    pub fn open(
        &self,
        folder: &std::path::Path,
        config: &ModelConfig,
        limits: EngineConfig,
        path: Path,
    ) -> Result<Open> {
        let chosen = self
            .device
            .choose(folder, config, self.dtype, limits.threads)?;
        let dtype = chosen.choice.dtype;
        let engine = EngineConfig { dtype, ..limits };
        let running = chosen.open_backend(folder, config, engine, path)?;
        let Choice { dtype, about, .. } = running.choice;
        Ok(Open {
            backend: running.opened.backend,
            dtype,
            about: format!("{}, {dtype}", about.text()),
        })
    }
}
