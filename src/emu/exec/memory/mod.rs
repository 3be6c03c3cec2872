//! Loads, stores, atomics, asynchronous copies and `ldmatrix`.

mod address;
mod atomic;
mod bounds;
mod copy;
mod load;
mod matrix;
mod observe;
mod store;
mod transfer;
mod value;

pub use bounds::global_memory;
pub use load::local_stride;
pub use observe::{clock_scope, conflict_fault};

use super::context::Context;
use super::fault::Checked;
use crate::emu::op::MemoryOp;
use crate::emu::program::Inst;

/// Runs a memory instruction for the lanes of `cx.lanes.mask`; there is at least one.
pub fn execute(cx: &mut Context<'_>, inst: &Inst, op: MemoryOp) -> Checked<()> {
    run(cx, inst, op).map_err(|fault| value::attach(cx, inst, op, fault))
}

#[inline(always)]
fn run(cx: &mut Context<'_>, inst: &Inst, op: MemoryOp) -> Checked<()> {
    match op {
        MemoryOp::Load {
            span,
            widen,
            order,
            unchanging,
        } => load::execute(cx, inst, (span, widen), order, unchanging),
        MemoryOp::Store {
            span,
            order,
            wide_values,
        } => store::execute(cx, inst, span, order, wide_values),
        MemoryOp::Atomic {
            span,
            function,
            ty,
            order,
        } => atomic::execute(cx, inst, span, (function, ty), order),
        MemoryOp::AsyncCopy {
            bytes,
            size,
            wide_to,
        } => copy::execute(cx, inst, u32::from(bytes), size, wide_to),
        MemoryOp::AsyncCommit => copy::commit(cx),
        MemoryOp::AsyncWait { all } => copy::wait(cx, inst, all),
        MemoryOp::LoadMatrix {
            count,
            transposed,
            space,
            wide,
        } => matrix::execute(cx, inst, usize::from(count), transposed, (space, wide)),
    }
}
