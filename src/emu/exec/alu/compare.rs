//! Comparisons to predicates and to values.

use super::half::widened;
use super::lanes::{Element, LaneState, has, test2};
use crate::emu::exec::number::{Bf16, F16, HalfFormat, flushed};
use crate::emu::op::{Cmp, Combine, Compared, Float, Half, Int, SetResult, TestOp};
use crate::emu::program::Inst;
use crate::emu::rows::{LANES, Row};

/// A comparison: how, of what, and whether subnormal f32 and f16 count as zero.
#[derive(Clone, Copy)]
pub struct Comparison {
    /// How.
    pub cmp: Cmp,
    /// Of what.
    pub ty: Compared,
    /// Whether subnormals count as zero.
    pub ftz: bool,
}

/// `setp`.
#[inline(always)]
pub fn setp(what: Comparison, combine: Combine, inst: &Inst, state: &mut LaneState<'_>) {
    let (first, second) = compare(what, inst, state);
    let with = state.pred(inst.ps[0], inst.ps_negated[0], 0);
    // Two results of one comparison are it and its opposite.
    let second = second.unwrap_or(!first);
    state.set_pred(inst.pd[0], combined(first, combine, with));
    state.set_pred(inst.pd[1], combined(second, combine, with));
}

/// `set`.
#[inline(always)]
pub fn set(
    what: Comparison,
    combine: Combine,
    result: SetResult,
    inst: &Inst,
    state: &mut LaneState<'_>,
) {
    let (first, second) = compare(what, inst, state);
    let with = state.pred(inst.ps[0], inst.ps_negated[0], 0);
    let low = combined(first, combine, with);
    let half = |ty| match ty {
        Half::F16 => u32::from(F16::ONE),
        Half::Bf16 => u32::from(Bf16::ONE),
    };
    let (one, high_bits) = match (result, second) {
        (SetResult::Ones, None) => (u32::MAX, None),
        (SetResult::Ones | SetResult::Ones16, second) => (0xffff, second),
        (SetResult::OneF32, _) => (1f32.to_bits(), None),
        (SetResult::OneHalf(ty), second) => (half(ty), second),
    };
    let high = high_bits.map_or(0, |bits| combined(bits, combine, with));
    let mut out = Row::splat(0);
    for lane in 0..LANES {
        let low = if has(low, lane) { one } else { 0 };
        let high = if has(high, lane) { one << 16 } else { 0 };
        out.0[lane] = low | high;
    }
    state.rows.set(inst.d, &out, state.mask);
}

#[inline(always)]
fn combined(bits: u32, combine: Combine, with: u32) -> u32 {
    match combine {
        Combine::None => bits,
        Combine::And => bits & with,
        Combine::Or => bits | with,
        Combine::Xor => bits ^ with,
    }
}

/// The lanes where the comparison holds; for pairs those of the low and of the high halves.
#[inline(always)]
fn compare(what: Comparison, inst: &Inst, state: &LaneState<'_>) -> (u32, Option<u32>) {
    let Comparison { cmp, ty, ftz } = what;
    match ty {
        Compared::Int(ty) => (integers(cmp, ty, inst, state), None),
        Compared::Float(Float::F64) => (floats::<f64>(cmp, inst, state), None),
        Compared::Float(Float::F32) if ftz => (flushed_floats(cmp, inst, state), None),
        Compared::Float(Float::F32) => (floats::<f32>(cmp, inst, state), None),
        Compared::Float(Float::F16) => (halves::<F16, 0>(cmp, ftz, inst, state), None),
        Compared::Float(Float::Bf16) => (halves::<Bf16, 0>(cmp, ftz, inst, state), None),
        Compared::Pair(Half::F16) => (
            halves::<F16, 0>(cmp, ftz, inst, state),
            Some(halves::<F16, 16>(cmp, ftz, inst, state)),
        ),
        Compared::Pair(Half::Bf16) => (
            halves::<Bf16, 0>(cmp, ftz, inst, state),
            Some(halves::<Bf16, 16>(cmp, ftz, inst, state)),
        ),
    }
}

#[inline(always)]
fn integers(cmp: Cmp, ty: Int, inst: &Inst, state: &LaneState<'_>) -> u32 {
    match ty {
        Int::U8 | Int::U16 => ordered_rows::<u16>(cmp, inst, state),
        Int::S8 | Int::S16 => ordered_rows::<i16>(cmp, inst, state),
        Int::U32 => ordered_rows::<u32>(cmp, inst, state),
        Int::S32 => ordered_rows::<i32>(cmp, inst, state),
        Int::U64 => ordered_rows::<u64>(cmp, inst, state),
        Int::S64 => ordered_rows::<i64>(cmp, inst, state),
    }
}

/// Three loops serve all comparisons of a type with a total order.
#[inline(always)]
fn ordered_rows<T: Element + Ord>(cmp: Cmp, inst: &Inst, state: &LaneState<'_>) -> u32 {
    let (a, b) = (T::row(&state.rows, inst.a), T::row(&state.rows, inst.b));
    match cmp {
        Cmp::Eq | Cmp::Equ => test2(a, b, |x: T, y: T| x == y),
        Cmp::Ne | Cmp::Neu => !test2(a, b, |x: T, y: T| x == y),
        Cmp::Lt | Cmp::Ltu => test2(a, b, |x: T, y: T| x < y),
        Cmp::Ge | Cmp::Geu => !test2(a, b, |x: T, y: T| x < y),
        Cmp::Gt | Cmp::Gtu => test2(a, b, |x: T, y: T| x > y),
        Cmp::Le | Cmp::Leu => !test2(a, b, |x: T, y: T| x > y),
        Cmp::Num => u32::MAX,
        Cmp::Nan => 0,
    }
}

/// Floats: an ordered comparison is the opposite of an unordered one.
#[inline(always)]
fn float_rows<T: Element + PartialOrd>(cmp: Cmp, a: &T::Row, b: &T::Row) -> u32 {
    match cmp {
        Cmp::Eq => test2(a, b, |x: T, y: T| x == y),
        Cmp::Neu => !test2(a, b, |x: T, y: T| x == y),
        Cmp::Ne => test2(a, b, |x: T, y: T| (x < y) | (x > y)),
        Cmp::Equ => !test2(a, b, |x: T, y: T| (x < y) | (x > y)),
        Cmp::Lt => test2(a, b, |x: T, y: T| x < y),
        Cmp::Geu => !test2(a, b, |x: T, y: T| x < y),
        Cmp::Le => test2(a, b, |x: T, y: T| x <= y),
        Cmp::Gtu => !test2(a, b, |x: T, y: T| x <= y),
        Cmp::Gt => test2(a, b, |x: T, y: T| x > y),
        Cmp::Leu => !test2(a, b, |x: T, y: T| x > y),
        Cmp::Ge => test2(a, b, |x: T, y: T| x >= y),
        Cmp::Ltu => !test2(a, b, |x: T, y: T| x >= y),
        Cmp::Num => test2(a, b, |x: T, y: T| (x <= y) | (x > y)),
        Cmp::Nan => !test2(a, b, |x: T, y: T| (x <= y) | (x > y)),
    }
}

#[inline(always)]
fn floats<T: Element + PartialOrd>(cmp: Cmp, inst: &Inst, state: &LaneState<'_>) -> u32 {
    let (a, b) = (T::row(&state.rows, inst.a), T::row(&state.rows, inst.b));
    float_rows::<T>(cmp, a, b)
}

/// f32 with subnormals as zero.
#[inline(always)]
fn flushed_floats(cmp: Cmp, inst: &Inst, state: &LaneState<'_>) -> u32 {
    let (a, b) = (state.rows.get(inst.a), state.rows.get(inst.b));
    float_rows::<f32>(cmp, &flushed_row(a), &flushed_row(b))
}

#[inline(always)]
fn flushed_row(row: &Row) -> Row {
    let mut out = Row::splat(0);
    for lane in 0..LANES {
        f32::put(&mut out, lane, flushed(f32::get(row, lane), true));
    }
    out
}

/// The halves from bit `SHIFT` of each register.
#[inline(always)]
fn halves<H: HalfFormat, const SHIFT: u32>(
    cmp: Cmp,
    ftz: bool,
    inst: &Inst,
    state: &LaneState<'_>,
) -> u32 {
    let least = if ftz { H::LEAST_NORMAL } else { 0.0 };
    let a = widened::<H, SHIFT>(state.rows.get(inst.a), least);
    let b = widened::<H, SHIFT>(state.rows.get(inst.b), least);
    float_rows::<f32>(cmp, &a, &b)
}

/// `testp`.
#[inline(always)]
pub fn testp(op: TestOp, wide: bool, inst: &Inst, state: &mut LaneState<'_>) {
    let bits = if wide {
        let a = f64::row(&state.rows, inst.a);
        test2(a, a, |x: f64, _| is(op, x.classify()))
    } else {
        let a = f32::row(&state.rows, inst.a);
        test2(a, a, |x: f32, _| is(op, x.classify()))
    };
    state.set_pred(inst.pd[0], bits);
}

#[inline(always)]
fn is(op: TestOp, class: std::num::FpCategory) -> bool {
    use std::num::FpCategory::{Infinite, Nan, Normal, Subnormal, Zero};
    match op {
        TestOp::Finite => !matches!(class, Nan | Infinite),
        TestOp::Infinite => class == Infinite,
        TestOp::Number => class != Nan,
        TestOp::NotANumber => class == Nan,
        // Zeros count as normal here.
        TestOp::Normal => matches!(class, Normal | Zero),
        TestOp::Subnormal => class == Subnormal,
    }
}
