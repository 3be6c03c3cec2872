//! Arithmetic of several words: sums and products that read and write the carry flag.

use super::lanes::{LaneState, has};
use crate::emu::op::{CarryOp, Int};
use crate::emu::program::Inst;
use crate::emu::rows::LANES;

use super::integer::Integer;

/// A word of a longer number: the sum of two with a carry, and the difference with a borrow.
trait Word: Integer {
    fn add_carry(self, other: Self, carry: bool) -> (Self, bool);
    fn sub_borrow(self, other: Self, borrow: bool) -> (Self, bool);
}

/// Implements [`Word`] by way of the unsigned type of the same width.
macro_rules! word {
    ($ty:ty, $unsigned:ty) => {
        impl Word for $ty {
            #[inline(always)]
            fn add_carry(self, other: Self, carry: bool) -> (Self, bool) {
                let (sum, first) = (self as $unsigned).overflowing_add(other as $unsigned);
                let (sum, second) = sum.overflowing_add(<$unsigned>::from(carry));
                (sum as $ty, first | second)
            }
            #[inline(always)]
            fn sub_borrow(self, other: Self, borrow: bool) -> (Self, bool) {
                let (rest, first) = (self as $unsigned).overflowing_sub(other as $unsigned);
                let (rest, second) = rest.overflowing_sub(<$unsigned>::from(borrow));
                (rest as $ty, first | second)
            }
        }
    };
}

word!(u32, u32);
word!(i32, u32);
word!(u64, u64);
word!(i64, u64);

/// The loop; the flag out of it.
#[inline(always)]
fn of<T: Word>(op: CarryOp, carry: u32, inst: &Inst, state: &mut LaneState<'_>) -> u32 {
    let mut out = T::ZERO;
    let mut flags = 0;
    let (a, b) = (T::row(&state.rows, inst.a), T::row(&state.rows, inst.b));
    let c = match op {
        CarryOp::Add | CarryOp::Sub => a,
        CarryOp::MadLow | CarryOp::MadHigh => T::row(&state.rows, inst.c),
    };
    for lane in 0..LANES {
        let (x, y, z) = (T::get(a, lane), T::get(b, lane), T::get(c, lane));
        let flag = has(carry, lane);
        let (value, set) = match op {
            CarryOp::Add => x.add_carry(y, flag),
            CarryOp::Sub => x.sub_borrow(y, flag),
            CarryOp::MadLow => x.times(y).add_carry(z, flag),
            CarryOp::MadHigh => x.times_high(y).add_carry(z, flag),
        };
        T::put(&mut out, lane, value);
        flags |= u32::from(set) << lane;
    }
    T::store(&mut state.rows, inst.d, &out, state.mask);
    flags
}

/// `op` on `ty`; `reads` and `writes` say whether the flag comes in and is set.
#[inline(always)]
pub fn execute(
    op: CarryOp,
    ty: Int,
    (reads, writes): (bool, bool),
    inst: &Inst,
    state: &mut LaneState<'_>,
) {
    let carry = if reads { *state.carry } else { 0 };
    let flags = match ty {
        Int::U8 | Int::U16 | Int::U32 => of::<u32>(op, carry, inst, state),
        Int::S8 | Int::S16 | Int::S32 => of::<i32>(op, carry, inst, state),
        Int::U64 => of::<u64>(op, carry, inst, state),
        Int::S64 => of::<i64>(op, carry, inst, state),
    };
    if writes {
        *state.carry = (*state.carry & !state.mask) | (flags & state.mask);
    }
}
