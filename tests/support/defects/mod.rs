//! Seeded defects: kernels with one instruction wrong.

mod mutants;
mod mutators;
mod site;

pub use mutants::{Mutant, all, spread};
pub use mutators::MUTATORS;
