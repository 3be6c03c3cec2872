//! Running decoded programs.

pub mod alu;
pub mod approx;
mod arrive;
mod barrier;
mod collective;
mod context;
mod counting;
mod cta;
mod fault;
mod grid;
mod launch;
mod memory;
pub mod mma;
mod number;
mod poison;
mod progress;
mod special;
mod step;
mod warp;
mod watch;

pub use fault::{Checked, Fault, Spot};
pub use grid::{Grid, Window, thread_ids, words};
pub use launch::{Outcome, run};
