//! A GPU in software: runs the PTX that ships, instruction by instruction, and finds what hardware hides.

pub mod check;
pub mod counters;
pub mod exec;
pub mod op;
pub mod program;
pub mod ptx;
mod report;
mod rows;

pub use report::{Place, Report, ReportKind};
pub use rows::{LANES, Row, Rows, Slot, WideRow};
