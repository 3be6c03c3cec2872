//! Loads, stores, atomics, asynchronous copies and `ldmatrix`.

use crate::emu::ptx::Space;

/// An operation on memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MemoryOp {
    /// `count` elements of `bytes` bytes from an address to registers.
    Load {
        /// Which memory.
        space: Space,
        /// Bytes of an element.
        bytes: u8,
        /// Elements: 1, 2 or 4.
        count: u8,
    },
}
