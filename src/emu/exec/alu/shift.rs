//! Logic bit by bit, shifts, `lop3` and the funnel shift.

use super::lanes::{Element, LaneState, map1, map2, map3};
use crate::emu::op::{Int, LogicOp};
use crate::emu::program::Inst;

/// What the loops below need of an integer type.
trait Bits: Element {
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn not(self) -> Self;
    fn is_zero(self) -> Self;
    /// Zero from its width on.
    fn left(self, by: u32) -> Self;
    /// All sign from its width on.
    fn right(self, by: u32) -> Self;
}

/// Implements [`Bits`]: the type, its bits, and what is left of a value shifted right by its width or more.
macro_rules! bits {
    ($ty:ty, $bits:literal, $gone:expr) => {
        impl Bits for $ty {
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                self ^ other
            }
            #[inline(always)]
            fn not(self) -> Self {
                !self
            }
            #[inline(always)]
            fn is_zero(self) -> Self {
                <$ty>::from(self == 0)
            }
            #[inline(always)]
            fn left(self, by: u32) -> Self {
                let shifted = self.wrapping_shl(by);
                if by < $bits { shifted } else { 0 }
            }
            #[inline(always)]
            fn right(self, by: u32) -> Self {
                let shifted = self.wrapping_shr(by);
                let gone: fn($ty) -> $ty = $gone;
                if by < $bits { shifted } else { gone(self) }
            }
        }
    };
}

bits!(u16, 16, |_| 0);
bits!(u32, 32, |_| 0);
bits!(u64, 64, |_| 0);
bits!(i16, 16, |value| value >> 15);
bits!(i32, 32, |value| value >> 31);
bits!(i64, 64, |value| value >> 63);

#[inline(always)]
fn of<T: Bits>(op: LogicOp, inst: &Inst, state: &mut LaneState<'_>) {
    match op {
        LogicOp::And => map2(inst, state, T::and),
        LogicOp::Or => map2(inst, state, T::or),
        LogicOp::Xor => map2(inst, state, T::xor),
        LogicOp::Not => map1(inst, state, T::not),
        LogicOp::Cnot => map1(inst, state, T::is_zero),
        LogicOp::Shl => map2(inst, state, T::left),
        LogicOp::Shr => map2(inst, state, T::right),
    }
}

/// `op` on `ty`; a shift's amount is 32 bits wide whatever it shifts.
#[inline(always)]
pub fn execute(op: LogicOp, ty: Int, inst: &Inst, state: &mut LaneState<'_>) {
    match ty {
        Int::U8 | Int::U16 => of::<u16>(op, inst, state),
        Int::S8 | Int::S16 => of::<i16>(op, inst, state),
        Int::U32 => of::<u32>(op, inst, state),
        Int::S32 => of::<i32>(op, inst, state),
        Int::U64 => of::<u64>(op, inst, state),
        Int::S64 => of::<i64>(op, inst, state),
    }
}

/// `lop3`: the table as a polynomial over the bits, whose eight coefficients are the same in all lanes, so that any
/// table costs seven `and` and seven `xor`.
#[inline(always)]
pub fn lop3(inst: &Inst, state: &mut LaneState<'_>) {
    let mut coefficients = inst.immediate as u8;
    for (step, keep) in [(1, 0x55), (2, 0x33), (4, 0x0f)] {
        coefficients ^= (coefficients & keep) << step;
    }
    let k: [u32; 8] =
        std::array::from_fn(|bit| 0u32.wrapping_sub(u32::from((coefficients >> bit) & 1)));
    map3(inst, state, |a: u32, b: u32, c: u32| {
        let without_a = (((k[3] & c) ^ k[2]) & b) ^ (k[1] & c) ^ k[0];
        let with_a = (((k[7] & c) ^ k[6]) & b) ^ (k[5] & c) ^ k[4];
        (with_a & a) ^ without_a
    });
}

/// `shf.l` and `shf.r`: 32 bits of `b:a`, shifted by `c`.
#[inline(always)]
pub fn funnel(left: bool, wrap: bool, inst: &Inst, state: &mut LaneState<'_>) {
    let amount = |c: u32| if wrap { c & 31 } else { c.min(32) };
    let whole = |a: u32, b: u32| u64::from(a) | (u64::from(b) << 32);
    if left {
        map3(inst, state, |a, b, c| {
            (whole(a, b).wrapping_shl(amount(c)) >> 32) as u32
        });
    } else {
        map3(inst, state, |a, b, c| {
            whole(a, b).wrapping_shr(amount(c)) as u32
        });
    }
}
