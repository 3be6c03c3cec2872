//! Running a plan on a GPU, or on the emulator, which takes the same images and launches.

pub mod kernels;
pub mod launch;
pub mod pack;
