//! Kernel benchmarks: each kernel at decode and prefill sizes of the real models, timed by events, beside a copy measured in
//! the same run. One table feeds `benches/kernels.rs` and the run on a GPU machine.
#![allow(dead_code, unused_imports, reason = "each program uses its own part")]

mod buffers;
mod copy;
mod sizes;
mod timing;
mod workload;

pub use buffers::Buffers;
pub use copy::copy;
pub use sizes::{Model, Op, QUICK, REAL, rows};
pub use timing::{Flush, Stats, cold, warm};
pub use workload::{Shape, Work};
