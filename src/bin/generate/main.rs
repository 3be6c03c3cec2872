//! `generate`: one prompt, one model, bare, for latency experiments.

mod args;
#[path = "../common/cache_dir.rs"]
mod cache_dir;
mod logits_file;
mod prompt;
mod report;
mod run;
mod sampling;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    // Without a handler Ctrl-C still ends the program, only without the table.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            // A second Ctrl-C does not wait for the step.
            std::process::exit(130);
        }
    });
    match run::run(&cli, &interrupted) {
        Ok(()) if interrupted.load(Ordering::SeqCst) => ExitCode::from(130),
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
