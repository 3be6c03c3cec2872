//! `cvt`: the frequent forms each in a loop of its own, the others by way of 64-bit values.

use super::half::rectified;
use super::lanes::{Element, LaneState, map1, map2};
use super::moves;
use crate::emu::exec::number::{
    Bf16, Direction, F16, HalfFormat, canonical, canonical64, flushed, saturated, to_odd,
};
use crate::emu::op::{Conversion, Float, Half, Int, Number, Rounding, Width};
use crate::emu::program::Inst;
use crate::emu::rows::{LANES, Row, Slot, WideRow};

/// A 32-bit integer to f32, to nearest.
#[inline(always)]
pub fn int_to_float(signed: bool, inst: &Inst, state: &mut LaneState<'_>) {
    if signed {
        map1(
            inst,
            state,
            #[inline(always)]
            |a: i32| a as f32,
        );
    } else {
        map1(
            inst,
            state,
            #[inline(always)]
            |a: u32| a as f32,
        );
    }
}

/// f16 or bf16 to f32. A bf16 NaN keeps its payload: hardware shifts.
#[inline(always)]
pub fn half_to_float(ty: Half, inst: &Inst, state: &mut LaneState<'_>) {
    match ty {
        Half::F16 => map1(
            inst,
            state,
            #[inline(always)]
            |a| canonical(F16::widen(a)),
        ),
        Half::Bf16 => map1(inst, state, Bf16::widen),
    }
}

/// f32 to f16 or bf16, to nearest.
#[inline(always)]
pub fn float_to_half(ty: Half, inst: &Inst, state: &mut LaneState<'_>) {
    match ty {
        Half::F16 => map1(
            inst,
            state,
            #[inline(always)]
            |a| F16::narrow(a, Rounding::Nearest),
        ),
        Half::Bf16 => map1(
            inst,
            state,
            #[inline(always)]
            |a| Bf16::narrow(a, Rounding::Nearest),
        ),
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
    if relu {
        map2(
            inst,
            state,
            #[inline(always)]
            |high, low| both::<H>(rectified(high), rectified(low), rounding),
        );
    } else {
        map2(
            inst,
            state,
            #[inline(always)]
            |high, low| both::<H>(high, low, rounding),
        );
    }
}

#[inline(always)]
fn both<H: HalfFormat>(high: f32, low: f32, rounding: Rounding) -> u32 {
    let high = u32::from(H::narrow(high, rounding));
    (high << 16) | u32::from(H::narrow(low, rounding))
}

/// Integers to integers by their low bits: cut to `to`, extended by its sign to the register.
#[inline(always)]
pub fn resize(wide: bool, to: Int, register: Width, inst: &Inst, state: &mut LaneState<'_>) {
    let (unused, signed) = match to {
        Int::U8 => (24, false),
        Int::S8 => (24, true),
        Int::U16 => (16, false),
        Int::S16 => (16, true),
        Int::U32 => (0, false),
        Int::S32 => (0, true),
        Int::U64 | Int::S64 => return moves::copy::<u64>(inst, state),
    };
    match (wide, signed) {
        (false, false) => resize_low(
            register,
            inst,
            state,
            #[inline(always)]
            |a: u32| a.wrapping_shl(unused).wrapping_shr(unused),
        ),
        (false, true) => resize_low(
            register,
            inst,
            state,
            #[inline(always)]
            |a: u32| (a.wrapping_shl(unused) as i32).wrapping_shr(unused),
        ),
        (true, false) => resize_low(
            register,
            inst,
            state,
            #[inline(always)]
            |a: u64| (a as u32).wrapping_shl(unused).wrapping_shr(unused),
        ),
        (true, true) => resize_low(
            register,
            inst,
            state,
            #[inline(always)]
            |a: u64| ((a as u32).wrapping_shl(unused) as i32).wrapping_shr(unused),
        ),
    }
}

/// A value extended to 32 bits goes on to the register's width.
#[inline(always)]
fn resize_low<A: Element, L: Into<i64>>(
    register: Width,
    inst: &Inst,
    state: &mut LaneState<'_>,
    low: impl Fn(A) -> L,
) {
    match register {
        Width::W16 => map1(
            inst,
            state,
            #[inline(always)]
            |a| low(a).into() as u16,
        ),
        Width::W32 => map1(
            inst,
            state,
            #[inline(always)]
            |a| low(a).into() as u32,
        ),
        Width::W64 => map1(
            inst,
            state,
            #[inline(always)]
            |a| low(a).into(),
        ),
    }
}

/// The low bits of `value` as `ty`, extended to 64.
#[inline(always)]
fn cut(value: u64, ty: Int) -> u64 {
    match ty {
        Int::U8 => value & 0xff,
        Int::S8 => i64::from(value as i8) as u64,
        Int::U16 => value & 0xffff,
        Int::S16 => i64::from(value as i16) as u64,
        Int::U32 => value & 0xffff_ffff,
        Int::S32 => i64::from(value as i32) as u64,
        Int::U64 | Int::S64 => value,
    }
}

/// The smallest and the largest value of a type, as far as i64 goes.
fn range(ty: Int) -> (i64, i64) {
    match ty {
        Int::U8 => (0, 0xff),
        Int::S8 => (-0x80, 0x7f),
        Int::U16 => (0, 0xffff),
        Int::S16 => (-0x8000, 0x7fff),
        Int::U32 => (0, 0xffff_ffff),
        Int::S32 => (-0x8000_0000, 0x7fff_ffff),
        Int::U64 => (0, i64::MAX),
        Int::S64 => (i64::MIN, i64::MAX),
    }
}

/// Every other conversion: in steps, each a loop of its own, by way of 64-bit values.
#[inline(always)]
pub fn execute(what: &Conversion, inst: &Inst, state: &mut LaneState<'_>) {
    let mut values = operand(what.wide, inst.a, state);
    match (what.from, what.to) {
        (Number::Int(from), Number::Int(to)) => {
            each(
                &mut values,
                #[inline(always)]
                |bits| cut(bits, from),
            );
            if what.sat {
                clamp_ints(from, to, &mut values);
            }
            each(
                &mut values,
                #[inline(always)]
                |bits| cut(bits, to),
            );
        }
        (Number::Int(from), Number::Float(to)) => {
            each(
                &mut values,
                #[inline(always)]
                |bits| cut(bits, from),
            );
            floats_of_ints(from, to, &mut values);
            narrow(what, to, &mut values);
        }
        (Number::Float(from), Number::Int(to)) => {
            widen(from, what.ftz, &mut values);
            make_integral(what.integral, &mut values);
            ints_of_floats(from, to, &mut values);
        }
        (Number::Float(from), Number::Float(to)) => {
            widen(from, what.ftz, &mut values);
            make_integral(what.integral, &mut values);
            narrow(what, to, &mut values);
        }
    }
    store(what.register, inst.d, &values, state);
}

#[inline(always)]
fn each(values: &mut WideRow, f: impl Fn(u64) -> u64) {
    for lane in 0..LANES {
        values.0[lane] = f(values.0[lane]);
    }
}

#[inline(always)]
fn each_float(values: &mut WideRow, f: impl Fn(f64) -> f64) {
    each(
        values,
        #[inline(always)]
        |bits| f(f64::from_bits(bits)).to_bits(),
    );
}

#[inline(always)]
fn operand(wide: bool, slot: Slot, state: &LaneState<'_>) -> WideRow {
    if wide {
        return *state.rows.get_wide(slot);
    }
    let row = state.rows.get(slot);
    let mut out = WideRow::splat(0);
    for lane in 0..LANES {
        out.0[lane] = u64::from(row.0[lane]);
    }
    out
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

/// Integers of 64 bits, clamped to the range of `to`.
#[inline(always)]
fn clamp_ints(from: Int, to: Int, values: &mut WideRow) {
    let (low, high) = range(to);
    match (from, to) {
        (Int::U64, Int::U64) => {}
        (Int::U64, _) => each(values, |bits| bits.min(high as u64)),
        _ => each(values, |bits| (bits as i64).clamp(low, high) as u64),
    }
}

/// Integers of 64 bits as f64: to nearest for f64 itself, to odd for what is rounded again.
#[inline(always)]
fn floats_of_ints(from: Int, to: Float, values: &mut WideRow) {
    match (from == Int::U64, to == Float::F64) {
        (true, true) => each(values, |bits| (bits as f64).to_bits()),
        (false, true) => each(values, |bits| (bits as i64 as f64).to_bits()),
        (true, false) => each(values, |bits| integer_to_odd(bits).to_bits()),
        (false, false) => each(values, |bits| {
            let magnitude = integer_to_odd((bits as i64).unsigned_abs());
            magnitude.to_bits() | (bits & (1 << 63))
        }),
    }
}

/// An integer as f64, rounded to odd.
#[inline(always)]
fn integer_to_odd(magnitude: u64) -> f64 {
    let sticky = (magnitude >> 11) | u64::from(magnitude & 0x7ff != 0);
    if magnitude < 1 << 53 {
        magnitude as f64
    } else {
        sticky as f64 * 2048.0
    }
}

/// Floats as f64, exact.
#[inline(always)]
fn widen(from: Float, ftz: bool, values: &mut WideRow) {
    match from {
        Float::F16 => each(
            values,
            #[inline(always)]
            |bits| f64::from(F16::widen(bits as u16)).to_bits(),
        ),
        Float::Bf16 => each(
            values,
            #[inline(always)]
            |bits| f64::from(Bf16::widen(bits as u16)).to_bits(),
        ),
        Float::F32 => each(
            values,
            #[inline(always)]
            |bits| f64::from(flushed(f32::from_bits(bits as u32), ftz)).to_bits(),
        ),
        Float::F64 => {}
    }
}

#[inline(always)]
fn make_integral(rounding: Option<Rounding>, values: &mut WideRow) {
    match rounding {
        None => {}
        Some(Rounding::Nearest) => each_float(values, f64::round_ties_even),
        Some(Rounding::Zero) => each_float(values, f64::trunc),
        Some(Rounding::Down) => each_float(values, f64::floor),
        Some(Rounding::Up) => each_float(values, f64::ceil),
    }
}

/// Integral values as `to`, clamped. A NaN is zero, or the value with only the top bit set where 64-bit types take part.
#[inline(always)]
fn ints_of_floats(from: Float, to: Int, values: &mut WideRow) {
    let top = match to {
        Int::U8 | Int::S8 => 0x80,
        Int::U16 | Int::S16 => 0x8000,
        Int::U32 | Int::S32 => 0x8000_0000,
        Int::U64 | Int::S64 => 1 << 63,
    };
    let zero = from != Float::F64 && !to.is_wide();
    let nan = if zero { 0 } else { cut(top, to) };
    let (low, high) = range(to);
    each(
        values,
        #[inline(always)]
        |bits| {
            let value = f64::from_bits(bits);
            let clamped = if to == Int::U64 {
                value as u64
            } else {
                (value as i64).clamp(low, high) as u64
            };
            if value.is_nan() { nan } else { clamped }
        },
    );
}

/// f64 values, exact or rounded to odd, as bits of `to`.
#[inline(always)]
fn narrow(what: &Conversion, to: Float, values: &mut WideRow) {
    let direction = Direction::of(what.rounding);
    match to {
        Float::F16 => narrow_half::<F16>(what, values),
        Float::Bf16 => narrow_half::<Bf16>(what, values),
        Float::F32 => each_float32(
            what,
            values,
            #[inline(always)]
            |value| flushed(canonical(direction.round(value)), what.ftz),
        ),
        Float::F64 => each_float(
            values,
            #[inline(always)]
            |value| {
                let positive = if value > 0.0 { value } else { 0.0 };
                let clamped = if positive > 1.0 { 1.0 } else { positive };
                canonical64(if what.sat { clamped } else { value })
            },
        ),
    }
}

#[inline(always)]
fn narrow_half<H: HalfFormat>(what: &Conversion, values: &mut WideRow) {
    each_float32(what, values, to_odd);
    let rounding = what.rounding;
    each(
        values,
        #[inline(always)]
        |bits| u64::from(H::narrow(f32::from_bits(bits as u32), rounding)),
    );
}

/// f64 to f32 by `f`, then `.sat` and `.relu`.
#[inline(always)]
fn each_float32(what: &Conversion, values: &mut WideRow, f: impl Fn(f64) -> f32) {
    each(
        values,
        #[inline(always)]
        |bits| {
            let value = f(f64::from_bits(bits));
            let value = if what.sat { saturated(value) } else { value };
            let value = if what.relu { rectified(value) } else { value };
            u64::from(value.to_bits())
        },
    );
}
