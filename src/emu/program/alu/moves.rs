//! `mov`, packing, `selp`, `slct`, `cvta`, `isspacep`.

use super::bits::predicates;
use super::form::{Form, Result};
use crate::emu::op::{AluOp, Int, IntOp, Op, Packing, PredicateOp};
use crate::emu::program::{Decoded, Source};
use crate::emu::ptx::{Operand, Type};
use crate::emu::rows::{LANES, LOCAL_WINDOW, SHARED_WINDOW, WINDOW_SHIFT};

/// `mov`; `None` where the source is a special register.
pub fn mov(form: &mut Form<'_>) -> Result<Option<Decoded>> {
    let ty = form.ty()?;
    form.finish()?;
    let operands = form.operands(2)?;
    let (to, from) = (&operands[0], &operands[1]);
    let known =
        |name: &str| form.names.place(name).is_some() || form.names.register(form.at, name).is_ok();
    match from {
        Operand::Name(name) if name == "WARP_SZ" => {
            let (op, source) = match ty {
                Type::B16 | Type::U16 | Type::S16 | Type::B32 | Type::U32 | Type::S32 => {
                    (AluOp::Copy32, Source::Narrow(LANES as u32))
                }
                Type::B64 | Type::U64 | Type::S64 => (AluOp::Copy64, Source::Wide(LANES as u64)),
                _ => return form.wrong_type(ty),
            };
            let mut inst = Decoded::new(Op::Alu(op));
            inst.defs.push(form.names.dest(form.at, to, ty.bytes())?);
            inst.uses.push(source);
            return Ok(Some(inst));
        }
        Operand::Name(name) if name.starts_with('%') && !known(name) => return Ok(None),
        _ => {}
    }
    match (ty, to, from) {
        (Type::Pred, ..) => predicates(form, PredicateOp::Copy).map(Some),
        (Type::B8 | Type::U8 | Type::S8 | Type::B128, ..) => form.wrong_type(ty),
        (_, Operand::Vector(parts), _) => unpack(form, ty, parts, from).map(Some),
        (_, _, Operand::Vector(parts)) => pack(form, ty, to, parts).map(Some),
        _ if ty.bytes() == 8 => form.plain(AluOp::Copy64, ty, &[ty]).map(Some),
        _ => form.plain(AluOp::Copy32, ty, &[ty]).map(Some),
    }
}

/// How `count` parts make a value of `ty`, and the type of a part.
fn packing(form: &Form<'_>, ty: Type, count: usize) -> Result<(Packing, Type)> {
    match (ty.bytes(), count) {
        (4, 2) => Ok((Packing::Two16, Type::B16)),
        (8, 2) => Ok((Packing::Two32, Type::B32)),
        (8, 4) => Ok((Packing::Four16, Type::B16)),
        _ => Err(form.error(format!("{count} parts of {ty} are not modelled"))),
    }
}

fn pack(form: &Form<'_>, ty: Type, to: &Operand, parts: &[Operand]) -> Result<Decoded> {
    let (packing, part) = packing(form, ty, parts.len())?;
    let mut inst = Decoded::new(Op::Alu(AluOp::Pack(packing)));
    inst.defs.push(form.names.dest(form.at, to, ty.bytes())?);
    for operand in parts {
        inst.uses.push(form.names.source(form.at, operand, part)?);
    }
    Ok(inst)
}

fn unpack(form: &Form<'_>, ty: Type, parts: &[Operand], from: &Operand) -> Result<Decoded> {
    let (packing, part) = packing(form, ty, parts.len())?;
    let mut inst = Decoded::new(Op::Alu(AluOp::Unpack(packing)));
    for operand in parts {
        inst.defs
            .push(form.names.dest(form.at, operand, part.bytes())?);
    }
    inst.uses.push(form.names.source(form.at, from, ty)?);
    Ok(inst)
}

/// `selp`.
pub fn select(form: &mut Form<'_>) -> Result<Decoded> {
    let ty = form.ty()?;
    if matches!(ty, Type::Pred | Type::B8 | Type::U8 | Type::S8 | Type::B128) {
        return form.wrong_type(ty);
    }
    form.finish()?;
    let operands = form.operands(4)?;
    let wide = ty.bytes() == 8;
    let mut inst = Decoded::new(Op::Alu(AluOp::Select { wide }));
    inst.defs
        .push(form.names.dest(form.at, &operands[0], ty.bytes())?);
    for operand in &operands[1..3] {
        inst.uses.push(form.names.source(form.at, operand, ty)?);
    }
    inst.pred_uses[0] = form.names.pred_source(form.at, &operands[3])?;
    Ok(inst)
}

/// `slct`.
pub fn select_by_sign(form: &mut Form<'_>) -> Result<Decoded> {
    let (by, ty) = (form.ty()?, form.ty()?);
    let float = match by {
        Type::S32 => None,
        Type::F32 => Some(form.take("ftz")),
        _ => return form.wrong_type(by),
    };
    if matches!(ty.bytes(), 1 | 16) {
        return form.wrong_type(ty);
    }
    let wide = ty.bytes() == 8;
    form.plain(AluOp::SelectBySign { wide, float }, ty, &[ty, ty, by])
}

/// `cvta`: global addresses are generic ones; shared and local memory have windows.
pub fn to_generic(form: &mut Form<'_>) -> Result<Decoded> {
    let ty = form.ty()?;
    if ty != Type::U64 {
        return form.wrong_type(ty);
    }
    let from_generic = form.take("to");
    let window = form.must(&[
        ("global", 0),
        ("shared", SHARED_WINDOW),
        ("shared::cta", SHARED_WINDOW),
        ("local", LOCAL_WINDOW),
    ])?;
    if window == 0 {
        return form.plain(AluOp::Copy64, ty, &[ty]);
    }
    let op = if from_generic { IntOp::Sub } else { IntOp::Add };
    let op = AluOp::Int { op, ty: Int::U64 };
    let mut inst = form.plain(op, ty, &[ty])?;
    inst.uses.push(Source::Wide(window));
    Ok(inst)
}

/// `isspacep`.
pub fn in_window(form: &mut Form<'_>) -> Result<Decoded> {
    let window = form.must(&[
        ("global", 0),
        ("shared", SHARED_WINDOW),
        ("shared::cta", SHARED_WINDOW),
        ("local", LOCAL_WINDOW),
    ])?;
    form.finish()?;
    let operands = form.operands(2)?;
    let mut inst = Decoded::new(Op::Alu(AluOp::InWindow));
    inst.immediate = (window >> WINDOW_SHIFT) as i64;
    let Operand::Name(dest) = &operands[0] else {
        return Err(form.error(format!("{:?} is no predicate", operands[0])));
    };
    inst.pred_defs[0] = form.names.pred_dest(form.at, dest)?;
    inst.uses
        .push(form.names.source(form.at, &operands[1], Type::U64)?);
    Ok(inst)
}
