//! A model with seeded weights, of full size: how fast it runs on the device, and how far its logits and its speed are from
//! those of HF transformers on the same device.

mod against;
mod own;

use std::path::{Path, PathBuf};

use qwarp::config::ModelConfig;
use qwarp::driver::Driver;
use qwarp::{DType, model};
use serde_json::Value;
use tempfile::TempDir;

use super::devices::Devices;
use super::part::Part;
use super::programs::Programs;
use super::report::Report;
use super::{Cli, Result, byte_tokenizer, small_model};

/// Key of the weights.
const SEED: &str = "7";
/// How long the weights may take.
const SYNTH_SECONDS: u32 = 300;

/// How large the model is, and how much of it runs.
#[derive(Clone, Copy)]
pub struct Size {
    /// What the model is called.
    name: &'static str,
    /// Tokens before those that are decoded.
    prompt: usize,
    /// Tokens decoded: the middle one has the context that speeds are told for.
    tokens: usize,
    /// Tokens of the timed prompt.
    prefill: usize,
    /// Positions whose logits are compared: more than one step gives.
    positions: usize,
    /// Rows, columns and depth of the product whose speed is the peak.
    matmul: usize,
    /// How often each time is taken.
    repetitions: usize,
}

const FULL: Size = Size {
    name: "1.5B",
    prompt: 448,
    tokens: 128,
    prefill: 2048,
    positions: 128,
    matmul: 8192,
    repetitions: 5,
};

/// Enough to see that everything runs; its times say nothing.
const SMALL: Size = Size {
    name: "small model",
    prompt: 9,
    tokens: 3,
    prefill: 33,
    positions: 67,
    matmul: 256,
    repetitions: 1,
};

/// The model on disk, and what runs it.
pub struct Subject {
    folder: TempDir,
    /// Its own.
    pub model: PathBuf,
    /// `qwarp` and `generate`.
    pub programs: Programs,
    /// Type of matrix inputs and of the cache.
    pub dtype: DType,
    /// How much runs.
    pub size: Size,
    /// Whether its times are a GPU's.
    pub hardware: bool,
    device: Vec<String>,
    config: ModelConfig,
}

/// Both parts, on the GPU or on the emulator of the newest target.
pub fn run(devices: &Devices, cli: &Cli, report: &mut Report<'_>) -> Result<()> {
    let driver = devices.drivers.last().ok_or("no device")?.as_ref();
    let size = if cli.quick || !devices.hardware {
        SMALL
    } else {
        FULL
    };
    let about = format!("synthetic {}, {}", size.name, driver.facts().target);
    let mut own = Part::new(&about);
    let mut against = Part::new(format!("{about}, against HF transformers"));
    let subject = match Subject::make(devices.hardware, driver, size, cli) {
        Ok(subject) => subject,
        Err(error) => return report.add(own.ended(Err(error))),
    };
    own.count("synth", Ok(()));
    let (speeds, outcome) = match own::run(&subject, &mut own) {
        Ok(speeds) => (Some(speeds), Ok(())),
        Err(error) => (None, Err(error)),
    };
    report.add(own.ended(outcome))?;
    let outcome = against::run(&subject, cli, speeds, &mut against);
    report.add(against.ended(outcome))
}

impl Subject {
    /// Writes the model to a folder of its own, which goes when this does.
    fn make(hardware: bool, driver: &dyn Driver, size: Size, cli: &Cli) -> Result<Subject> {
        let facts = driver.facts();
        let dtype = match facts.target.has_bf16() {
            true => DType::Bf16,
            false => DType::F16,
        };
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let (config, tokenizer) = (path("config.json"), path("tokenizer"));
        let text = match size.name == FULL.name {
            true => std::fs::read_to_string(&cli.config)
                .map_err(|error| format!("{}: {error}", cli.config.display()))?,
            false => small_model::config(dtype),
        };
        std::fs::write(&config, text)?;
        let tokenizer = match &cli.tokenizer {
            Some(tokenizer) => tokenizer.clone(),
            None => {
                std::fs::create_dir(&tokenizer)?;
                let file = byte_tokenizer::tokenizer_json();
                std::fs::write(tokenizer.join("tokenizer.json"), file.to_string())?;
                tokenizer
            }
        };
        let model = path("model");
        let programs = Programs::new(&cli.programs, &path("cache"));
        let mut arguments = strings(&["synth", "--seed", SEED, "--dtype", dtype.name()]);
        for (flag, path) in [
            ("--config", &config),
            ("--out", &model),
            ("--tokenizer", &tokenizer),
        ] {
            arguments.extend([flag.to_string(), path.display().to_string()]);
        }
        programs.output(SYNTH_SECONDS, "qwarp", &arguments)?;
        let target = facts.target.to_string();
        Ok(Subject {
            config: ModelConfig::read(&model)?,
            device: match hardware {
                true => strings(&["--device", "cuda"]),
                false => strings(&["--device", "emulator", "--emulate", &target, "--no-checks"]),
            },
            folder,
            model,
            programs,
            dtype,
            size,
            hardware,
        })
    }

    /// A path that nothing else has.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Arguments that say what runs where, and then `more`.
    pub fn arguments(&self, more: &[&str]) -> Vec<String> {
        let mut arguments = strings(&["--model", &display(&self.model)]);
        arguments.extend(strings(&["--dtype", self.dtype.name()]));
        arguments.extend(self.device.iter().cloned());
        arguments.extend(strings(more));
        arguments
    }

    /// A prompt of so many tokens; what it says means nothing.
    pub fn prompt(&self, tokens: usize) -> String {
        let ids = (0..tokens).map(|i| (i * 7919 + 13) % self.config.vocab_size);
        ids.map(|id| id.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Floating-point operations of a prompt of so many tokens.
    pub fn flops(&self, tokens: usize) -> Result<f64> {
        let graph = model::build(&self.config, self.dtype)?;
        let shape = qwarp::graph::cost::StepShape::prefill(tokens, 0);
        Ok(graph.step_cost(&shape, &|_| Ok(0))?.flops as f64)
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

/// A number of a report of another program.
fn number(report: &Value, path: &str) -> Result<f64> {
    let found = report.pointer(path).and_then(Value::as_f64);
    Ok(found.ok_or_else(|| format!("{path}: a number was expected in {report}"))?)
}
