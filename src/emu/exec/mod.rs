//! Running decoded programs.

pub mod mma;
