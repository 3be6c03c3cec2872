//! The CUDA side of the driver seam against a stand-in for libcuda.so.1 that keeps the books (`libcuda.c`): libraries that
//! are missing, old or short of a function, cards of any generation, and every call made to fail in turn.
//!
//! The library is looked up once in a process, so each trial is a process of its own: `qwarp doctor`, or this program again
//! with `--tour`, which opens the device and calls everything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod doctor;
mod faults;
mod stub;
mod tour;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(tour::ARGUMENT) {
        return tour::run();
    }
    let arguments = Arguments::from_args();
    if !cfg!(target_os = "linux") {
        println!("skipped: the stand-in takes the place of a Linux library");
        return ExitCode::SUCCESS;
    }
    let trials = doctor::TRIALS.iter().chain(faults::TRIALS);
    let trials = trials.map(|(name, check)| {
        Trial::test(*name, move || {
            check();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
