//! Seeded defects: kernels with one instruction wrong.
#![allow(dead_code, unused_imports, reason = "each program uses its own part")]

mod mutants;
mod mutators;
mod site;

pub use mutants::{Mutant, all, spread};
pub use mutators::MUTATORS;
