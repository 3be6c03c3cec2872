//! Ctrl-C: the first asks a run to end with what it has, the second ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of an interrupted run, as shells give it.
pub const EXIT_CODE: u8 = 130;

/// A flag that Ctrl-C sets from now on.
pub fn flag() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    // Without a handler Ctrl-C still ends the program, only without its last words.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            // A second Ctrl-C does not wait for the step.
            std::process::exit(i32::from(EXIT_CODE));
        }
    });
    interrupted
}
