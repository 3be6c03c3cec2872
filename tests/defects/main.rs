//! Seeded defects: our kernels with one instruction wrong, run through the kernel cases on the emulator with every check on.
//! Each must be caught, by a check or by a wrong result; the few that are not are explained in `survivors.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../support/defects/mod.rs"]
mod defects;
#[path = "../support/gpu_cases/mod.rs"]
mod gpu_cases;
#[path = "../support/kernels.rs"]
mod kernels;

mod kinds;
mod seeded;
mod survivors;
mod table;
