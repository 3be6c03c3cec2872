//! A GPU in software: runs the PTX that ships, instruction by instruction, and finds what hardware hides.

pub mod check;
pub mod counters;
mod emulator;
pub mod exec;
mod memory;
pub mod op;
pub mod program;
pub mod ptx;
mod report;
mod rows;

pub use emulator::{Counted, EmuOptions, Emulator};
pub use report::{Place, Report, ReportKind};
pub use rows::{LANES, LOCAL_WINDOW, Row, Rows, SHARED_WINDOW, Slot, WINDOW_SHIFT, WideRow};
