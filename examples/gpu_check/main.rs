//! Checks a GPU against everything that the emulator promises: pass cases bit for bit, every kernel case against its
//! reference, kernel times beside a copy measured in the same run, compute-sanitizer's verdicts beside the emulator's.
//!
//! `tools/gpu_check` builds it into a folder that runs without Rust. `--driver emulator` goes the same way without a GPU.

#[allow(
    clippy::expect_used,
    reason = "shared with tests, which fail by panicking: the PTX is our own"
)]
#[path = "../../tests/support/defects/mod.rs"]
mod defects;
#[path = "../../tests/support/gpu_bench/mod.rs"]
mod gpu_bench;
#[path = "../../tests/support/gpu_cases/mod.rs"]
mod gpu_cases;
#[path = "../../tests/support/kernel_table/mod.rs"]
mod kernel_table;
#[path = "../../tests/support/ptx_case.rs"]
mod ptx_case;

mod bench;
mod devices;
mod emu_cases;
mod kernel_cases;
mod part;
mod profile;
mod report;
mod sanitizer;
mod seeded;

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
    /// Write every figure to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
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
    Bench,
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
    let wants = |part| cli.only.is_empty() || cli.only.contains(&part);
    if wants(PartName::Cases) {
        report.add(emu_cases::run(&devices, &cli.cases))?;
    }
    if wants(PartName::Kernels) {
        kernel_cases::run(&devices, cli.quick, &mut report)?;
    }
    if wants(PartName::Bench) {
        bench::run(&devices, cli.quick, &mut report)?;
    }
    // The same on every machine, so a quick run need not make it again.
    if wants(PartName::Profile) && !cli.quick {
        report.add(profile::run())?;
    }
    if wants(PartName::Sanitizer) {
        report.add(sanitizer::tools(cli))?;
        report.add(seeded::run(&devices, cli))?;
    }
    report.finish()
}
