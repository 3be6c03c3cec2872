//! What each kernel uses and moves on each target, as a table, and the limits that it is held to: registers and occupancy by
//! ptxas, traffic by the emulator's counters. No figure is a time, so the table is the same on every machine that has the
//! same compilers. Feeds `tests/kernel_table`, `tools/kernel-table` and the run on a GPU machine.
#![allow(dead_code, unused_imports, reason = "each program uses its own part")]

mod limits;
mod measure;
mod text;

pub use limits::breaches;
pub use measure::{Row, measure};
pub use text::text;
