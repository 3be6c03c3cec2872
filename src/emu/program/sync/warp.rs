//! Decoding of what the lanes of a warp do together: `shfl`, `vote`, `match`, `redux`, `activemask`.

use crate::driver::Target;
use crate::emu::op::{Op, ReduceMode, ShuffleMode, SyncOp, VoteMode};
use crate::emu::program::error::DecodeError;
use crate::emu::program::parts::{Parts, operands};
use crate::emu::program::{Decoded, Resolver};
use crate::emu::ptx::{Instruction, Operand, Type};

/// The parts behind `.sync`, which every one of these must have.
fn synced<'a>(at: &'a Instruction, skip: usize) -> Result<Parts<'a>, DecodeError> {
    let mut parts = Parts::new(at, skip);
    match parts.accept("sync") {
        true => Ok(parts),
        false => Err(parts.refuse()),
    }
}

/// A destination register, with a predicate behind it in `d|p`.
fn results(
    at: &Instruction,
    names: &Resolver,
    operand: &Operand,
    inst: &mut Decoded,
) -> Result<(), DecodeError> {
    match operand {
        Operand::Pair(register, pred) => {
            let register = Operand::Name(register.clone());
            inst.defs.push(names.dest(at, &register, 4)?);
            inst.pred_defs[0] = names.pred_dest(at, pred)?;
        }
        register => inst.defs.push(names.dest(at, register, 4)?),
    }
    Ok(())
}

/// `shfl.sync.mode.b32 d{|p}, a, b, c, membermask`.
pub fn shuffle(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let mut parts = synced(at, 1)?;
    let mode = parts.one_of(&[
        ("up", ShuffleMode::Up),
        ("down", ShuffleMode::Down),
        ("bfly", ShuffleMode::Butterfly),
        ("idx", ShuffleMode::Index),
    ]);
    let mode = mode.ok_or_else(|| parts.refuse())?;
    parts.last_type(&[Type::B32])?;
    let operands = operands(at, 5, 5)?;
    let mut inst = Decoded::new(Op::Sync(SyncOp::Shuffle(mode)));
    results(at, names, &operands[0], &mut inst)?;
    for operand in &operands[1..] {
        inst.uses.push(names.source(at, operand, Type::B32)?);
    }
    Ok(inst)
}

/// `vote.sync.{all,any,uni}.pred p, {!}a, membermask` and `vote.sync.ballot.b32 d, {!}a, membermask`.
pub fn vote(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let mut parts = synced(at, 1)?;
    let mode = parts.one_of(&[
        ("all", VoteMode::All),
        ("any", VoteMode::Any),
        ("uni", VoteMode::Uniform),
        ("ballot", VoteMode::Ballot),
    ]);
    let mode = mode.ok_or_else(|| parts.refuse())?;
    let ty = match mode {
        VoteMode::Ballot => Type::B32,
        _ => Type::Pred,
    };
    parts.last_type(&[ty])?;
    let operands = operands(at, 3, 3)?;
    let mut inst = Decoded::new(Op::Sync(SyncOp::Vote(mode)));
    match (&operands[0], mode) {
        (result, VoteMode::Ballot) => inst.defs.push(names.dest(at, result, 4)?),
        (Operand::Name(name), _) => inst.pred_defs[0] = names.pred_dest(at, name)?,
        (other, _) => return Err(DecodeError::new(at, format!("{other:?} is no predicate"))),
    }
    inst.pred_uses[0] = names.pred_source(at, &operands[1])?;
    inst.uses.push(names.source(at, &operands[2], Type::B32)?);
    Ok(inst)
}

/// `match.any.sync.type d, a, membermask` and `match.all.sync.type d{|p}, a, membermask`.
pub fn matches(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let mut parts = Parts::new(at, 1);
    let all = parts.one_of(&[("any", false), ("all", true)]);
    let all = all.ok_or_else(|| parts.refuse())?;
    let mut parts = synced(at, 2)?;
    let ty = parts.last_type(&[Type::B32, Type::B64])?;
    let operands = operands(at, 3, 3)?;
    let wide = ty == Type::B64;
    let mut inst = Decoded::new(Op::Sync(match all {
        true => SyncOp::MatchAll { wide },
        false => SyncOp::MatchAny { wide },
    }));
    results(at, names, &operands[0], &mut inst)?;
    inst.uses.push(names.source(at, &operands[1], ty)?);
    inst.uses.push(names.source(at, &operands[2], Type::B32)?);
    Ok(inst)
}

/// `redux.sync.op.type d, a, membermask`.
pub fn reduce(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    if names.target < Target::Sm80 {
        return Err(DecodeError::new(
            at,
            format!("{} has no redux", names.target),
        ));
    }
    let mut parts = synced(at, 1)?;
    let op = parts.take().unwrap_or_default();
    let mode = match (op, parts.last_type(&[Type::U32, Type::S32, Type::B32])?) {
        ("add", Type::U32 | Type::S32) => ReduceMode::Add,
        ("min", Type::U32) => ReduceMode::MinUnsigned,
        ("max", Type::U32) => ReduceMode::MaxUnsigned,
        ("min", Type::S32) => ReduceMode::MinSigned,
        ("max", Type::S32) => ReduceMode::MaxSigned,
        ("and", Type::B32) => ReduceMode::And,
        ("or", Type::B32) => ReduceMode::Or,
        ("xor", Type::B32) => ReduceMode::Xor,
        _ => {
            let what = format!("{} is not modelled", at.opcode());
            return Err(DecodeError::new(at, what));
        }
    };
    let operands = operands(at, 3, 3)?;
    Ok(Decoded {
        defs: vec![names.dest(at, &operands[0], 4)?],
        uses: vec![
            names.source(at, &operands[1], Type::B32)?,
            names.source(at, &operands[2], Type::B32)?,
        ],
        ..Decoded::new(Op::Sync(SyncOp::Reduce(mode)))
    })
}

/// `activemask.b32 d`.
pub fn active_mask(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    Parts::new(at, 1).last_type(&[Type::B32])?;
    let operands = operands(at, 1, 1)?;
    Ok(Decoded {
        defs: vec![names.dest(at, &operands[0], 4)?],
        ..Decoded::new(Op::Sync(SyncOp::ActiveMask))
    })
}
