//! Checks a GPU against everything that the emulator promises: pass cases bit for bit, every kernel case against its
//! reference, golden logits, kernel times beside a copy measured in the same run, a model of full size beside HF transformers,
//! compute-sanitizer's verdicts beside the emulator's.
//!
//! `tools/gpu_check` builds it into a folder that runs without Rust. `--driver emulator` goes the same way without a GPU.

#[allow(dead_code, reason = "each program uses its own part")]
#[path = "../../tests/support/by_hand.rs"]
mod by_hand;
#[allow(
    clippy::unwrap_used,
    reason = "shared with tests, which fail by panicking: the bytes are our own"
)]
#[path = "../../tests/support/byte_tokenizer.rs"]
mod byte_tokenizer;
#[allow(
    clippy::expect_used,
    reason = "shared with tests, which fail by panicking: the PTX is our own"
)]
#[path = "../../tests/support/defects/mod.rs"]
mod defects;
#[path = "../../tests/support/golden_run.rs"]
mod golden_run;
#[path = "../../tests/support/gpu_bench/mod.rs"]
mod gpu_bench;
#[path = "../../tests/support/gpu_cases/mod.rs"]
mod gpu_cases;
#[path = "../../tests/support/kernel_table/mod.rs"]
mod kernel_table;
#[path = "../../tests/support/ptx_case.rs"]
mod ptx_case;
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared with tests, which fail by panicking: the reference is our own"
)]
#[path = "../../tests/support/reference.rs"]
mod reference;
#[allow(
    clippy::unwrap_used,
    reason = "shared with tests, which fail by panicking: the model is our own"
)]
#[path = "../../tests/support/synthetic.rs"]
mod small_model;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with tests, which fail by panicking: the reference is our own"
)]
#[path = "../../tests/support/tiny.rs"]
mod tiny;
#[allow(dead_code, reason = "each program uses its own part")]
#[path = "../../tests/support/visits.rs"]
mod visits;

mod bench;
mod devices;
mod emu_cases;
mod golden;
mod kernel_cases;
mod part;
mod profile;
mod programs;
mod report;
mod sanitizer;
mod seeded;
mod synthetic;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use devices::Devices;
use report::Report;

/// What the program may fail with before any check has run.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Checks a GPU against what the emulator promises
#[derive(Parser, Debug)]
#[command(name = "gpu_check", max_term_width = 100)]
pub struct Cli {
    /// What runs the kernels
    #[arg(long, value_enum, default_value_t = DriverName::Cuda)]
    driver: DriverName,
    /// Run this part alone (repeatable)
    #[arg(long, value_enum)]
    only: Vec<PartName>,
    /// The folder of pass cases
    #[arg(long, value_name = "DIR", default_value = "tests/emu_pass")]
    cases: PathBuf,
    /// The folder of golden checkpoints
    #[arg(long, value_name = "DIR", default_value = "tests/golden/tiny")]
    golden: PathBuf,
    /// The folder of qwarp and generate
    #[arg(long, value_name = "DIR", default_value = "target/release")]
    programs: PathBuf,
    /// config.json of the synthetic model
    #[arg(
        long,
        value_name = "FILE",
        default_value = "tests/data/config/deepseek-r1-distill-qwen-1.5b.json"
    )]
    config: PathBuf,
    /// The folder of its tokenizer [default: one of single bytes]
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// What runs the script: a Python that has torch and transformers
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
    /// The script that runs HF transformers
    #[arg(long, value_name = "FILE", default_value = "tools/gpu_check_hf.py")]
    script: PathBuf,
    /// Write every figure to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep what that file has of parts that this run leaves out
    #[arg(long, requires = "json")]
    keep: bool,
    /// The commit that was built, for the JSON file
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// The date, for the JSON file
    #[arg(long, default_value = "unknown")]
    date: String,
    /// Fewer cases and repetitions, and small shapes
    #[arg(long)]
    quick: bool,
    /// Run the cases of one seeded defect; the exit code says what became of it
    #[arg(long, hide = true, value_name = "KERNEL/KIND/INDEX")]
    defect: Option<String>,
}

/// What runs the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DriverName {
    Cuda,
    Emulator,
}

/// A part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PartName {
    Cases,
    Kernels,
    Golden,
    Bench,
    Synthetic,
    Profile,
    Sanitizer,
}

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.defect {
        Some(name) => Devices::open(cli.driver).and_then(|d| seeded::child(&d, name)),
        None => run(&cli).map(|passed| if passed { 0 } else { 1 }),
    };
    done.map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::from(2)
        },
        ExitCode::from,
    )
}

/// Every part that is wanted; whether all of it passed.
fn run(cli: &Cli) -> Result<bool> {
    let mut report = Report::new(cli);
    let devices = match Devices::open(cli.driver) {
        Ok(devices) => devices,
        Err(error) => {
            report.fail(&error.to_string())?;
            return Err(error);
        }
    };
    report.on(&devices);
    let all = PartName::value_variants().iter().copied();
    let (run, left_out): (Vec<_>, Vec<_>) = all.partition(|part| cli.leaves_out(*part).is_none());
    for part in left_out {
        report.leave_out(part.name(), cli.leaves_out(part).unwrap_or_default());
    }
    report.keep()?;
    for part in run {
        report.begin(part.name());
        part.run(&devices, cli, &mut report)?;
    }
    report.finish()
}

impl Cli {
    /// Why a part is not run, if it is not.
    fn leaves_out(&self, part: PartName) -> Option<&'static str> {
        let wanted = self.only.is_empty() || self.only.contains(&part);
        if !wanted {
            return Some("--only names other parts");
        }
        let slow = self.quick && part == PartName::Profile;
        slow.then_some("the same on every machine, so --quick does not make it again")
    }
}

impl PartName {
    /// As on the command line.
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_string())
    }

    fn run(self, devices: &Devices, cli: &Cli, report: &mut Report<'_>) -> Result<()> {
        match self {
            PartName::Cases => report.add(emu_cases::run(devices, &cli.cases)),
            PartName::Kernels => kernel_cases::run(devices, cli.quick, report),
            PartName::Golden => golden::run(devices, &cli.golden, cli.quick, report),
            PartName::Bench => bench::run(devices, cli.quick, report),
            PartName::Synthetic => synthetic::run(devices, cli, report),
            PartName::Profile => report.add(profile::run()),
            PartName::Sanitizer => {
                report.add(sanitizer::tools(cli))?;
                report.add(seeded::run(devices, cli))
            }
        }
    }
}
