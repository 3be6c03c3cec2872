//! A GPU in software: runs the PTX that ships, instruction by instruction, and finds what hardware hides.

pub mod exec;
pub mod program;
pub mod ptx;
mod report;

pub use report::{Place, Report, ReportKind};
