//! Logic, shifts, fields of bits: `and or xor not cnot shl shr shf lop3 prmt bfe bfi bfind brev clz popc bmsk`.

use super::form::{Form, Result, int, is_bits};
use crate::emu::op::{AluOp, FieldOp, LogicOp, Op, PermuteMode, PredicateOp};
use crate::emu::program::{Decoded, PredSource};
use crate::emu::ptx::{Operand, Type};

/// `and`, `or`, `xor`, `not`, `cnot`, `shl`, `shr`.
pub fn logic(form: &mut Form<'_>) -> Result<Decoded> {
    let ty = form.ty()?;
    let op = match form.opcode() {
        "and" => LogicOp::And,
        "or" => LogicOp::Or,
        "xor" => LogicOp::Xor,
        "not" => LogicOp::Not,
        "cnot" => LogicOp::Cnot,
        "shl" => LogicOp::Shl,
        _ => LogicOp::Shr,
    };
    if ty == Type::Pred {
        let op = match op {
            LogicOp::And => PredicateOp::And,
            LogicOp::Or => PredicateOp::Or,
            LogicOp::Xor => PredicateOp::Xor,
            LogicOp::Not => PredicateOp::Not,
            _ => return form.wrong_type(ty),
        };
        return predicates(form, op);
    }
    let kind = match int(ty) {
        Some(kind) if is_bits(ty) || op == LogicOp::Shr => kind,
        _ => return form.wrong_type(ty),
    };
    let sources: &[Type] = match op {
        LogicOp::Not | LogicOp::Cnot => &[ty],
        LogicOp::Shl | LogicOp::Shr => &[ty, Type::U32],
        _ => &[ty, ty],
    };
    form.plain(AluOp::Logic { op, ty: kind }, ty, sources)
}

/// Logic on predicates; one source may be a constant.
pub fn predicates(form: &Form<'_>, op: PredicateOp) -> Result<Decoded> {
    form.finish()?;
    let sources = match op {
        PredicateOp::Not | PredicateOp::Copy => 1,
        _ => 2,
    };
    let operands = form.operands(1 + sources)?;
    let mut inst = Decoded::new(Op::Alu(AluOp::Predicate(op)));
    let Operand::Name(dest) = &operands[0] else {
        return Err(form.error(format!("{:?} is no predicate", operands[0])));
    };
    inst.pred_defs[0] = form.names.pred_dest(form.at, dest)?;
    let mut constants = 0;
    for (slot, operand) in inst.pred_uses.iter_mut().zip(&operands[1..]) {
        if let Operand::Integer(value) = operand {
            inst.immediate = i64::from(*value != 0);
            *slot = PredSource::NONE;
            constants += 1;
        } else {
            *slot = form.names.pred_source(form.at, operand)?;
        }
    }
    if constants > 1 {
        return Err(form.error("both predicates are constants".into()));
    }
    Ok(inst)
}

/// `lop3.b32`.
pub fn lop3(form: &mut Form<'_>) -> Result<Decoded> {
    let ty = form.ty()?;
    if ty != Type::B32 {
        return form.wrong_type(ty);
    }
    form.finish()?;
    let operands = form.operands(5)?;
    let table = match &operands[4] {
        Operand::Integer(table) if *table < 256 => *table as i64,
        other => return Err(form.error(format!("{other:?} is no table of 8 bits"))),
    };
    let mut inst = Decoded::new(Op::Alu(AluOp::Lop3));
    inst.immediate = table;
    inst.defs
        .push(form.names.dest(form.at, &operands[0], ty.bytes())?);
    for operand in &operands[1..4] {
        inst.uses.push(form.names.source(form.at, operand, ty)?);
    }
    Ok(inst)
}

/// `shf.l` and `shf.r`.
pub fn funnel(form: &mut Form<'_>) -> Result<Decoded> {
    let ty = form.ty()?;
    if ty != Type::B32 {
        return form.wrong_type(ty);
    }
    let left = form.must(&[("l", true), ("r", false)])?;
    let wrap = form.must(&[("wrap", true), ("clamp", false)])?;
    form.plain(AluOp::Funnel { left, wrap }, ty, &[ty, ty, Type::U32])
}

/// `prmt.b32`, whose mode stands behind the type.
pub fn permute(form: &mut Form<'_>) -> Result<Decoded> {
    let modes = [
        ("f4e", PermuteMode::F4e),
        ("b4e", PermuteMode::B4e),
        ("rc8", PermuteMode::Rc8),
        ("ecl", PermuteMode::Ecl),
        ("ecr", PermuteMode::Ecr),
        ("rc16", PermuteMode::Rc16),
    ];
    let mode = form.one_of(&modes).unwrap_or(PermuteMode::Index);
    let ty = form.ty()?;
    if ty != Type::B32 {
        return form.wrong_type(ty);
    }
    form.plain(AluOp::Permute(mode), ty, &[ty, ty, ty])
}

/// `bfe`, `bfi`, `bfind`, `brev`, `clz`, `popc`, `bmsk`.
pub fn field(form: &mut Form<'_>) -> Result<Decoded> {
    let ty = form.ty()?;
    let (op, untyped) = match form.opcode() {
        "bfe" => (FieldOp::Extract, false),
        "bfind" if form.take("shiftamt") => (FieldOp::BfindShift, false),
        "bfind" => (FieldOp::Bfind, false),
        "bfi" => (FieldOp::Insert, true),
        "brev" => (FieldOp::Brev, true),
        "clz" => (FieldOp::Clz, true),
        "popc" => (FieldOp::Popc, true),
        _ => {
            let modes = [("clamp", FieldOp::MaskClamp), ("wrap", FieldOp::MaskWrap)];
            (form.must(&modes)?, true)
        }
    };
    let kind = match int(ty) {
        Some(kind) if ty.bytes() >= 4 && is_bits(ty) == untyped => kind,
        _ => return form.wrong_type(ty),
    };
    let mask = matches!(op, FieldOp::MaskClamp | FieldOp::MaskWrap);
    if mask && ty != Type::B32 {
        return form.wrong_type(ty);
    }
    let (to, from): (Type, &[Type]) = match op {
        FieldOp::Extract => (ty, &[ty, Type::U32, Type::U32]),
        FieldOp::Insert => (ty, &[ty, ty, Type::U32, Type::U32]),
        FieldOp::Brev => (ty, &[ty]),
        FieldOp::MaskClamp | FieldOp::MaskWrap => (ty, &[Type::U32, Type::U32]),
        FieldOp::Clz | FieldOp::Popc | FieldOp::Bfind | FieldOp::BfindShift => (Type::U32, &[ty]),
    };
    form.plain(AluOp::Field { op, ty: kind }, to, from)
}
