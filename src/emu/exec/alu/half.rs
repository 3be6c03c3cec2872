//! f16 and bf16 arithmetic, one or two values a register, each result rounded once.

use super::float::{greatest, greatest_or_nan, least, least_or_nan};
use super::lanes::{Element, LaneState};
use super::round::{
    Bf16, F16, HalfFormat, canonical, flushed_below, saturated, sum_to_odd, to_odd,
};
use crate::emu::op::{FloatOp, Half, HalfClamp, Rounding};
use crate::emu::program::Inst;
use crate::emu::rows::{LANES, Row};

/// `op` on `ty`.
#[inline(always)]
pub fn execute(
    op: FloatOp,
    ty: Half,
    packed: bool,
    clamp: HalfClamp,
    inst: &Inst,
    state: &mut LaneState<'_>,
) {
    match ty {
        Half::F16 => of::<F16>(op, packed, clamp, inst, state),
        Half::Bf16 => of::<Bf16>(op, packed, clamp, inst, state),
    }
}

#[inline(always)]
fn of<H: HalfFormat>(
    op: FloatOp,
    packed: bool,
    clamp: HalfClamp,
    inst: &Inst,
    state: &mut LaneState<'_>,
) {
    let run = Run {
        packed,
        clamp,
        inst,
    };
    match op {
        // f32 has more than twice the bits and two, so rounding the sum twice equals once.
        FloatOp::Add => run.lanes::<H>(state, |a, b, _| a + b),
        FloatOp::Sub => run.lanes::<H>(state, |a, b, _| a - b),
        FloatOp::Mul => run.lanes::<H>(state, |a, b, _| H::product(a, b)),
        FloatOp::Fma => run.lanes::<H>(state, |a, b, c| {
            to_odd(sum_to_odd(f64::from(a) * f64::from(b), f64::from(c)))
        }),
        FloatOp::Min => run.lanes::<H>(state, |a, b, _| least(a, b)),
        FloatOp::Max => run.lanes::<H>(state, |a, b, _| greatest(a, b)),
        FloatOp::MinNan => run.lanes::<H>(state, |a, b, _| least_or_nan(a, b)),
        FloatOp::MaxNan => run.lanes::<H>(state, |a, b, _| greatest_or_nan(a, b)),
        FloatOp::Abs => run.lanes::<H>(state, |a, _, _| a.abs()),
        FloatOp::Neg => run.lanes::<H>(state, |a, _, _| -a),
        // The decoder makes no others.
        FloatOp::Copysign | FloatOp::Div | FloatOp::DivApprox | FloatOp::Sqrt | FloatOp::Rcp => {}
    }
}

/// What a loop over halves needs besides its function.
struct Run<'i> {
    packed: bool,
    clamp: HalfClamp,
    inst: &'i Inst,
}

impl Run<'_> {
    /// `d = f(a, b, c)`; an operand that is not there reads as the first.
    #[inline(always)]
    fn lanes<H: HalfFormat>(&self, state: &mut LaneState<'_>, f: impl Fn(f32, f32, f32) -> f32) {
        let ftz = matches!(
            self.clamp,
            HalfClamp::Ftz | HalfClamp::FtzSat | HalfClamp::FtzRelu
        );
        let sat = matches!(self.clamp, HalfClamp::Sat | HalfClamp::FtzSat);
        let relu = matches!(self.clamp, HalfClamp::Relu | HalfClamp::FtzRelu);
        let or_first = |index: u8, slot| {
            if index < self.inst.uses {
                slot
            } else {
                self.inst.a
            }
        };
        let a = u32::row(&state.rows, self.inst.a);
        let b = u32::row(&state.rows, or_first(1, self.inst.b));
        let c = u32::row(&state.rows, or_first(2, self.inst.c));
        let part = |shift: u32| {
            let mut out = Row::splat(0);
            for lane in 0..LANES {
                let of = |row: &Row| {
                    let value = H::widen((row.0[lane] >> shift) as u16);
                    flushed_below(value, H::LEAST_NORMAL, ftz)
                };
                let value = f(of(a), of(b), of(c));
                let value = if sat { saturated(value) } else { value };
                let value = if relu { rectified(value) } else { value };
                let bits = H::narrow(value, Rounding::Nearest);
                let least = H::widen(bits).abs() < H::LEAST_NORMAL;
                let bits = if ftz & least { bits & 0x8000 } else { bits };
                out.0[lane] = u32::from(bits) << shift;
            }
            out
        };
        let mut out = part(0);
        if self.packed {
            let high = part(16);
            for lane in 0..LANES {
                out.0[lane] |= high.0[lane];
            }
        }
        state.rows.set(self.inst.d, &out, state.mask);
    }
}

/// Zero for what is negative; a NaN stays one.
#[inline(always)]
pub fn rectified(x: f32) -> f32 {
    if (x > 0.0) | x.is_nan() {
        canonical(x)
    } else {
        0.0
    }
}
