//! What all arithmetic shares: the one form of a NaN, flushing, the values of halves, and rounding by hand: exact sums and
//! products in f64, then one step down to the type asked for, in any direction.
//!
//! Two roundings equal one when the first keeps two bits more than the second and is *to odd*: an inexact value gets
//! the neighbour whose last bit is 1, so it never looks like a tie or like an exact value. Nothing here touches the
//! host's rounding mode.

use crate::emu::op::Rounding;

/// PTX's only f32 NaN.
pub const NAN32: u32 = 0x7fff_ffff;

/// PTX's only f16 and bf16 NaN.
pub const NAN16: u16 = 0x7fff;

/// The f64 NaN that results have.
pub const NAN64: u64 = 0xfff8_0000_0000_0000;

/// A NaN's one form.
#[inline(always)]
pub fn canonical(x: f32) -> f32 {
    // On bits: as a comparison of floats the compiler may drop it, since to it all NaNs are one.
    let bits = x.to_bits();
    let is_nan = bits & 0x7fff_ffff > 0x7f80_0000;
    f32::from_bits(if is_nan { NAN32 } else { bits })
}

/// A NaN's one form.
#[inline(always)]
pub fn canonical64(x: f64) -> f64 {
    let bits = x.to_bits();
    let is_nan = bits & !(1 << 63) > 0x7ff0_0000_0000_0000;
    f64::from_bits(if is_nan { NAN64 } else { bits })
}

/// Zero of the same sign for a subnormal, if `ftz`.
#[inline(always)]
pub fn flushed(x: f32, ftz: bool) -> f32 {
    flushed_below(x, if ftz { f32::MIN_POSITIVE } else { 0.0 })
}

/// Zero of the same sign for a magnitude below `least`.
#[inline(always)]
pub fn flushed_below(x: f32, least: f32) -> f32 {
    if x.abs() < least {
        f32::from_bits(x.to_bits() & 0x8000_0000)
    } else {
        x
    }
}

/// To [+0, 1]; a NaN and a negative zero become +0.
#[inline(always)]
pub fn saturated(x: f32) -> f32 {
    let low = if x > 0.0 { x } else { 0.0 };
    if low > 1.0 { 1.0 } else { low }
}

/// Whether what was cut off is not zero; a NaN stands for nothing cut off.
#[inline(always)]
fn inexact(rest: f64) -> bool {
    rest.abs() > 0.0
}

/// `a + b` rounded to odd. Both are below 2^1000, so that the error of the sum is a value of f64.
#[inline(always)]
pub fn sum_to_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let b_seen = sum - a;
    let rest = (a - (sum - b_seen)) + (b - b_seen);
    let bits = sum.to_bits();
    let outward = (rest < 0.0) == (sum < 0.0);
    let odd = if outward {
        bits.wrapping_add(1)
    } else {
        bits.wrapping_sub(1)
    };
    if inexact(rest) && bits & 1 == 0 {
        f64::from_bits(odd)
    } else {
        sum
    }
}

/// `x` as f32, rounded to odd.
#[inline(always)]
pub fn to_odd(x: f64) -> f32 {
    let near = x as f32;
    let back = f64::from(near);
    let bits = near.to_bits();
    // Past the largest value `near` is infinite, and one less is the largest value, which is odd.
    let inward = bits.wrapping_sub(u32::from(back.abs() > x.abs()));
    if back == x || x.is_nan() {
        near
    } else {
        f32::from_bits(inward | 1)
    }
}

/// What a rounding does to a value that is not exact, as numbers: the choice is then no branch in a loop.
#[derive(Clone, Copy)]
pub struct Direction {
    /// Steps toward zero from a rounded value above a positive one, and from one below a negative one.
    inward: [u32; 2],
    /// Steps away from zero from a rounded value below a positive one, and from one above a negative one.
    outward: [u32; 2],
    /// The sign bit of an exact zero out of opposite operands.
    cancelled: u32,
}

impl Direction {
    /// That of `rounding`.
    pub fn of(rounding: Rounding) -> Direction {
        let (inward, outward, cancelled) = match rounding {
            Rounding::Nearest => ([0, 0], [0, 0], 0),
            Rounding::Zero => ([1, 1], [0, 0], 0),
            Rounding::Down => ([1, 0], [0, 1], 0x8000_0000),
            Rounding::Up => ([0, 1], [1, 0], 0),
        };
        Direction {
            inward,
            outward,
            cancelled,
        }
    }

    /// `x` as f32. One step of the bits is one step of the magnitude, zero and infinity included.
    #[inline(always)]
    pub fn round(self, x: f64) -> f32 {
        let near = x as f32;
        let back = f64::from(near);
        let bits = near.to_bits();
        let (above, below) = (u32::from(back > x), u32::from(back < x));
        let negative = bits >> 31;
        let positive = negative ^ 1;
        let inward = (above & positive & self.inward[0]) | (below & negative & self.inward[1]);
        let outward = (below & positive & self.outward[0]) | (above & negative & self.outward[1]);
        f32::from_bits(bits.wrapping_sub(inward).wrapping_add(outward))
    }

    /// `a + b` as f32. An exact zero out of opposite operands is `-0` only when rounding down.
    #[inline(always)]
    pub fn sum(self, a: f64, b: f64) -> f32 {
        let sum = sum_to_odd(a, b);
        let opposite = (a.to_bits() ^ b.to_bits()) >> 63 == 1;
        let rounded = self.round(sum);
        if (sum == 0.0) & opposite {
            f32::from_bits(self.cancelled)
        } else {
            rounded
        }
    }
}

/// Whether the magnitude `kept` goes up, given what was cut off of it.
#[inline(always)]
fn goes_up(kept: u32, rest: u32, half: u32, negative: bool, rounding: Rounding) -> bool {
    match rounding {
        Rounding::Nearest => (rest > half) | ((rest == half) & (kept & 1 == 1)),
        Rounding::Zero => false,
        Rounding::Down => (rest != 0) & negative,
        Rounding::Up => (rest != 0) & !negative,
    }
}

/// A 16-bit float format.
pub trait HalfFormat {
    /// Its smallest normal value.
    const LEAST_NORMAL: f32;
    /// 1.0.
    const ONE: u16;
    /// The same value in f32.
    fn widen(bits: u16) -> f32;
    /// `x`, exact or rounded to odd, in this format.
    fn narrow(x: f32, rounding: Rounding) -> u16;
    /// The product of two of its values, exact or rounded to odd.
    fn product(a: f32, b: f32) -> f32;
}

/// IEEE binary16.
pub struct F16;

impl HalfFormat for F16 {
    const LEAST_NORMAL: f32 = 6.103_515_6e-5;
    const ONE: u16 = 0x3c00;

    #[inline(always)]
    fn widen(bits: u16) -> f32 {
        let bits = u32::from(bits);
        let magnitude = bits & 0x7fff;
        let bias = if magnitude >= 0x7c00 { 224 } else { 112 };
        let normal = (magnitude << 13).wrapping_add(bias << 23);
        // An integer below 2^10, times 2^-24: exact.
        let subnormal = (magnitude as i32 as f32 * 5.960_464_5e-8).to_bits();
        let value = if magnitude < 0x400 { subnormal } else { normal };
        f32::from_bits(value | ((bits & 0x8000) << 16))
    }

    #[inline(always)]
    fn narrow(x: f32, rounding: Rounding) -> u16 {
        let bits = x.to_bits();
        let (magnitude, negative) = (bits & 0x7fff_ffff, bits >> 31 == 1);
        let exponent = magnitude >> 23;
        let implicit = if exponent == 0 { 0 } else { 0x80_0000 };
        let (significand, drop) = if exponent < 113 {
            let drop = 126u32.wrapping_sub(exponent).min(31);
            ((magnitude & 0x7f_ffff) | implicit, drop)
        } else {
            (magnitude.wrapping_sub(112 << 23), 13)
        };
        let kept = significand.wrapping_shr(drop);
        let unit = 1u32.wrapping_shl(drop);
        let rest = significand & unit.wrapping_sub(1);
        let up = goes_up(kept, rest, unit >> 1, negative, rounding);
        let rounded = kept.wrapping_add(u32::from(up));
        let away = match rounding {
            Rounding::Nearest => true,
            Rounding::Zero => false,
            Rounding::Down => negative,
            Rounding::Up => !negative,
        };
        let infinite = (magnitude == 0x7f80_0000) | away;
        let largest = if infinite { 0x7c00 } else { 0x7bff };
        let finite = rounded.min(largest);
        let value = if magnitude > 0x7f80_0000 {
            u32::from(NAN16)
        } else {
            finite | ((bits >> 16) & 0x8000)
        };
        value as u16
    }

    /// 22 bits between 2^-48 and 2^32.
    #[inline(always)]
    fn product(a: f32, b: f32) -> f32 {
        a * b
    }
}

/// The upper half of an f32.
pub struct Bf16;

impl HalfFormat for Bf16 {
    const LEAST_NORMAL: f32 = f32::MIN_POSITIVE;
    const ONE: u16 = 0x3f80;

    #[inline(always)]
    fn widen(bits: u16) -> f32 {
        f32::from_bits(u32::from(bits) << 16)
    }

    #[inline(always)]
    fn narrow(x: f32, rounding: Rounding) -> u16 {
        let bits = x.to_bits();
        let (kept, rest) = (bits >> 16, bits & 0xffff);
        let up = goes_up(kept, rest, 0x8000, bits >> 31 == 1, rounding);
        let value = if bits & 0x7fff_ffff > 0x7f80_0000 {
            u32::from(NAN16)
        } else {
            kept.wrapping_add(u32::from(up))
        };
        value as u16
    }

    /// 16 bits, but below f32's smallest subnormal too.
    #[inline(always)]
    fn product(a: f32, b: f32) -> f32 {
        to_odd(f64::from(a) * f64::from(b))
    }
}
