//! The real 0.5B on the emulator, every check on, against the committed logits of Hugging Face transformers: a prompt
//! prefilled in one step, then one token a step. `tools/emulate-real` builds and runs it.

#[path = "../../tests/support/by_hand.rs"]
mod by_hand;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with tests, which fail by panicking: the reference is our own"
)]
#[path = "../../tests/support/real_case.rs"]
mod real_case;
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared with tests, which fail by panicking: the reference is our own"
)]
#[path = "../../tests/support/reference.rs"]
mod reference;
#[allow(dead_code, reason = "each program uses its own part")]
#[path = "../../tests/support/visits.rs"]
mod visits;

mod compare;
mod report;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use qwarp::DType;
use qwarp::driver::Target;

/// What the program may fail with.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs the real 0.5B on the emulator and holds its logits against the committed reference
#[derive(Parser, Debug)]
#[command(name = "emulate-real", max_term_width = 100)]
pub struct Cli {
    /// The model's folder, as tools/get-model fills it
    #[arg(
        long,
        value_name = "DIR",
        default_value = "models/qwen2.5-coder-0.5b-instruct"
    )]
    model: PathBuf,
    /// The code that runs
    #[arg(long, value_enum, default_value_t = TargetName::Sm80)]
    target: TargetName,
    /// The type of matrix inputs and of the KV cache; sm_75 has f16 alone
    #[arg(long, value_enum, default_value_t = TypeName::Bf16)]
    dtype: TypeName,
    /// Run every target and type instead of one
    #[arg(long, conflicts_with_all = ["target", "dtype"])]
    all: bool,
    /// The reference's prompt
    #[arg(long, default_value = "english")]
    case: String,
    /// Tokens of the prompt that are prefilled in one step
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    prefill: u16,
    /// Tokens of the prompt behind them, each in a step of its own
    #[arg(long, default_value_t = 4)]
    decode: u16,
    /// Do not look for races and unwritten memory; bounds, alignment and barriers are always checked
    #[arg(long)]
    no_checks: bool,
    /// Host threads [default: all]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Write every figure to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TargetName {
    #[value(name = "sm_75")]
    Sm75,
    #[value(name = "sm_80")]
    Sm80,
    #[value(name = "sm_90")]
    Sm90,
}

/// A type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TypeName {
    F16,
    Bf16,
}

impl Cli {
    /// What is to be run.
    fn configurations(&self) -> Vec<(Target, DType)> {
        if self.all {
            return vec![
                (Target::Sm75, DType::F16),
                (Target::Sm80, DType::F16),
                (Target::Sm80, DType::Bf16),
                (Target::Sm90, DType::Bf16),
            ];
        }
        let target = match self.target {
            TargetName::Sm75 => Target::Sm75,
            TargetName::Sm80 => Target::Sm80,
            TargetName::Sm90 => Target::Sm90,
        };
        let dtype = match self.dtype {
            TypeName::F16 => DType::F16,
            TypeName::Bf16 => DType::Bf16,
        };
        vec![(target, dtype)]
    }
}

/// The program: 0 where every run is within its bounds, 1 where one is not, 2 where it could not be told.
fn main() -> ExitCode {
    match all(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Every run; whether all are within their bounds.
fn all(cli: &Cli) -> Result<bool> {
    let prompt = run::Prompt::read(cli)?;
    report::header(cli);
    let mut results = Vec::new();
    for (target, dtype) in cli.configurations() {
        let outcome = run::run(cli, &prompt, target, dtype)?;
        report::row(&outcome);
        results.push(outcome);
    }
    if let Some(file) = &cli.json {
        let text = serde_json::to_string_pretty(&report::json(cli, &results))?;
        std::fs::write(file, text + "\n").map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(results.iter().all(run::Outcome::passed))
}
