//! What threads do together: barriers, fences, shuffles, votes, tensor-core products.

use super::MmaForm;
use super::memory::Scope;

/// What a barrier does once the threads are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarrierKind {
    /// Waits for the others.
    Sync,
    /// Counts itself and goes on.
    Arrive,
    /// Waits, and gives the count of threads whose predicate held.
    Count,
    /// Waits, and tells whether all predicates held.
    All,
    /// Waits, and tells whether any predicate held.
    Any,
}

/// Where a shuffle's lane reads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShuffleMode {
    /// A lane below.
    Up,
    /// A lane above.
    Down,
    /// The lane whose number differs in the given bits.
    Butterfly,
    /// A lane by number.
    Index,
}

/// What is asked of the predicates of a warp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteMode {
    /// Whether all hold.
    All,
    /// Whether any holds.
    Any,
    /// Whether all are the same.
    Uniform,
    /// Which hold.
    Ballot,
}

/// How `redux.sync` joins the values of a warp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum ReduceMode {
    Add,
    MinUnsigned,
    MaxUnsigned,
    MinSigned,
    MaxSigned,
    And,
    Or,
    Xor,
}

/// An operation that more than one thread takes part in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SyncOp {
    /// `bar`: sources are the barrier's number and, where given, the count of threads; the predicate is what is reduced.
    Barrier(BarrierKind),
    /// `bar.warp.sync`: the source is the mask.
    WarpSync,
    /// `membar`, `fence`.
    Fence(Scope),
    /// `shfl.sync`: value, lane, clamp and segment mask, member mask; the predicate tells whether the lane was in range.
    Shuffle(ShuffleMode),
    /// `vote.sync`: the predicate and the member mask.
    Vote(VoteMode),
    /// `match.any.sync`: value and member mask.
    MatchAny {
        /// Whether values have 64 bits.
        wide: bool,
    },
    /// `match.all.sync`.
    MatchAll {
        /// Whether values have 64 bits.
        wide: bool,
    },
    /// `redux.sync`: value and member mask.
    Reduce(ReduceMode),
    /// `activemask`.
    ActiveMask,
    /// `mma.sync`: the rows of A, B and C.
    Mma(MmaForm),
}

impl SyncOp {
    /// Whether CTAs can speak to each other through it: fences that reach beyond the CTA.
    pub fn communicates(&self) -> bool {
        matches!(self, SyncOp::Fence(scope) if *scope > Scope::Cta)
    }
}
