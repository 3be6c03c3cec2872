//! `setp`, `set`, `testp`.

use super::form::{Form, Result, int, is_bits, is_float};
use crate::driver::Target;
use crate::emu::op::{AluOp, Cmp, Combine, Compared, Float, Half, Op, SetResult, TestOp};
use crate::emu::program::Decoded;
use crate::emu::ptx::{Operand, Type};

const EQUAL: &[(&str, Cmp)] = &[("eq", Cmp::Eq), ("ne", Cmp::Ne)];

const SIGNED: &[(&str, Cmp)] = &[
    ("eq", Cmp::Eq),
    ("ne", Cmp::Ne),
    ("lt", Cmp::Lt),
    ("le", Cmp::Le),
    ("gt", Cmp::Gt),
    ("ge", Cmp::Ge),
];

const UNSIGNED: &[(&str, Cmp)] = &[
    ("eq", Cmp::Eq),
    ("ne", Cmp::Ne),
    ("lt", Cmp::Lt),
    ("le", Cmp::Le),
    ("gt", Cmp::Gt),
    ("ge", Cmp::Ge),
    ("lo", Cmp::Lt),
    ("ls", Cmp::Le),
    ("hi", Cmp::Gt),
    ("hs", Cmp::Ge),
];

const FLOAT: &[(&str, Cmp)] = &[
    ("eq", Cmp::Eq),
    ("ne", Cmp::Ne),
    ("lt", Cmp::Lt),
    ("le", Cmp::Le),
    ("gt", Cmp::Gt),
    ("ge", Cmp::Ge),
    ("equ", Cmp::Equ),
    ("neu", Cmp::Neu),
    ("ltu", Cmp::Ltu),
    ("leu", Cmp::Leu),
    ("gtu", Cmp::Gtu),
    ("geu", Cmp::Geu),
    ("num", Cmp::Num),
    ("nan", Cmp::Nan),
];

/// What both `setp` and `set` compare, and how.
struct Comparison {
    cmp: Cmp,
    ty: Compared,
    combine: Combine,
    ftz: bool,
}

fn comparison(form: &mut Form<'_>, ty: Type) -> Result<Comparison> {
    let compared = match ty {
        Type::F16 => Compared::Float(Float::F16),
        Type::Bf16 => Compared::Float(Float::Bf16),
        Type::F32 => Compared::Float(Float::F32),
        Type::F64 => Compared::Float(Float::F64),
        Type::F16x2 => Compared::Pair(Half::F16),
        Type::Bf16x2 => Compared::Pair(Half::Bf16),
        _ => match int(ty) {
            Some(kind) => Compared::Int(kind),
            None => return form.wrong_type(ty),
        },
    };
    if matches!(ty, Type::Bf16 | Type::Bf16x2) {
        form.needs(Target::Sm90)?;
    }
    let table = match ty {
        _ if is_float(ty) => FLOAT,
        _ if is_bits(ty) => EQUAL,
        _ if ty.is_signed() => SIGNED,
        _ => UNSIGNED,
    };
    let cmp = form.must(table)?;
    let combines = [
        ("and", Combine::And),
        ("or", Combine::Or),
        ("xor", Combine::Xor),
    ];
    let combine = form.one_of(&combines).unwrap_or(Combine::None);
    let flushes = matches!(ty, Type::F16 | Type::F16x2 | Type::F32);
    let ftz = flushes && form.take("ftz");
    Ok(Comparison {
        cmp,
        ty: compared,
        combine,
        ftz,
    })
}

/// The two values and the other predicate, if one is combined.
fn sources(
    form: &Form<'_>,
    inst: &mut Decoded,
    operands: &[Operand],
    ty: Type,
    combine: Combine,
) -> Result<()> {
    for operand in &operands[..2] {
        inst.uses.push(form.names.source(form.at, operand, ty)?);
    }
    if combine != Combine::None {
        inst.pred_uses[0] = form.names.pred_source(form.at, &operands[2])?;
    }
    Ok(())
}

/// `setp`.
pub fn setp(form: &mut Form<'_>) -> Result<Decoded> {
    let ty = form.ty()?;
    let Comparison {
        cmp,
        ty: compared,
        combine,
        ftz,
    } = comparison(form, ty)?;
    form.finish()?;
    let operands = form.operands(3 + usize::from(combine != Combine::None))?;
    let mut inst = Decoded::new(Op::Alu(AluOp::Compare {
        cmp,
        ty: compared,
        combine,
        ftz,
    }));
    inst.pred_defs = match &operands[0] {
        Operand::Name(p) => [form.names.pred_dest(form.at, p)?, None],
        Operand::Pair(p, q) => [
            form.names.pred_dest(form.at, p)?,
            form.names.pred_dest(form.at, q)?,
        ],
        other => return Err(form.error(format!("{other:?} is no predicate"))),
    };
    sources(form, &mut inst, &operands[1..], ty, combine)?;
    Ok(inst)
}

/// `set`.
pub fn set(form: &mut Form<'_>) -> Result<Decoded> {
    let (ty, to) = (form.ty()?, form.ty()?);
    let Comparison {
        cmp,
        ty: compared,
        combine,
        ftz,
    } = comparison(form, ty)?;
    let half = matches!(ty, Type::F16 | Type::Bf16);
    let result = match to {
        Type::U32 | Type::S32 => SetResult::Ones,
        Type::F32 => SetResult::OneF32,
        Type::U16 | Type::S16 if half => SetResult::Ones16,
        Type::F16 if ty == Type::F16 => SetResult::OneHalf(Half::F16),
        Type::F16x2 if ty == Type::F16x2 => SetResult::OneHalf(Half::F16),
        Type::Bf16 if ty == Type::Bf16 => SetResult::OneHalf(Half::Bf16),
        Type::Bf16x2 if ty == Type::Bf16x2 => SetResult::OneHalf(Half::Bf16),
        _ => return form.wrong_type(to),
    };
    form.finish()?;
    let operands = form.operands(3 + usize::from(combine != Combine::None))?;
    let mut inst = Decoded::new(Op::Alu(AluOp::Set {
        cmp,
        ty: compared,
        combine,
        result,
        ftz,
    }));
    inst.defs
        .push(form.names.dest(form.at, &operands[0], to.bytes())?);
    sources(form, &mut inst, &operands[1..], ty, combine)?;
    Ok(inst)
}

/// `testp`.
pub fn testp(form: &mut Form<'_>) -> Result<Decoded> {
    let ty = form.ty()?;
    let wide = match ty {
        Type::F32 => false,
        Type::F64 => true,
        _ => return form.wrong_type(ty),
    };
    let op = form.must(&[
        ("finite", TestOp::Finite),
        ("infinite", TestOp::Infinite),
        ("number", TestOp::Number),
        ("notanumber", TestOp::NotANumber),
        ("normal", TestOp::Normal),
        ("subnormal", TestOp::Subnormal),
    ])?;
    form.finish()?;
    let operands = form.operands(2)?;
    let Operand::Name(dest) = &operands[0] else {
        return Err(form.error(format!("{:?} is no predicate", operands[0])));
    };
    let mut inst = Decoded::new(Op::Alu(AluOp::Test { op, wide }));
    inst.pred_defs[0] = form.names.pred_dest(form.at, dest)?;
    inst.uses
        .push(form.names.source(form.at, &operands[1], ty)?);
    Ok(inst)
}
