//! f32 arithmetic, and f64 to nearest.

use super::lanes::{LaneState, map1, map2, map3};
use super::round::{canonical, canonical64, flushed, saturated, sum, to_f32};
use crate::emu::op::{FloatOp, Rounding};
use crate::emu::program::Inst;

/// f32 to nearest even.
#[inline(always)]
pub fn execute(op: FloatOp, ftz: bool, inst: &Inst, state: &mut LaneState<'_>) {
    if ftz {
        nearest::<true>(op, inst, state);
    } else {
        nearest::<false>(op, inst, state);
    }
}

#[inline(always)]
fn nearest<const FTZ: bool>(op: FloatOp, inst: &Inst, state: &mut LaneState<'_>) {
    match op {
        FloatOp::Add => binary::<FTZ>(inst, state, |a, b| a + b),
        FloatOp::Sub => binary::<FTZ>(inst, state, |a, b| a - b),
        FloatOp::Mul => binary::<FTZ>(inst, state, |a, b| a * b),
        FloatOp::Fma => map3(inst, state, |a, b, c| {
            let (a, b, c) = (flushed(a, FTZ), flushed(b, FTZ), flushed(c, FTZ));
            flushed(canonical(a.mul_add(b, c)), FTZ)
        }),
        FloatOp::Min => binary::<FTZ>(inst, state, least),
        FloatOp::Max => binary::<FTZ>(inst, state, greatest),
        FloatOp::MinNan => binary::<FTZ>(inst, state, least_or_nan),
        FloatOp::MaxNan => binary::<FTZ>(inst, state, greatest_or_nan),
        FloatOp::Neg => unary::<FTZ>(inst, state, |a| -a),
        FloatOp::Abs => unary::<FTZ>(inst, state, f32::abs),
        FloatOp::Copysign => map2(inst, state, |a: f32, b: f32| b.copysign(a)),
        FloatOp::Div => binary::<FTZ>(inst, state, |a, b| a / b),
        FloatOp::DivApprox => binary::<FTZ>(inst, state, quick_quotient),
        FloatOp::Sqrt => unary::<FTZ>(inst, state, f32::sqrt),
        FloatOp::Rcp => unary::<FTZ>(inst, state, |a| 1.0 / a),
    }
}

#[inline(always)]
fn unary<const FTZ: bool>(inst: &Inst, state: &mut LaneState<'_>, f: impl Fn(f32) -> f32) {
    map1(inst, state, |a| flushed(canonical(f(flushed(a, FTZ))), FTZ));
}

#[inline(always)]
fn binary<const FTZ: bool>(inst: &Inst, state: &mut LaneState<'_>, f: impl Fn(f32, f32) -> f32) {
    map2(inst, state, |a, b| {
        flushed(canonical(f(flushed(a, FTZ), flushed(b, FTZ))), FTZ)
    });
}

/// `div.approx`: a times the reciprocal of b, which is zero from 2^126 on.
#[inline(always)]
fn quick_quotient(a: f32, b: f32) -> f32 {
    let two_to_126 = f32::from_bits(0x7e80_0000);
    if b.abs() > two_to_126 {
        a * 0f32.copysign(b)
    } else {
        a / b
    }
}

/// The lesser; the other of a NaN; -0 is less than +0.
#[inline(always)]
pub fn least(a: f32, b: f32) -> f32 {
    let first = (a < b) | ((a == b) & a.is_sign_negative()) | b.is_nan();
    if first { a } else { b }
}

/// The greater; the other of a NaN; -0 is less than +0.
#[inline(always)]
pub fn greatest(a: f32, b: f32) -> f32 {
    let first = (a > b) | ((a == b) & a.is_sign_positive()) | b.is_nan();
    if first { a } else { b }
}

/// The lesser, or a NaN if there is one.
#[inline(always)]
pub fn least_or_nan(a: f32, b: f32) -> f32 {
    let first = (a < b) | ((a == b) & a.is_sign_negative()) | a.is_nan();
    if first { a } else { b }
}

/// The greater, or a NaN if there is one.
#[inline(always)]
pub fn greatest_or_nan(a: f32, b: f32) -> f32 {
    let first = (a > b) | ((a == b) & a.is_sign_positive()) | a.is_nan();
    if first { a } else { b }
}

/// f32 in any rounding. Quotients and square roots of 24-bit numbers are never nearer to a value of f32, or to the middle
/// of two, than f64's error, unless they are equal to it; so rounding them twice does no harm.
#[inline(always)]
pub fn rounded(
    op: FloatOp,
    rounding: Rounding,
    (ftz, sat): (bool, bool),
    inst: &Inst,
    state: &mut LaneState<'_>,
) {
    let into = |x: f32| f64::from(flushed(x, ftz));
    let out = |x: f32| {
        let value = flushed(canonical(x), ftz);
        if sat { saturated(value) } else { value }
    };
    match op {
        FloatOp::Add => map2(inst, state, |a, b| out(sum(into(a), into(b), rounding))),
        FloatOp::Sub => map2(inst, state, |a, b| out(sum(into(a), -into(b), rounding))),
        FloatOp::Mul => map2(inst, state, |a, b| out(to_f32(into(a) * into(b), rounding))),
        FloatOp::Fma => map3(inst, state, |a, b, c| {
            out(sum(into(a) * into(b), into(c), rounding))
        }),
        FloatOp::Div => map2(inst, state, |a, b| out(to_f32(into(a) / into(b), rounding))),
        FloatOp::Sqrt => map1(inst, state, |a| out(to_f32(into(a).sqrt(), rounding))),
        FloatOp::Rcp => map1(inst, state, |a| out(to_f32(1.0 / into(a), rounding))),
        // The rest is exact: there is nothing to round. The decoder gives these no `.sat`.
        _ => execute(op, ftz, inst, state),
    }
}

/// f64 to nearest even.
#[inline(always)]
pub fn double(op: FloatOp, inst: &Inst, state: &mut LaneState<'_>) {
    match op {
        FloatOp::Add => map2(inst, state, |a: f64, b: f64| canonical64(a + b)),
        FloatOp::Sub => map2(inst, state, |a: f64, b: f64| canonical64(a - b)),
        FloatOp::Mul => map2(inst, state, |a: f64, b: f64| canonical64(a * b)),
        FloatOp::Fma => map3(inst, state, |a: f64, b: f64, c: f64| {
            canonical64(a.mul_add(b, c))
        }),
        FloatOp::Min | FloatOp::MinNan => map2(inst, state, |a: f64, b: f64| {
            let first = (a < b) | ((a == b) & a.is_sign_negative()) | b.is_nan();
            canonical64(if first { a } else { b })
        }),
        FloatOp::Max | FloatOp::MaxNan => map2(inst, state, |a: f64, b: f64| {
            let first = (a > b) | ((a == b) & a.is_sign_positive()) | b.is_nan();
            canonical64(if first { a } else { b })
        }),
        FloatOp::Neg => map1(inst, state, |a: f64| canonical64(-a)),
        FloatOp::Abs => map1(inst, state, |a: f64| canonical64(a.abs())),
        FloatOp::Copysign => map2(inst, state, |a: f64, b: f64| b.copysign(a)),
        FloatOp::Div | FloatOp::DivApprox => {
            map2(inst, state, |a: f64, b: f64| canonical64(a / b));
        }
        FloatOp::Sqrt => map1(inst, state, |a: f64| canonical64(a.sqrt())),
        FloatOp::Rcp => map1(inst, state, |a: f64| canonical64(1.0 / a)),
    }
}
