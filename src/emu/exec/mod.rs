//! Running decoded programs.

pub mod approx;
pub mod mma;
