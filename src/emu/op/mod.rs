//! What instructions do, as data: the decoder makes these, the executor runs them.

mod alu;
mod memory;
mod mma_form;
mod number;
mod sync;

pub use alu::{
    AluOp, ApproxOp, CarryOp, Cmp, Combine, Compared, Conversion, DotForm, FieldOp, FloatOp,
    HalfClamp, IntOp, LogicOp, Number, Packing, PermuteMode, PredicateOp, SetResult, TestOp,
};
pub use memory::{AtomicFunction, CopySize, MemoryOp, Order, Scope, Span, Widen};
pub use mma_form::{MmaForm, Shape};
pub use number::{Float, Half, Int, Rounding, Width};
pub use sync::{BarrierKind, ReduceMode, ShuffleMode, SyncOp, VoteMode};

/// What an instruction does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// Lane by lane, registers and predicates to registers and predicates; no memory, no other lane.
    Alu(AluOp),
    /// `mov` from a special register.
    Special(Special),
    /// Loads, stores, atomics, asynchronous copies, `ldmatrix`.
    Memory(MemoryOp),
    /// Barriers, fences and what lanes do together: shuffles, votes, `redux`, `match`, `mma`.
    Sync(SyncOp),
    /// `bra`: to an index of the code.
    Branch {
        /// The index.
        to: u32,
    },
    /// `ret` or `exit`.
    Exit,
    /// `trap`.
    Trap,
    /// `griddepcontrol.wait`: for the launches before. Here they have ended, but the checks know who has not asked.
    GridWait,
    /// Nothing that can be seen (`griddepcontrol.launch_dependents`, prefetches, hints): launches run one after the other.
    Nothing,
}

/// Special registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    /// `%tid.x`, `.y`, `.z` by index.
    Tid(u8),
    /// `%ntid`.
    Ntid(u8),
    /// `%ctaid`.
    Ctaid(u8),
    /// `%nctaid`.
    Nctaid(u8),
    /// `%laneid`.
    LaneId,
    /// `%warpid`.
    WarpId,
    /// `%nwarpid`.
    NwarpId,
    /// `%lanemask_eq`, `le`, `lt`, `ge`, `gt` by index.
    LaneMask(u8),
    /// `%dynamic_smem_size`.
    DynamicShared,
    /// `%total_smem_size`.
    TotalShared,
    /// `%smid`: always 0.
    SmId,
    /// `%clock` or `%clock64`: instructions that the warp has run.
    Clock,
}

impl Op {
    /// Whether a zero among the second operands leaves the result open: integer division.
    pub fn divides(&self) -> bool {
        matches!(
            self,
            Op::Alu(AluOp::Int {
                op: IntOp::Div | IntOp::Rem,
                ..
            })
        )
    }

    /// Whether CTAs can speak to each other through it.
    pub fn communicates(&self) -> bool {
        match self {
            Op::Memory(op) => op.communicates(),
            Op::Sync(op) => op.communicates(),
            _ => false,
        }
    }
}
