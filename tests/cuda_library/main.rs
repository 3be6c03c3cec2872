//! The CUDA side of the driver seam against a stand-in for libcuda.so.1 that keeps the books (`libcuda.c`): libraries that
//! are missing, old or short of a function, cards of any generation, and every call made to fail in turn.
//!
//! The library is looked up once in a process, so each trial is a process of its own: `qwarp doctor`, `qwarp bench`, `generate`, or this program again,
//! with `--tour`, which opens the device and calls everything, or as `examples/gpu_check`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::duplicate_mod,
    reason = "gpu_check is a program of its own, with its own copies of what is shared"
)]

mod bench;
mod checks;
mod doctor;
mod faults;
mod generate;
mod stub;
mod tour;

#[path = "../support/byte_tokenizer.rs"]
mod byte_tokenizer;
#[path = "../../examples/gpu_check/main.rs"]
mod gpu_check;
#[path = "../support/kernels.rs"]
mod kernels;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(tour::ARGUMENT) => return tour::run(tour::tour),
        Some(tour::TWO) => return tour::run(tour::two),
        _ => {}
    }
    if std::env::var_os(checks::ROLE).is_some() {
        return gpu_check::main();
    }
    let arguments = Arguments::from_args();
    if !cfg!(target_os = "linux") {
        println!("skipped: the stand-in takes the place of a Linux library");
        return ExitCode::SUCCESS;
    }
    let trials = doctor::TRIALS
        .iter()
        .chain(faults::TRIALS)
        .chain(generate::TRIALS)
        .chain(bench::TRIALS)
        .chain(checks::TRIALS);
    let trials = trials.map(|(name, check)| {
        Trial::test(*name, move || {
            check();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
