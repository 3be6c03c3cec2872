//! Lane-by-lane operations: registers and predicates to registers and predicates.

/// An operation on the lanes of a warp, each for itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AluOp {
    /// `mov` of 32 bits.
    Mov32,
}
