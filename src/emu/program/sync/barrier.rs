//! Decoding of `bar`, `barrier`, `membar` and `fence`.
//!
//! `barrier` without `.aligned` counts single threads of a warp and is refused: nvcc emits it only for cooperative groups.

use crate::emu::op::{BarrierKind, Op, Scope, SyncOp};
use crate::emu::program::error::DecodeError;
use crate::emu::program::parts::{Parts, operands};
use crate::emu::program::{Decoded, PredSource, Resolver};
use crate::emu::ptx::{Instruction, Operand, Type};

/// `bar{.cta}.{sync,arrive,red}`, `bar.warp.sync`, `barrier{.cta}.{sync,arrive,red}.aligned`.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let mut parts = Parts::new(at, 1);
    if parts.accept("warp") {
        return warp_sync(at, names, parts);
    }
    parts.accept("cta");
    let verb = parts.one_of(&[("sync", 0), ("arrive", 1), ("red", 2)]);
    let verb = verb.ok_or_else(|| parts.refuse())?;
    let reduction = match verb {
        2 => Some(
            parts
                .one_of(&[
                    ("popc", BarrierKind::Count),
                    ("and", BarrierKind::All),
                    ("or", BarrierKind::Any),
                ])
                .ok_or_else(|| parts.refuse())?,
        ),
        _ => None,
    };
    if at.parts[0] == "barrier" && !parts.accept("aligned") {
        let what = "barrier without .aligned is not modelled".to_string();
        return Err(DecodeError::new(at, what));
    }
    match reduction {
        Some(kind) => {
            let ty = match kind {
                BarrierKind::Count => Type::U32,
                _ => Type::Pred,
            };
            parts.last_type(&[ty])?;
            reduce(at, names, kind)
        }
        None if verb == 1 => {
            parts.end()?;
            counted(at, names, BarrierKind::Arrive, operands(at, 2, 2)?)
        }
        None => {
            parts.end()?;
            counted(at, names, BarrierKind::Sync, operands(at, 1, 2)?)
        }
    }
}

fn counted(
    at: &Instruction,
    names: &Resolver,
    kind: BarrierKind,
    operands: &[Operand],
) -> Result<Decoded, DecodeError> {
    let uses: Result<Vec<_>, _> = operands
        .iter()
        .map(|operand| names.source(at, operand, Type::U32))
        .collect();
    Ok(Decoded {
        uses: uses?,
        ..Decoded::new(Op::Sync(SyncOp::Barrier(kind)))
    })
}

/// `bar.red d, a{, b}, {!}c`.
fn reduce(at: &Instruction, names: &Resolver, kind: BarrierKind) -> Result<Decoded, DecodeError> {
    let operands = operands(at, 3, 4)?;
    let last = operands.len() - 1;
    let mut inst = counted(at, names, kind, &operands[1..last])?;
    inst.pred_uses[0] = names.pred_source(at, &operands[last])?;
    match (&operands[0], kind) {
        (result, BarrierKind::Count) => inst.defs.push(names.dest(at, result, 4)?),
        (Operand::Name(name), _) => inst.pred_defs[0] = names.pred_dest(at, name)?,
        (other, _) => return Err(DecodeError::new(at, format!("{other:?} is no predicate"))),
    }
    Ok(inst)
}

fn warp_sync(
    at: &Instruction,
    names: &Resolver,
    mut parts: Parts<'_>,
) -> Result<Decoded, DecodeError> {
    if !parts.accept("sync") {
        return Err(parts.refuse());
    }
    parts.end()?;
    let mask = names.source(at, &operands(at, 1, 1)?[0], Type::B32)?;
    Ok(Decoded {
        uses: vec![mask],
        pred_uses: [PredSource::NONE; 2],
        ..Decoded::new(Op::Sync(SyncOp::WarpSync))
    })
}

/// `membar.{cta,gl,sys}`, `fence{.sc,.acq_rel}.{cta,gpu,sys}`.
pub fn fence(at: &Instruction) -> Result<Decoded, DecodeError> {
    let mut parts = Parts::new(at, 1);
    operands(at, 0, 0)?;
    let scope = if at.parts[0] == "membar" {
        let table = [
            ("cta", Scope::Cta),
            ("gl", Scope::Device),
            ("sys", Scope::Device),
        ];
        parts.one_of(&table)
    } else {
        parts.one_of(&[("sc", ()), ("acq_rel", ())]);
        parts.scope()
    };
    let scope = scope.ok_or_else(|| parts.refuse())?;
    parts.end()?;
    Ok(Decoded::new(Op::Sync(SyncOp::Fence(scope))))
}
