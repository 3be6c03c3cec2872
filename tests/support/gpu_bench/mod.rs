//! Times of the kernel cases by events, beside a copy measured in the same run. Feeds `benches/kernels.rs` and the run on a
//! GPU machine.
#![allow(dead_code, unused_imports, reason = "each program uses its own part")]

mod copy;
mod timing;

pub use copy::copy;
pub use timing::{Flush, Stats, cold, warm};
