//! Every kernel on every target, through the launch code that ships, on the emulator with all checks on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../support/gpu_cases/mod.rs"]
mod gpu_cases;
#[path = "../support/kernels.rs"]
mod kernels;

mod attention_rows;
mod fused;
mod overflow;
mod ptx_text;
mod reference;
mod refusals;
mod row_invariance;
mod shapes;
mod widths;

use qwarp::backend::gpu::kernels::Kernels;
use qwarp::driver::Target;
use qwarp::emu::{EmuOptions, Emulator};

/// An emulator of `target` with every check on, and the kernels loaded on it; without embedded kernels one line, which is a
/// failure where the build was told to have them.
fn emulator(target: Target) -> Option<(Emulator, Kernels)> {
    if !kernels::have_kernels() {
        return None;
    }
    let emulator = Emulator::new(EmuOptions {
        target,
        host_threads: 1,
        checks: true,
        counters: false,
    });
    let kernels = Kernels::load(&emulator).unwrap();
    Some((emulator, kernels))
}
