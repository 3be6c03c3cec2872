//! A bar on a terminal, and the way out of a test that Ctrl-C takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use qwarp::Error;

use super::cases::Case;

/// Why a test has no result.
pub enum Stop {
    Interrupted,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

/// Where a run stands.
pub struct Progress {
    bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
}

impl Progress {
    /// Nothing done of `repetitions`.
    pub fn new(interrupted: Arc<AtomicBool>, repetitions: usize) -> Self {
        // Hidden by itself where stderr is not a terminal.
        let bar = ProgressBar::new(repetitions as u64);
        let template = "{bar:30} {pos}/{len} repetitions, {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar, interrupted }
    }

    /// Says what runs now.
    pub fn show(&self, case: &Case, part: &str) {
        self.bar.set_message(format!("{case}: {part}"));
    }

    /// One more repetition is done.
    pub fn repeated(&self) {
        self.bar.inc(1);
    }

    /// Between two steps: an error once Ctrl-C was pressed.
    pub fn check(&self) -> Result<(), Stop> {
        if self.interrupted.load(Ordering::SeqCst) {
            return Err(Stop::Interrupted);
        }
        Ok(())
    }

    /// Takes the bar away while `write` writes.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the bar away for good.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
