//! Which kind of work an instruction is, for the counters.

use crate::emu::counters::Class;
use crate::emu::op::{AluOp, Compared, Float, Op, SyncOp};

/// The class of an operation.
pub fn class(op: &Op) -> Class {
    match op {
        Op::Alu(op) => arithmetic(op),
        Op::Special(_) => Class::Integer,
        Op::Sync(SyncOp::Mma(_)) => Class::Matrix,
        Op::Memory(_) => Class::Memory,
        Op::Sync(_) => Class::Sync,
        Op::Branch { .. } | Op::Exit | Op::Trap | Op::GridWait | Op::Nothing => Class::Control,
    }
}

fn arithmetic(op: &AluOp) -> Class {
    match op {
        AluOp::F32 { .. }
        | AluOp::F32Rounded { .. }
        | AluOp::F64(_)
        | AluOp::Approx { .. }
        | AluOp::Test { .. } => Class::Float,
        AluOp::Half { .. } | AluOp::ApproxHalf { .. } => Class::Half,
        AluOp::IntToFloat { .. }
        | AluOp::HalfToFloat(_)
        | AluOp::FloatToHalf(_)
        | AluOp::FloatsToPair { .. }
        | AluOp::Resize { .. }
        | AluOp::Convert(_) => Class::Conversion,
        AluOp::Compare { ty, .. } | AluOp::Set { ty, .. } => match ty {
            Compared::Int(_) => Class::Integer,
            Compared::Float(Float::F32 | Float::F64) => Class::Float,
            Compared::Float(_) | Compared::Pair(_) => Class::Half,
        },
        _ => Class::Integer,
    }
}
