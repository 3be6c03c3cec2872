//! `cvt` in all its forms.

use super::float::ROUNDINGS;
use super::form::{Form, Result};
use super::half::format;
use crate::driver::Target;
use crate::emu::op::{AluOp, Conversion, Float, Half, Int, Number, Op, Rounding, Width};
use crate::emu::program::{Decoded, Source};
use crate::emu::ptx::{Operand, Type};

/// Rounding to integers.
const INTEGRAL: &[(&str, Rounding)] = &[
    ("rni", Rounding::Nearest),
    ("rzi", Rounding::Zero),
    ("rmi", Rounding::Down),
    ("rpi", Rounding::Up),
];

fn number(ty: Type) -> Option<Number> {
    Some(match ty {
        Type::U8 => Number::Int(Int::U8),
        Type::S8 => Number::Int(Int::S8),
        Type::U16 => Number::Int(Int::U16),
        Type::S16 => Number::Int(Int::S16),
        Type::U32 => Number::Int(Int::U32),
        Type::S32 => Number::Int(Int::S32),
        Type::U64 => Number::Int(Int::U64),
        Type::S64 => Number::Int(Int::S64),
        Type::F16 => Number::Float(Float::F16),
        Type::Bf16 => Number::Float(Float::Bf16),
        Type::F32 => Number::Float(Float::F32),
        Type::F64 => Number::Float(Float::F64),
        _ => return None,
    })
}

/// `cvt`.
pub fn cvt(form: &mut Form<'_>) -> Result<Decoded> {
    let (from_ty, to_ty) = (form.ty()?, form.ty()?);
    if let (Some((half, true)), Type::F32) = (format(to_ty), from_ty) {
        return pair(form, half, to_ty);
    }
    let (Some(from), Some(to)) = (number(from_ty), number(to_ty)) else {
        return Err(form.error(format!("cvt from {from_ty} to {to_ty} is not modelled")));
    };
    bf16_exists(form, from_ty, to_ty)?;
    let rounding = form.one_of(ROUNDINGS);
    let integral = form.one_of(INTEGRAL);
    check_rounding(form, (from_ty, to_ty), rounding, integral)?;
    let float32 = from_ty == Type::F32 || to_ty == Type::F32;
    let half_to = matches!(to_ty, Type::F16 | Type::Bf16);
    let what = Conversion {
        from,
        wide: false,
        to,
        register: Width::W32,
        rounding: rounding.unwrap_or(Rounding::Nearest),
        integral,
        ftz: float32 && form.take("ftz"),
        sat: form.take("sat"),
        relu: half_to && from_ty == Type::F32 && form.take("relu"),
    };
    if what.relu {
        form.needs(Target::Sm80)?;
    }
    form.finish()?;
    place(form, what, from_ty, to_ty)
}

/// bf16 conversions other than from f32 came with sm_90.
fn bf16_exists(form: &Form<'_>, from: Type, to: Type) -> Result<()> {
    match (from, to) {
        (Type::F32, Type::Bf16) => form.needs(Target::Sm80),
        (Type::Bf16, _) | (_, Type::Bf16) => form.needs(Target::Sm90),
        _ => Ok(()),
    }
}

/// A rounding must be given where a result may be inexact, and none elsewhere.
fn check_rounding(
    form: &Form<'_>,
    (from, to): (Type, Type),
    rounding: Option<Rounding>,
    integral: Option<Rounding>,
) -> Result<()> {
    let precision = |ty| match ty {
        Type::Bf16 => 8,
        Type::F16 => 11,
        Type::F32 => 24,
        Type::F64 => 53,
        _ => 0,
    };
    let (have, need) = (precision(from), precision(to));
    let f64_from_wide = to == Type::F64 && from.bytes() == 8 && have == 0;
    let needs_rounding = match (have, need) {
        (0, 0) => false,
        (0, _) => true,
        (_, 0) => false,
        // f16 has less range than bf16.
        _ => need < have || (from == Type::Bf16 && to == Type::F16),
    };
    let integral_ok = match (have, need) {
        (0, _) => false,
        (_, 0) => true,
        _ => have == need,
    };
    let needs_integral = have > 0 && need == 0;
    if needs_rounding != rounding.is_some() {
        let what = if needs_rounding {
            "needs a rounding, one of rn rz rm rp"
        } else {
            "takes no rounding to a float"
        };
        return Err(form.error(format!("cvt from {from} to {to} {what}")));
    }
    if (integral.is_some() && !integral_ok) || (integral.is_none() && needs_integral) {
        let what = if needs_integral {
            "needs a rounding, one of rni rzi rmi rpi"
        } else {
            "takes no rounding to integers"
        };
        return Err(form.error(format!("cvt from {from} to {to} {what}")));
    }
    if f64_from_wide && rounding != Some(Rounding::Nearest) {
        return Err(form.error(format!("cvt from {from} to {to} is modelled with .rn only")));
    }
    Ok(())
}

/// The operands: registers may be wider than the types of integers.
fn place(form: &Form<'_>, mut what: Conversion, from: Type, to: Type) -> Result<Decoded> {
    let operands = form.operands(2)?;
    let (dest, register) = destination(form, &operands[0], to)?;
    what.register = register;
    let integer = matches!(what.from, Number::Int(_));
    let source = match &operands[1] {
        Operand::Name(name) if integer && form.names.place(name).is_none() => {
            let (register, ty) = form.names.register(form.at, name)?;
            if ty == Type::Pred || ty.bytes() < from.bytes() {
                return Err(form.error(format!("{name} is {ty}, too narrow for {from}")));
            }
            what.wide = ty.bytes() == 8;
            Source::Register(register)
        }
        operand => {
            what.wide = from.bytes() == 8;
            form.names.source(form.at, operand, from)?
        }
    };
    let mut inst = Decoded::new(Op::Alu(quick(&what, to)));
    inst.defs.push(dest);
    inst.uses.push(source);
    Ok(inst)
}

/// The destination and its width: an integer may go to a wider register.
fn destination(
    form: &Form<'_>,
    operand: &Operand,
    to: Type,
) -> Result<(Option<crate::emu::program::Virtual>, Width)> {
    let width = |bytes| match bytes {
        8 => Width::W64,
        4 => Width::W32,
        _ => Width::W16,
    };
    match operand {
        Operand::Name(name) if name != "_" => {
            let (register, ty) = form.names.register(form.at, name)?;
            let float = matches!(number(to), Some(Number::Float(_)));
            let fits = ty.bytes() >= to.bytes() && (!float || ty.bytes() == to.bytes());
            if ty == Type::Pred || ty.bytes() == 1 || ty.bytes() > 8 || !fits {
                return Err(form.error(format!("{name} is {ty}, which cannot take {to}")));
            }
            Ok((Some(register), width(ty.bytes())))
        }
        operand => Ok((
            form.names.dest(form.at, operand, to.bytes())?,
            width(to.bytes()),
        )),
    }
}

/// The loop of its own that a conversion has, if any.
fn quick(what: &Conversion, to: Type) -> AluOp {
    let clamps = what.sat || what.relu;
    let nearest = what.rounding == Rounding::Nearest;
    match (what.from, what.to) {
        (Number::Int(from), Number::Int(into)) if !what.sat => {
            let exact = to.bytes() == register_bytes(what.register);
            if bytes(from) >= bytes(into) {
                resize(what, into)
            } else if exact {
                resize(what, from)
            } else {
                AluOp::Convert(*what)
            }
        }
        (Number::Int(Int::S32 | Int::U32), Number::Float(Float::F32))
            if nearest && !what.sat && !what.wide =>
        {
            let signed = what.from == Number::Int(Int::S32);
            AluOp::IntToFloat { signed }
        }
        (Number::Float(Float::F16), Number::Float(Float::F32)) if !clamps => {
            AluOp::HalfToFloat(Half::F16)
        }
        (Number::Float(Float::Bf16), Number::Float(Float::F32)) if !clamps && !what.ftz => {
            AluOp::HalfToFloat(Half::Bf16)
        }
        // A subnormal f32 is a zero of f16 anyway.
        (Number::Float(Float::F32), Number::Float(Float::F16)) if !clamps && nearest => {
            AluOp::FloatToHalf(Half::F16)
        }
        (Number::Float(Float::F32), Number::Float(Float::Bf16))
            if !clamps && nearest && !what.ftz =>
        {
            AluOp::FloatToHalf(Half::Bf16)
        }
        _ => AluOp::Convert(*what),
    }
}

fn resize(what: &Conversion, to: Int) -> AluOp {
    AluOp::Resize {
        wide: what.wide,
        to,
        register: what.register,
    }
}

fn bytes(ty: Int) -> u32 {
    match ty {
        Int::U8 | Int::S8 => 1,
        Int::U16 | Int::S16 => 2,
        Int::U32 | Int::S32 => 4,
        Int::U64 | Int::S64 => 8,
    }
}

fn register_bytes(width: Width) -> u32 {
    match width {
        Width::W16 => 2,
        Width::W32 => 4,
        Width::W64 => 8,
    }
}

/// `cvt.rn.f16x2.f32 d, a, b`: two f32 to a pair.
fn pair(form: &mut Form<'_>, ty: Half, to: Type) -> Result<Decoded> {
    form.needs(Target::Sm80)?;
    let rounding = form.must(&ROUNDINGS[..2])?;
    let relu = form.take("relu");
    let op = AluOp::FloatsToPair { ty, rounding, relu };
    form.plain(op, to, &[Type::F32, Type::F32])
}
