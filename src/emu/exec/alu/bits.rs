//! Fields and counts of bits, and byte permutation.

use super::lanes::{Element, LaneState, map1, map2, map3};
use crate::emu::op::{FieldOp, Int, PermuteMode};
use crate::emu::program::Inst;
use crate::emu::rows::{LANES, Slot};

/// `op` on `ty`. `bfi` has a fourth operand, which stands in `lists`.
#[inline(always)]
pub fn execute(op: FieldOp, ty: Int, lists: &[Slot], inst: &Inst, state: &mut LaneState<'_>) {
    match (op, ty.is_wide()) {
        (FieldOp::Extract, _) => extract(ty, inst, state),
        (FieldOp::Insert, false) => insert(
            lists,
            inst,
            state,
            #[inline(always)]
            |a: u32, b: u32, at, len| inserted(u64::from(a), u64::from(b), at, len) as u32,
        ),
        (FieldOp::Insert, true) => insert(lists, inst, state, inserted),
        (FieldOp::Brev, false) => map1(inst, state, u32::reverse_bits),
        (FieldOp::Brev, true) => map1(inst, state, u64::reverse_bits),
        (FieldOp::Clz, false) => map1(inst, state, u32::leading_zeros),
        (FieldOp::Clz, true) => map1(inst, state, u64::leading_zeros),
        (FieldOp::Popc, false) => map1(inst, state, u32::count_ones),
        (FieldOp::Popc, true) => map1(inst, state, u64::count_ones),
        (FieldOp::Bfind | FieldOp::BfindShift, _) => find(op, ty, inst, state),
        (FieldOp::MaskClamp, _) => map2(
            inst,
            state,
            #[inline(always)]
            |at: u32, len: u32| inserted(u64::MAX, 0, at, len) as u32,
        ),
        (FieldOp::MaskWrap, _) => map2(
            inst,
            state,
            #[inline(always)]
            |at: u32, len: u32| inserted(u64::MAX, 0, at & 31, len & 31) as u32,
        ),
    }
}

/// `bfe`: position and length are the low 8 bits of `b` and `c`; a signed field is filled from its top bit, which is
/// the value's own top bit where the field reaches past it.
#[inline(always)]
fn extract(ty: Int, inst: &Inst, state: &mut LaneState<'_>) {
    match ty {
        Int::U64 => map3(
            inst,
            state,
            #[inline(always)]
            |a: u64, b: u32, c: u32| {
                let (at, len) = (b & 0xff, c & 0xff);
                shifted_right(a, at) & ones(len)
            },
        ),
        Int::S64 => map3(
            inst,
            state,
            #[inline(always)]
            |a: i64, b: u32, c: u32| signed_field(a, b & 0xff, c & 0xff, 64),
        ),
        Int::S8 | Int::S16 | Int::S32 => map3(
            inst,
            state,
            #[inline(always)]
            |a: i32, b: u32, c: u32| signed_field(i64::from(a), b & 0xff, c & 0xff, 32) as i32,
        ),
        Int::U8 | Int::U16 | Int::U32 => map3(
            inst,
            state,
            #[inline(always)]
            |a: u32, b: u32, c: u32| {
                let (at, len) = (b & 0xff, c & 0xff);
                (shifted_right(u64::from(a), at) & ones(len)) as u32
            },
        ),
    }
}

/// `len` bits of `value` from `at`, filled with the field's top bit. `value` is sign-extended from `bits`.
#[inline(always)]
fn signed_field(value: i64, at: u32, len: u32, bits: u32) -> i64 {
    let last = bits - 1;
    let top = (at + len).saturating_sub(1).min(last);
    let sign = (value.wrapping_shr(top) & 1).wrapping_neg();
    let field = value.wrapping_shr(at.min(63));
    let keep = ones(len.min(bits.saturating_sub(at))) as i64;
    let filled = (field & keep) | (sign & !keep);
    if len == 0 { 0 } else { filled }
}

/// `bfi` over a type: position and length are the low 8 bits of the third and fourth operand.
#[inline(always)]
fn insert<T: Element>(
    lists: &[Slot],
    inst: &Inst,
    state: &mut LaneState<'_>,
    f: impl Fn(T, T, u32, u32) -> T,
) {
    let mut out = T::ZERO;
    let (a, b) = (T::row(&state.rows, inst.a), T::row(&state.rows, inst.b));
    let fourth = lists[inst.list as usize + 4];
    let (at, len) = (state.rows.get(inst.c), state.rows.get(fourth));
    for lane in 0..LANES {
        let (at, len) = (at.0[lane] & 0xff, len.0[lane] & 0xff);
        T::put(&mut out, lane, f(T::get(a, lane), T::get(b, lane), at, len));
    }
    T::store(&mut state.rows, inst.d, &out, state.mask);
}

/// `b` with its bits from `at` replaced by the low `len` bits of `a`, cut off at the type's width by the caller.
#[inline(always)]
fn inserted(a: u64, b: u64, at: u32, len: u32) -> u64 {
    let field = if at < 64 {
        ones(len).wrapping_shl(at)
    } else {
        0
    };
    (b & !field) | (a.wrapping_shl(at) & field)
}

/// The low `count` bits.
#[inline(always)]
fn ones(count: u32) -> u64 {
    let short = 1u64.wrapping_shl(count).wrapping_sub(1);
    if count < 64 { short } else { u64::MAX }
}

#[inline(always)]
fn shifted_right(value: u64, by: u32) -> u64 {
    let shifted = value.wrapping_shr(by);
    if by < 64 { shifted } else { 0 }
}

/// `bfind`: the highest bit that differs from the sign, all ones for none; with `.shiftamt` its distance from the top.
#[inline(always)]
fn find(op: FieldOp, ty: Int, inst: &Inst, state: &mut LaneState<'_>) {
    let shift = op == FieldOp::BfindShift;
    let answer = |zeros: u32, bits: u32| match (zeros == bits, shift) {
        (true, _) => u32::MAX,
        (false, true) => zeros,
        (false, false) => (bits - 1).wrapping_sub(zeros),
    };
    match ty {
        Int::U64 => map1(
            inst,
            state,
            #[inline(always)]
            |a: u64| answer(a.leading_zeros(), 64),
        ),
        Int::S64 => map1(
            inst,
            state,
            #[inline(always)]
            |a: i64| answer((a ^ (a >> 63)).leading_zeros(), 64),
        ),
        Int::S8 | Int::S16 | Int::S32 => map1(
            inst,
            state,
            #[inline(always)]
            |a: i32| answer((a ^ (a >> 31)).leading_zeros(), 32),
        ),
        Int::U8 | Int::U16 | Int::U32 => {
            map1(
                inst,
                state,
                #[inline(always)]
                |a: u32| answer(a.leading_zeros(), 32),
            );
        }
    }
}

/// The four-bit selectors that a mode's two-bit selector stands for, lowest byte in the low bits.
fn selectors(mode: PermuteMode) -> [u32; 4] {
    match mode {
        PermuteMode::Index => [0; 4],
        PermuteMode::F4e => [0x3210, 0x4321, 0x5432, 0x6543],
        PermuteMode::B4e => [0x5670, 0x6701, 0x7012, 0x0123],
        PermuteMode::Rc8 => [0x0000, 0x1111, 0x2222, 0x3333],
        PermuteMode::Ecl => [0x3210, 0x3211, 0x3222, 0x3333],
        PermuteMode::Ecr => [0x0000, 0x1110, 0x2210, 0x3210],
        PermuteMode::Rc16 => [0x1010, 0x3232, 0x1010, 0x3232],
    }
}

/// `prmt`: four bytes of `b:a`.
#[inline(always)]
pub fn permute(mode: PermuteMode, inst: &Inst, state: &mut LaneState<'_>) {
    if mode == PermuteMode::Index {
        map3(inst, state, picked);
        return;
    }
    let [k0, k1, k2, k3] = selectors(mode);
    map3(
        inst,
        state,
        #[inline(always)]
        |a, b, c: u32| {
            let even = if c & 1 == 0 { k0 } else { k1 };
            let odd = if c & 1 == 0 { k2 } else { k3 };
            picked(a, b, if c & 2 == 0 { even } else { odd })
        },
    );
}

/// Each byte as its four bits of the selector say: which of the eight, and whether its top bit eight times instead.
#[inline(always)]
fn picked(a: u32, b: u32, selector: u32) -> u32 {
    byte::<0>(a, b, selector)
        | byte::<4>(a, b, selector)
        | byte::<8>(a, b, selector)
        | byte::<12>(a, b, selector)
}

/// The byte that the four bits from `AT` pick, in its place.
#[inline(always)]
fn byte<const AT: u32>(a: u32, b: u32, selector: u32) -> u32 {
    let chosen = selector >> AT;
    let word = if chosen & 4 == 0 { a } else { b };
    // The byte at the top of the word.
    let high = word.wrapping_shl(24u32.wrapping_sub(chosen.wrapping_mul(8) & 24));
    let sign = ((high as i32) >> 31) as u32;
    let value = if chosen & 8 == 0 { high } else { sign };
    (value >> 24) << (2 * AT)
}
