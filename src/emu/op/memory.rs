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

impl MemoryOp {
    /// The space and the bytes of one element of an access, for the grain of the race check.
    pub fn access(&self) -> Option<(Space, u8)> {
        match *self {
            MemoryOp::Load { space, bytes, .. } => Some((space, bytes)),
        }
    }

    /// Whether CTAs can speak to each other through it: atomics and releases in global memory.
    pub fn communicates(&self) -> bool {
        match self {
            MemoryOp::Load { .. } => false,
        }
    }
}
