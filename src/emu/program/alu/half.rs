//! f16 and bf16 arithmetic, and which target has which of it.

use super::float::arity;
use super::form::{Form, Result};
use crate::driver::Target;
use crate::emu::op::{AluOp, FloatOp, Half, HalfClamp};
use crate::emu::program::Decoded;
use crate::emu::ptx::Type;

/// The format of a 16-bit float type, and whether a register holds two.
pub fn format(ty: Type) -> Option<(Half, bool)> {
    match ty {
        Type::F16 => Some((Half::F16, false)),
        Type::F16x2 => Some((Half::F16, true)),
        Type::Bf16 => Some((Half::Bf16, false)),
        Type::Bf16x2 => Some((Half::Bf16, true)),
        _ => None,
    }
}

/// `op` on `ty`.
pub fn arithmetic(form: &mut Form<'_>, op: FloatOp, ty: Type) -> Result<Decoded> {
    use FloatOp::{Abs, Add, Fma, Max, MaxNan, Min, MinNan, Mul, Neg, Sub};
    let Some((half, packed)) = format(ty) else {
        return form.wrong_type(ty);
    };
    match (op, half) {
        (Add | Sub | Mul, Half::Bf16) => form.needs(Target::Sm90)?,
        (Min | Max | MinNan | MaxNan, _) | (Fma | Neg | Abs, Half::Bf16) => {
            form.needs(Target::Sm80)?;
        }
        (Add | Sub | Mul | Fma | Neg | Abs, Half::F16) => {}
        _ => return form.wrong_type(ty),
    }
    match op {
        Add | Sub | Mul => {
            form.take("rn");
        }
        Fma => form.must(&[("rn", ())])?,
        _ => {}
    }
    let f16 = half == Half::F16;
    let ftz = f16 && form.take("ftz");
    let sat = f16 && matches!(op, Add | Sub | Mul | Fma) && form.take("sat");
    let relu = op == Fma && !sat && form.take("relu");
    if relu {
        form.needs(Target::Sm80)?;
    }
    let clamp = match (ftz, sat, relu) {
        (false, false, false) => HalfClamp::None,
        (true, false, false) => HalfClamp::Ftz,
        (false, true, _) => HalfClamp::Sat,
        (true, true, _) => HalfClamp::FtzSat,
        (false, false, true) => HalfClamp::Relu,
        (true, false, true) => HalfClamp::FtzRelu,
    };
    let op_half = AluOp::Half {
        op,
        ty: half,
        packed,
        clamp,
    };
    form.plain(op_half, ty, &[ty, ty, ty][..arity(op)])
}
