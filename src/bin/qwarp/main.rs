//! The `qwarp` command: one subcommand a file.

mod bench;
mod convert;
#[path = "../shared/device.rs"]
mod device;
mod diff;
mod doctor;
#[path = "../shared/dtype.rs"]
mod dtype;
mod forced;
mod inspect;
#[path = "../shared/interrupt.rs"]
mod interrupt;
mod machine;
mod output;
mod plan;
mod profile;
#[path = "../shared/simd.rs"]
mod simd;
mod synth;
#[path = "../shared/threads.rs"]
mod threads;
mod units;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use qwarp::Error;

/// Inference engine for Qwen2-family models: the same bits every time.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 success, 1 failure during a run, 2 wrong argument, \
    3 a file that cannot be read, written or understood, 4 unsupported model, 5 too large, \
    130 interrupted, 141 the reader of the output has gone.";

#[derive(Subcommand)]
enum Command {
    Bench(bench::Args),
    Convert(convert::Args),
    Diff(diff::Args),
    Doctor(doctor::Args),
    Inspect(inspect::Args),
    Plan(Box<plan::Args>),
    Profile(profile::Args),
    Synth(synth::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Convert(args) => convert::run(args).map(|()| ExitCode::SUCCESS),
        Command::Diff(args) => diff::run(&args),
        Command::Doctor(args) => doctor::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Inspect(args) => inspect::run(args).map(|()| ExitCode::SUCCESS),
        Command::Plan(args) => plan::run(*args).map(|()| ExitCode::SUCCESS),
        Command::Profile(args) => profile::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Synth(args) => synth::run(&args),
    };
    match result {
        Ok(code) => code,
        // As a program that the signal of a closed pipe ends, and without a word.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {
            ExitCode::from(141)
        }
        Err(error) => {
            eprintln!("qwarp: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
