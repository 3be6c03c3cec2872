//! Float arithmetic: `add sub mul mad fma div sqrt rcp min max neg abs copysign` on f32, f64, f16 and bf16.

use super::form::{Form, Result};
use super::half;
use crate::driver::Target;
use crate::emu::op::{AluOp, FloatOp, Rounding};
use crate::emu::program::Decoded;
use crate::emu::ptx::Type;

/// Rounding of floats.
pub const ROUNDINGS: &[(&str, Rounding)] = &[
    ("rn", Rounding::Nearest),
    ("rz", Rounding::Zero),
    ("rm", Rounding::Down),
    ("rp", Rounding::Up),
];

/// The operation, by opcode.
pub fn op(form: &mut Form<'_>) -> Option<FloatOp> {
    Some(match form.opcode() {
        "add" => FloatOp::Add,
        "sub" => FloatOp::Sub,
        "mul" => FloatOp::Mul,
        "fma" | "mad" => FloatOp::Fma,
        "div" => FloatOp::Div,
        "sqrt" => FloatOp::Sqrt,
        "rcp" => FloatOp::Rcp,
        "neg" => FloatOp::Neg,
        "abs" => FloatOp::Abs,
        "copysign" => FloatOp::Copysign,
        "min" if form.take("NaN") => FloatOp::MinNan,
        "min" => FloatOp::Min,
        "max" if form.take("NaN") => FloatOp::MaxNan,
        "max" => FloatOp::Max,
        _ => return None,
    })
}

/// How many values an operation takes.
pub fn arity(op: FloatOp) -> usize {
    match op {
        FloatOp::Fma => 3,
        FloatOp::Neg | FloatOp::Abs | FloatOp::Sqrt | FloatOp::Rcp => 1,
        _ => 2,
    }
}

/// A float instruction on `ty`, which is already taken.
pub fn arithmetic(form: &mut Form<'_>, ty: Type) -> Result<Decoded> {
    let Some(op) = op(form) else {
        return form.wrong_type(ty);
    };
    match ty {
        Type::F32 => single(form, op),
        Type::F64 => double(form, op),
        _ => half::arithmetic(form, op, ty),
    }
}

fn single(form: &mut Form<'_>, op: FloatOp) -> Result<Decoded> {
    let ty = Type::F32;
    let sources = &[ty, ty, ty][..arity(op)];
    if matches!(op, FloatOp::MinNan | FloatOp::MaxNan) {
        form.needs(Target::Sm80)?;
    }
    let ftz = op != FloatOp::Copysign && form.take("ftz");
    if op == FloatOp::Div {
        // `.full` scales its operands and is good to 2 ulp over the whole range: the nearest quotient is such a result.
        let kinds = [("approx", FloatOp::DivApprox), ("full", FloatOp::Div)];
        if let Some(op) = form.one_of(&kinds) {
            return form.plain(AluOp::F32 { op, ftz }, ty, sources);
        }
    }
    let sums = matches!(
        op,
        FloatOp::Add | FloatOp::Sub | FloatOp::Mul | FloatOp::Fma
    );
    let divides = matches!(op, FloatOp::Div | FloatOp::Sqrt | FloatOp::Rcp);
    // A sum or product may leave its rounding out; the others may not.
    let rounding = match (sums, divides) {
        (true, _) if op != FloatOp::Fma => form.one_of(ROUNDINGS).unwrap_or(Rounding::Nearest),
        (true, _) | (_, true) => form.must(ROUNDINGS)?,
        _ => Rounding::Nearest,
    };
    let sat = sums && form.take("sat");
    let op = if rounding == Rounding::Nearest && !sat {
        AluOp::F32 { op, ftz }
    } else {
        AluOp::F32Rounded {
            op,
            rounding,
            ftz,
            sat,
        }
    };
    form.plain(op, ty, sources)
}

fn double(form: &mut Form<'_>, op: FloatOp) -> Result<Decoded> {
    let ty = Type::F64;
    if matches!(op, FloatOp::MinNan | FloatOp::MaxNan) {
        return form.wrong_type(ty);
    }
    match op {
        FloatOp::Add | FloatOp::Sub | FloatOp::Mul => {
            form.take("rn");
        }
        FloatOp::Fma | FloatOp::Div | FloatOp::Sqrt | FloatOp::Rcp => {
            form.must(&ROUNDINGS[..1])?;
        }
        _ => {}
    }
    form.plain(AluOp::F64(op), ty, &[ty, ty, ty][..arity(op)])
}
