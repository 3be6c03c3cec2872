//! `cvt`: the frequent forms each in a loop of its own, the others by way of 64-bit values.

use super::half::rectified;
use super::lanes::{LaneState, map1, map2};
use super::round::{
    Bf16, F16, HalfFormat, canonical, canonical64, flushed, saturated, to_f32, to_odd,
};
use crate::emu::op::{Conversion, Float, Half, Int, Number, Rounding, Width};
use crate::emu::program::Inst;
use crate::emu::rows::{LANES, Row, Slot, WideRow};

/// f16 or bf16 to f32.
#[inline(always)]
pub fn half_to_float(ty: Half, inst: &Inst, state: &mut LaneState<'_>) {
    match ty {
        Half::F16 => map1(inst, state, |a| canonical(F16::widen(a))),
        Half::Bf16 => map1(inst, state, |a| canonical(Bf16::widen(a))),
    }
}

/// f32 to f16 or bf16, to nearest.
#[inline(always)]
pub fn float_to_half(ty: Half, inst: &Inst, state: &mut LaneState<'_>) {
    match ty {
        Half::F16 => map1(inst, state, |a| F16::narrow(a, Rounding::Nearest)),
        Half::Bf16 => map1(inst, state, |a| Bf16::narrow(a, Rounding::Nearest)),
    }
}

/// Two f32 to a pair of halves: the first operand is the high one.
#[inline(always)]
pub fn floats_to_pair(
    ty: Half,
    rounding: Rounding,
    relu: bool,
    inst: &Inst,
    state: &mut LaneState<'_>,
) {
    match (ty, rounding) {
        (Half::F16, Rounding::Nearest) => pair::<F16>(Rounding::Nearest, relu, inst, state),
        (Half::Bf16, Rounding::Nearest) => pair::<Bf16>(Rounding::Nearest, relu, inst, state),
        (Half::F16, rounding) => pair::<F16>(rounding, relu, inst, state),
        (Half::Bf16, rounding) => pair::<Bf16>(rounding, relu, inst, state),
    }
}

#[inline(always)]
fn pair<H: HalfFormat>(rounding: Rounding, relu: bool, inst: &Inst, state: &mut LaneState<'_>) {
    map2(inst, state, |high: f32, low: f32| {
        let half = |x| H::narrow(if relu { rectified(x) } else { x }, rounding);
        (u32::from(half(high)) << 16) | u32::from(half(low))
    });
}

/// Integers to integers by their low bits: cut to `to`, extended by its sign to the register.
#[inline(always)]
pub fn resize(wide: bool, to: Int, register: Width, inst: &Inst, state: &mut LaneState<'_>) {
    match (wide, register) {
        (false, Width::W64) => match to {
            Int::S32 => map1(inst, state, |a: u32| i64::from(a as i32)),
            Int::U32 => map1(inst, state, |a: u32| u64::from(a)),
            _ => map1(inst, state, |a: u32| cut(u64::from(a), to)),
        },
        (false, Width::W32) => map1(inst, state, |a: u32| cut(u64::from(a), to) as u32),
        (false, Width::W16) => map1(inst, state, |a: u32| cut(u64::from(a), to) as u16),
        (true, Width::W64) => map1(inst, state, |a: u64| cut(a, to)),
        (true, Width::W32) => match to {
            Int::S32 | Int::U32 => map1(inst, state, |a: u64| a as u32),
            _ => map1(inst, state, |a: u64| cut(a, to) as u32),
        },
        (true, Width::W16) => map1(inst, state, |a: u64| cut(a, to) as u16),
    }
}

/// The low bits of `value` as `ty`, extended to 64.
#[inline(always)]
fn cut(value: u64, ty: Int) -> u64 {
    let unused = match ty {
        Int::U8 | Int::S8 => 56,
        Int::U16 | Int::S16 => 48,
        Int::U32 | Int::S32 => 32,
        Int::U64 | Int::S64 => 0,
    };
    let high = value.wrapping_shl(unused);
    match ty {
        Int::U8 | Int::U16 | Int::U32 | Int::U64 => high.wrapping_shr(unused),
        Int::S8 | Int::S16 | Int::S32 | Int::S64 => (high as i64).wrapping_shr(unused) as u64,
    }
}

/// The smallest and the largest value of a type.
#[inline(always)]
fn range(ty: Int) -> (i128, i128) {
    match ty {
        Int::U8 => (0, 0xff),
        Int::S8 => (-0x80, 0x7f),
        Int::U16 => (0, 0xffff),
        Int::S16 => (-0x8000, 0x7fff),
        Int::U32 => (0, 0xffff_ffff),
        Int::S32 => (-0x8000_0000, 0x7fff_ffff),
        Int::U64 => (0, u64::MAX as i128),
        Int::S64 => (i64::MIN as i128, i64::MAX as i128),
    }
}

/// Every other conversion.
#[inline(always)]
pub fn execute(what: &Conversion, inst: &Inst, state: &mut LaneState<'_>) {
    let source = if what.wide {
        *state.rows.get_wide(inst.a)
    } else {
        let mut wide = WideRow::splat(0);
        let row = state.rows.get(inst.a);
        for lane in 0..LANES {
            wide.0[lane] = u64::from(row.0[lane]);
        }
        wide
    };
    let mut out = WideRow::splat(0);
    for lane in 0..LANES {
        out.0[lane] = one(what, source.0[lane]);
    }
    store(what.register, inst.d, &out, state);
}

#[inline(always)]
fn store(register: Width, slot: Slot, out: &WideRow, state: &mut LaneState<'_>) {
    if register == Width::W64 {
        state.rows.set_wide(slot, out, state.mask);
        return;
    }
    let keep = if register == Width::W16 {
        0xffff
    } else {
        u32::MAX
    };
    let mut row = Row::splat(0);
    for lane in 0..LANES {
        row.0[lane] = out.0[lane] as u32 & keep;
    }
    state.rows.set(slot, &row, state.mask);
}

/// One lane.
#[inline(always)]
fn one(what: &Conversion, bits: u64) -> u64 {
    match (what.from, what.to) {
        (Number::Int(from), Number::Int(to)) => int_to_int(bits, from, to, what.sat),
        (Number::Int(from), Number::Float(to)) => {
            let magnitude = cut(bits, from) as i64;
            let exact = if from == Int::U64 {
                integer_to_odd(magnitude as u64, false)
            } else {
                integer_to_odd(magnitude.unsigned_abs(), magnitude < 0)
            };
            let nearest = if from == Int::U64 {
                bits as f64
            } else {
                magnitude as f64
            };
            let value = if to == Float::F64 { nearest } else { exact };
            float_bits(what, to, value)
        }
        (Number::Float(from), Number::Int(to)) => {
            let value = integral(
                float_value(bits, from, what.ftz),
                what.integral.unwrap_or(Rounding::Zero),
            );
            float_to_int(value, from, to)
        }
        (Number::Float(from), Number::Float(to)) => {
            let value = float_value(bits, from, what.ftz);
            let value = what.integral.map_or(value, |to| integral(value, to));
            float_bits(what, to, value)
        }
    }
}

#[inline(always)]
fn int_to_int(bits: u64, from: Int, to: Int, sat: bool) -> u64 {
    let value = cut(bits, from);
    if !sat {
        return cut(value, to);
    }
    let exact = if from == Int::U64 {
        i128::from(value)
    } else {
        i128::from(value as i64)
    };
    let (low, high) = range(to);
    exact.clamp(low, high) as u64
}

/// An integer as f64, rounded to odd; of 64 bits the low 11 are only looked at for being zero.
#[inline(always)]
fn integer_to_odd(magnitude: u64, negative: bool) -> f64 {
    let exact = magnitude < 1 << 53;
    let sticky = (magnitude >> 11) | u64::from(magnitude & 0x7ff != 0);
    let value = if exact {
        magnitude as f64
    } else {
        sticky as f64 * 2048.0
    };
    if negative { -value } else { value }
}

/// The value of a float, exact.
#[inline(always)]
fn float_value(bits: u64, ty: Float, ftz: bool) -> f64 {
    match ty {
        Float::F16 => f64::from(F16::widen(bits as u16)),
        Float::Bf16 => f64::from(Bf16::widen(bits as u16)),
        Float::F32 => f64::from(flushed(f32::from_bits(bits as u32), ftz)),
        Float::F64 => f64::from_bits(bits),
    }
}

#[inline(always)]
fn integral(value: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Nearest => value.round_ties_even(),
        Rounding::Zero => value.trunc(),
        Rounding::Down => value.floor(),
        Rounding::Up => value.ceil(),
    }
}

/// An integral value as `to`, clamped. A NaN is zero, or the value with only the top bit set where 64-bit types take part.
#[inline(always)]
fn float_to_int(value: f64, from: Float, to: Int) -> u64 {
    if value.is_nan() {
        let top = match to {
            Int::U8 | Int::S8 => 7,
            Int::U16 | Int::S16 => 15,
            Int::U32 | Int::S32 => 31,
            Int::U64 | Int::S64 => 63,
        };
        let zero = from != Float::F64 && !to.is_wide();
        return if zero { 0 } else { cut(1 << top, to) };
    }
    let (low, high) = range(to);
    let exact = match to {
        Int::U64 => i128::from(value as u64),
        _ => i128::from(value as i64),
    };
    exact.clamp(low, high) as u64
}

/// The bits of `value`, exact or rounded to odd, in `to`.
#[inline(always)]
fn float_bits(what: &Conversion, to: Float, value: f64) -> u64 {
    let clamp = |x: f32| {
        let x = if what.sat { saturated(x) } else { x };
        if what.relu { rectified(x) } else { x }
    };
    match to {
        Float::F16 => u64::from(F16::narrow(clamp(to_odd(value)), what.rounding)),
        Float::Bf16 => u64::from(Bf16::narrow(clamp(to_odd(value)), what.rounding)),
        Float::F32 => {
            let near = flushed(canonical(to_f32(value, what.rounding)), what.ftz);
            u64::from(clamp(near).to_bits())
        }
        Float::F64 => {
            let low = if value > 0.0 { value } else { 0.0 };
            let clamped = if low > 1.0 { 1.0 } else { low };
            canonical64(if what.sat { clamped } else { value }).to_bits()
        }
    }
}
