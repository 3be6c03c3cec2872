//! `generate`: one prompt, one model, bare, for latency experiments.

mod args;
#[path = "../shared/cache_dir.rs"]
mod cache_dir;
#[path = "../shared/device.rs"]
mod device;
#[path = "../shared/dtype.rs"]
mod dtype;
#[path = "../shared/interrupt.rs"]
mod interrupt;
mod logits_file;
mod prompt;
mod report;
mod run;
mod sampling;
#[path = "../shared/simd.rs"]
mod simd;
#[path = "../shared/threads.rs"]
mod threads;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let interrupted = interrupt::flag();
    match run::run(&cli, &interrupted) {
        Ok(()) if interrupted.load(Ordering::SeqCst) => ExitCode::from(interrupt::EXIT_CODE),
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has gone, as `head` does; what a shell reports for SIGPIPE.
        Err(qwarp::Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {
            ExitCode::from(141)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
