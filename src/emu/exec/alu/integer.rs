//! Integer arithmetic, wrapping.

use super::lanes::{Element, LaneState, map1, map2, map3};
use crate::emu::op::{DotForm, Int, IntOp};
use crate::emu::program::Inst;

/// What the loops below need of an integer type.
pub trait Integer: Element + Ord {
    /// Sum.
    fn plus(self, other: Self) -> Self;
    /// Difference.
    fn minus(self, other: Self) -> Self;
    /// Low half of the product.
    fn times(self, other: Self) -> Self;
    /// High half of the product.
    fn times_high(self, other: Self) -> Self;
    /// Quotient toward zero; all bits set for a quotient by zero.
    fn quotient(self, other: Self) -> Self;
    /// What the quotient leaves; the dividend for a quotient by zero.
    fn remainder(self, other: Self) -> Self;
    /// The other sign.
    fn negated(self) -> Self;
}

/// Implements [`Integer`]: the type, the one twice as wide, its bits.
macro_rules! integer {
    ($ty:ty, $double:ty, $bits:literal) => {
        impl Integer for $ty {
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn times_high(self, other: Self) -> Self {
                (<$double>::from(self).wrapping_mul(<$double>::from(other)) >> $bits) as $ty
            }
            #[inline(always)]
            fn quotient(self, other: Self) -> Self {
                let safe = if other == 0 { 1 } else { other };
                let quotient = self.wrapping_div(safe);
                if other == 0 { !0 } else { quotient }
            }
            #[inline(always)]
            fn remainder(self, other: Self) -> Self {
                let safe = if other == 0 { 1 } else { other };
                let remainder = self.wrapping_rem(safe);
                if other == 0 { self } else { remainder }
            }
            #[inline(always)]
            fn negated(self) -> Self {
                self.wrapping_neg()
            }
        }
    };
}

integer!(u16, u32, 16);
integer!(u32, u64, 32);
integer!(u64, u128, 64);
integer!(i16, i32, 16);
integer!(i32, i64, 32);
integer!(i64, i128, 64);

#[inline(always)]
fn of<T: Integer>(op: IntOp, inst: &Inst, state: &mut LaneState<'_>) {
    match op {
        IntOp::Add => map2(inst, state, T::plus),
        IntOp::Sub => map2(inst, state, T::minus),
        IntOp::Mul => map2(inst, state, T::times),
        IntOp::MulHigh => map2(inst, state, T::times_high),
        IntOp::Mad => map3(inst, state, |a: T, b: T, c: T| a.times(b).plus(c)),
        IntOp::MadHigh => map3(inst, state, |a: T, b: T, c: T| a.times_high(b).plus(c)),
        IntOp::Sad => map3(inst, state, |a: T, b: T, c: T| {
            a.max(b).minus(a.min(b)).plus(c)
        }),
        IntOp::Div => map2(inst, state, T::quotient),
        IntOp::Rem => map2(inst, state, T::remainder),
        IntOp::Neg => map1(inst, state, T::negated),
        IntOp::Abs => map1(inst, state, |a: T| a.max(a.negated())),
        IntOp::Min => map2(inst, state, |a: T, b: T| a.min(b)),
        IntOp::Max => map2(inst, state, |a: T, b: T| a.max(b)),
        IntOp::AddSat => map2(inst, state, i32::saturating_add),
        IntOp::SubSat => map2(inst, state, i32::saturating_sub),
    }
}

/// `op` on 16 bits.
#[inline(always)]
pub fn narrow(op: IntOp, ty: Int, inst: &Inst, state: &mut LaneState<'_>) {
    match ty {
        Int::S8 | Int::S16 => of::<i16>(op, inst, state),
        _ => of::<u16>(op, inst, state),
    }
}

/// `op` on 32 bits.
#[inline(always)]
pub fn word(op: IntOp, ty: Int, inst: &Inst, state: &mut LaneState<'_>) {
    match ty {
        Int::S32 => of::<i32>(op, inst, state),
        _ => of::<u32>(op, inst, state),
    }
}

/// `op` on 64 bits.
#[inline(always)]
pub fn wide(op: IntOp, ty: Int, inst: &Inst, state: &mut LaneState<'_>) {
    match ty {
        Int::S64 => of::<i64>(op, inst, state),
        _ => of::<u64>(op, inst, state),
    }
}

/// `mul.wide` and `mad.wide` of factors of type `ty`.
#[inline(always)]
pub fn widening(add: bool, ty: Int, inst: &Inst, state: &mut LaneState<'_>) {
    match (ty, add) {
        (Int::U8 | Int::U16, false) => map2(inst, state, product_u16),
        (Int::S8 | Int::S16, false) => map2(inst, state, product_i16),
        (Int::U8 | Int::U16, true) => {
            map3(inst, state, |a, b, c: u32| {
                product_u16(a, b).wrapping_add(c)
            });
        }
        (Int::S8 | Int::S16, true) => {
            map3(inst, state, |a, b, c: i32| {
                product_i16(a, b).wrapping_add(c)
            });
        }
        (Int::U32 | Int::U64, false) => map2(inst, state, product_u32),
        (Int::S32 | Int::S64, false) => map2(inst, state, product_i32),
        (Int::U32 | Int::U64, true) => {
            map3(inst, state, |a, b, c: u64| {
                product_u32(a, b).wrapping_add(c)
            });
        }
        (Int::S32 | Int::S64, true) => {
            map3(inst, state, |a, b, c: i64| {
                product_i32(a, b).wrapping_add(c)
            });
        }
    }
}

#[inline(always)]
fn product_u16(a: u16, b: u16) -> u32 {
    u32::from(a).wrapping_mul(u32::from(b))
}

#[inline(always)]
fn product_i16(a: i16, b: i16) -> i32 {
    i32::from(a).wrapping_mul(i32::from(b))
}

#[inline(always)]
fn product_u32(a: u32, b: u32) -> u64 {
    u64::from(a).wrapping_mul(u64::from(b))
}

#[inline(always)]
fn product_i32(a: i32, b: i32) -> i64 {
    i64::from(a).wrapping_mul(i64::from(b))
}

/// `dp4a` and `dp2a`.
#[inline(always)]
pub fn dot(signs: (bool, bool), form: DotForm, inst: &Inst, state: &mut LaneState<'_>) {
    match form {
        DotForm::Bytes => map3(inst, state, |a: u32, b: u32, c: u32| {
            let low = term::<0, 8, 0>(a, b, signs).wrapping_add(term::<8, 8, 8>(a, b, signs));
            let high = term::<16, 8, 16>(a, b, signs).wrapping_add(term::<24, 8, 24>(a, b, signs));
            c.wrapping_add(low).wrapping_add(high)
        }),
        DotForm::HalvesLow => map3(inst, state, |a: u32, b: u32, c: u32| {
            c.wrapping_add(term::<0, 16, 0>(a, b, signs))
                .wrapping_add(term::<16, 16, 8>(a, b, signs))
        }),
        DotForm::HalvesHigh => map3(inst, state, |a: u32, b: u32, c: u32| {
            c.wrapping_add(term::<0, 16, 16>(a, b, signs))
                .wrapping_add(term::<16, 16, 24>(a, b, signs))
        }),
    }
}

/// The product of the `BITS` bits of `a` from `A` and the byte of `b` from `B`.
#[inline(always)]
fn term<const A: u32, const BITS: u32, const B: u32>(
    a: u32,
    b: u32,
    (a_signed, b_signed): (bool, bool),
) -> u32 {
    let x = extended::<BITS>(a << (32 - BITS - A), a_signed);
    x.wrapping_mul(extended::<8>(b << (24 - B), b_signed))
}

/// The top `BITS` bits, extended to 32.
#[inline(always)]
fn extended<const BITS: u32>(high: u32, signed: bool) -> u32 {
    if signed {
        ((high as i32) >> (32 - BITS)) as u32
    } else {
        high >> (32 - BITS)
    }
}
