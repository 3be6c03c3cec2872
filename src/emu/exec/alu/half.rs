//! f16 and bf16 arithmetic, one or two values a register, each result rounded once.

use super::float::{greatest, greatest_or_nan, least, least_or_nan};
use super::lanes::{Element, LaneState};
use crate::emu::exec::number::{
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
        FloatOp::Add => run.lanes::<H>(
            state,
            #[inline(always)]
            |a, b, _| a + b,
        ),
        FloatOp::Sub => run.lanes::<H>(
            state,
            #[inline(always)]
            |a, b, _| a - b,
        ),
        FloatOp::Mul => run.lanes::<H>(
            state,
            #[inline(always)]
            |a, b, _| H::product(a, b),
        ),
        FloatOp::Fma => run.lanes::<H>(
            state,
            #[inline(always)]
            |a, b, c| to_odd(sum_to_odd(f64::from(a) * f64::from(b), f64::from(c))),
        ),
        FloatOp::Min => run.lanes::<H>(
            state,
            #[inline(always)]
            |a, b, _| least(a, b),
        ),
        FloatOp::Max => run.lanes::<H>(
            state,
            #[inline(always)]
            |a, b, _| greatest(a, b),
        ),
        FloatOp::MinNan => run.lanes::<H>(
            state,
            #[inline(always)]
            |a, b, _| least_or_nan(a, b),
        ),
        FloatOp::MaxNan => run.lanes::<H>(
            state,
            #[inline(always)]
            |a, b, _| greatest_or_nan(a, b),
        ),
        FloatOp::Abs => run.lanes::<H>(
            state,
            #[inline(always)]
            |a, _, _| a.abs(),
        ),
        FloatOp::Neg => run.lanes::<H>(
            state,
            #[inline(always)]
            |a, _, _| -a,
        ),
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
        let mut out = self.halves::<H, 0>(state, &f);
        if self.packed {
            let high = self.halves::<H, 16>(state, &f);
            for lane in 0..LANES {
                out.0[lane] |= high.0[lane] << 16;
            }
        }
        state.rows.set(self.inst.d, &out, state.mask);
    }

    /// `f` on the halves from bit `SHIFT` of each register: one loop for each step, so that each is vector code.
    #[inline(always)]
    fn halves<H: HalfFormat, const SHIFT: u32>(
        &self,
        state: &LaneState<'_>,
        f: &impl Fn(f32, f32, f32) -> f32,
    ) -> Row {
        let inst = self.inst;
        let ftz = matches!(
            self.clamp,
            HalfClamp::Ftz | HalfClamp::FtzSat | HalfClamp::FtzRelu
        );
        let least = if ftz { H::LEAST_NORMAL } else { 0.0 };
        let row = |slot| widened::<H, SHIFT>(state.rows.get(slot), least);
        let a = row(inst.a);
        let b = if inst.uses > 1 { row(inst.b) } else { a };
        let c = if inst.uses > 2 { row(inst.c) } else { a };
        let mut out = Row::splat(0);
        for lane in 0..LANES {
            let (a, b) = (f32::get(&a, lane), f32::get(&b, lane));
            f32::put(&mut out, lane, f(a, b, f32::get(&c, lane)));
        }
        match self.clamp {
            HalfClamp::None | HalfClamp::Ftz => {}
            HalfClamp::Sat | HalfClamp::FtzSat => each(&mut out, saturated),
            HalfClamp::Relu | HalfClamp::FtzRelu => each(&mut out, rectified),
        }
        for lane in 0..LANES {
            out.0[lane] = u32::from(H::narrow(f32::get(&out, lane), Rounding::Nearest));
        }
        if ftz {
            // Whether a result is subnormal is known after rounding.
            for lane in 0..LANES {
                let bits = out.0[lane];
                let small = H::widen(bits as u16).abs() < least;
                out.0[lane] = if small { bits & 0x8000 } else { bits };
            }
        }
        out
    }
}

/// The halves from bit `SHIFT`, as f32; magnitudes below `least` as zero.
#[inline(always)]
pub fn widened<H: HalfFormat, const SHIFT: u32>(row: &Row, least: f32) -> Row {
    let mut out = Row::splat(0);
    for lane in 0..LANES {
        let value = H::widen((row.0[lane] >> SHIFT) as u16);
        f32::put(&mut out, lane, flushed_below(value, least));
    }
    out
}

#[inline(always)]
fn each(row: &mut Row, f: impl Fn(f32) -> f32) {
    for lane in 0..LANES {
        let value = f(f32::get(row, lane));
        f32::put(row, lane, value);
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
