//! Seeded defects: kernels with one instruction wrong.
#![allow(dead_code, unused_imports, reason = "each program uses its own part")]

mod mutants;
mod mutators;
mod pipeline;
mod site;
mod verdict;

pub use mutants::{Mutant, all, named, of_kernels, spread};
pub use mutators::MUTATORS;
pub use verdict::{CasesByKernel, ON_HARDWARE, Verdict, emulator};
