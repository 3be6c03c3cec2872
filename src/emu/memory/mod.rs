//! The bytes that kernels work on.

mod device;
mod words;

pub use device::{Allocation, Content, Device};
pub use words::{Words, WordsMut, fill, read, write};
