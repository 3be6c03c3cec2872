//! f32 arithmetic, and f64 to nearest.

use super::lanes::{LaneState, map1, map2, map3};
use crate::emu::exec::number::{
    Direction, canonical, canonical64, flushed, flushed_below, saturated,
};
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
    map1(
        inst,
        state,
        #[inline(always)]
        |a| flushed(canonical(f(flushed(a, FTZ))), FTZ),
    );
}

#[inline(always)]
fn binary<const FTZ: bool>(inst: &Inst, state: &mut LaneState<'_>, f: impl Fn(f32, f32) -> f32) {
    map2(
        inst,
        state,
        #[inline(always)]
        |a, b| flushed(canonical(f(flushed(a, FTZ), flushed(b, FTZ))), FTZ),
    );
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

/// How a rounded operation treats its operands and its result.
#[derive(Clone, Copy)]
pub struct Manner {
    direction: Direction,
    /// Magnitudes below are zero.
    least: f32,
    sat: bool,
}

impl Manner {
    /// In which direction it rounds, whether subnormal operands and results are zero, and whether the result is clamped
    /// to [0, 1].
    #[inline(always)]
    pub fn new(rounding: Rounding, ftz: bool, sat: bool) -> Manner {
        Manner {
            direction: Direction::of(rounding),
            least: if ftz { f32::MIN_POSITIVE } else { 0.0 },
            sat,
        }
    }

    #[inline(always)]
    fn take(self, x: f32) -> f64 {
        f64::from(flushed_below(x, self.least))
    }

    #[inline(always)]
    fn give(self, x: f32) -> f32 {
        let value = flushed_below(canonical(x), self.least);
        let clamped = saturated(value);
        if self.sat { clamped } else { value }
    }

    #[inline(always)]
    fn sum(self, a: f64, b: f64) -> f32 {
        self.give(self.direction.sum(a, b))
    }

    #[inline(always)]
    fn round(self, x: f64) -> f32 {
        self.give(self.direction.round(x))
    }
}

/// f32 in any rounding. Quotients and square roots of 24-bit numbers are never nearer to a value of f32, or to the middle
/// of two, than f64's error, unless they are equal to it; so rounding them twice does no harm.
#[inline(always)]
pub fn rounded(op: FloatOp, how: Manner, inst: &Inst, state: &mut LaneState<'_>) {
    match op {
        FloatOp::Add => map2(
            inst,
            state,
            #[inline(always)]
            |a, b| how.sum(how.take(a), how.take(b)),
        ),
        FloatOp::Sub => map2(
            inst,
            state,
            #[inline(always)]
            |a, b| how.sum(how.take(a), -how.take(b)),
        ),
        FloatOp::Mul => map2(
            inst,
            state,
            #[inline(always)]
            |a, b| how.round(how.take(a) * how.take(b)),
        ),
        FloatOp::Fma => map3(
            inst,
            state,
            #[inline(always)]
            |a, b, c| how.sum(how.take(a) * how.take(b), how.take(c)),
        ),
        FloatOp::Div => map2(
            inst,
            state,
            #[inline(always)]
            |a, b| how.round(how.take(a) / how.take(b)),
        ),
        FloatOp::Sqrt => map1(
            inst,
            state,
            #[inline(always)]
            |a| how.round(how.take(a).sqrt()),
        ),
        FloatOp::Rcp => map1(
            inst,
            state,
            #[inline(always)]
            |a| how.round(1.0 / how.take(a)),
        ),
        // The rest is exact: there is nothing to round. The decoder gives these no `.sat`.
        _ => execute(op, how.least > 0.0, inst, state),
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
