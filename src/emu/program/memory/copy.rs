//! Decoding of `cp.async`.

use super::qualifiers::named_space;
use crate::driver::Target;
use crate::emu::op::{CopySize, MemoryOp, Op};
use crate::emu::program::error::DecodeError;
use crate::emu::program::parts::{Parts, operands};
use crate::emu::program::{Decoded, PredSource, Resolver};
use crate::emu::ptx::{Instruction, Operand, Space, Type};

/// `cp.async.{ca,cg}`, `cp.async.commit_group`, `cp.async.wait_group`, `cp.async.wait_all`.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let mut parts = Parts::new(at, 1);
    if !parts.accept("async") {
        return Err(parts.refuse());
    }
    if names.target < Target::Sm80 {
        return Err(DecodeError::new(
            at,
            format!("{} has no cp.async", names.target),
        ));
    }
    if parts.accept("commit_group") {
        parts.end()?;
        operands(at, 0, 0)?;
        return Ok(Decoded::new(Op::Memory(MemoryOp::AsyncCommit)));
    }
    if parts.accept("wait_all") {
        parts.end()?;
        operands(at, 0, 0)?;
        let wait = MemoryOp::AsyncWait { all: true };
        return Ok(Decoded::new(Op::Memory(wait)));
    }
    if parts.accept("wait_group") {
        parts.end()?;
        let Operand::Integer(left) = operands(at, 1, 1)?[0] else {
            return Err(DecodeError::new(
                at,
                "the count of groups must be a number".into(),
            ));
        };
        return Ok(Decoded {
            immediate: left.min(u64::from(u32::MAX)) as i64,
            ..Decoded::new(Op::Memory(MemoryOp::AsyncWait { all: false }))
        });
    }
    copy(at, names, parts)
}

fn copy(at: &Instruction, names: &Resolver, mut parts: Parts<'_>) -> Result<Decoded, DecodeError> {
    let only_16 = match parts.one_of(&[("ca", false), ("cg", true)]) {
        Some(only_16) => only_16,
        None => return Err(parts.refuse()),
    };
    let to_shared = parts.peek().and_then(named_space) == Some(Space::Shared);
    parts.take();
    if !to_shared || !parts.accept("global") {
        let what = "cp.async is modelled from global to shared memory only".to_string();
        return Err(DecodeError::new(at, what));
    }
    parts.one_of(&[("L2::64B", ()), ("L2::128B", ()), ("L2::256B", ())]);
    parts.end()?;
    let operands = operands(at, 3, 4)?;
    let to = names.address(at, &operands[0])?;
    let from = names.address(at, &operands[1])?;
    if !from.wide || from.space.is_some() || to.space.is_some_and(|s| s != Space::Shared) {
        let what =
            "cp.async is modelled from a 64-bit global address to one in shared memory".into();
        return Err(DecodeError::new(at, what));
    }
    let bytes = match operands[2] {
        Operand::Integer(16) => 16,
        Operand::Integer(bytes @ (4 | 8)) if !only_16 => bytes as u8,
        ref other => {
            return Err(DecodeError::new(
                at,
                format!("{other:?} is no size of this cp.async"),
            ));
        }
    };
    let (Ok(to_offset), Ok(from_offset)) = (i32::try_from(to.offset), i32::try_from(from.offset))
    else {
        return Err(DecodeError::new(at, "an offset over 31 bits".into()));
    };
    let mut uses = vec![to.base, from.base];
    let mut pred_uses = [PredSource::NONE; 2];
    let size = match operands.get(3) {
        None => CopySize::All,
        Some(operand) => match pred(at, names, operand) {
            Some(pred) => {
                pred_uses[0] = pred?;
                CopySize::Ignore
            }
            None => {
                uses.push(names.source(at, operand, Type::U32)?);
                CopySize::Operand
            }
        },
    };
    let copy = MemoryOp::AsyncCopy {
        bytes,
        size,
        wide_to: to.wide,
    };
    Ok(Decoded {
        uses,
        pred_uses,
        immediate: i64::from(to_offset) << 32 | i64::from(from_offset as u32),
        ..Decoded::new(Op::Memory(copy))
    })
}

/// The last operand as a predicate, if it is one.
fn pred(
    at: &Instruction,
    names: &Resolver,
    operand: &Operand,
) -> Option<Result<PredSource, DecodeError>> {
    let is_pred = match operand {
        Operand::Not(_) => true,
        Operand::Name(name) => matches!(names.register(at, name), Ok((_, Type::Pred))),
        _ => false,
    };
    is_pred.then(|| names.pred_source(at, operand))
}
