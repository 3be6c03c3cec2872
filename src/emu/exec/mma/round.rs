//! From exact sums to the bits of results.

use super::fragment::N;
use crate::emu::exec::number::{NAN16, NAN32};

/// 2^-126 and 2^128: between them, f32 is f64 with other widths.
const F32_NORMAL: (f64, f64) = (
    f64::from_bits((1023 - 126) << 52),
    f64::from_bits((1023 + 128) << 52),
);

/// The integer next to `x` on zero's side. Exact where `x` has at most 24 significant bits and is below 2^27 in magnitude;
/// infinities and NaN stay.
///
/// Written without a conversion to an integer or a call, so that loops over it vectorise on every machine: what is
/// subtracted is less than a half by so little that no value of 24 bits lies in the gap, and adding 1.5 * 2^52 rounds to an
/// integer.
#[inline(always)]
pub fn truncate(x: f64) -> f64 {
    const ALMOST_HALF: f64 = 0.5 - 1.0 / (1u64 << 26) as f64;
    const INTEGERS: f64 = (3u64 << 51) as f64;
    (x - ALMOST_HALF.copysign(x)) + INTEGERS - INTEGERS
}

/// To f32 bits, towards zero; zero is positive, and what is beyond the greatest number is infinite.
#[inline(always)]
pub fn to_f32_towards_zero(sums: &[f64; N]) -> [u32; N] {
    let mut out = [0; N];
    let mut normal = true;
    for j in 0..N {
        let bits = sums[j].to_bits();
        let sign = (bits >> 32) as u32 & 0x8000_0000;
        let magnitude = (bits << 1 >> 30) as u32;
        out[j] = sign | magnitude.wrapping_sub((1023 - 127) << 23);
    }
    for j in 0..N {
        normal &= sums[j].abs() >= F32_NORMAL.0 && sums[j].abs() < F32_NORMAL.1;
    }
    if !normal {
        for j in 0..N {
            out[j] = special_f32(sums[j], out[j]);
        }
    }
    out
}

/// The bits of a sum that may not be a normal f32; `normal` are its bits if it is.
fn special_f32(x: f64, normal: u32) -> u32 {
    let sign = (x.to_bits() >> 32) as u32 & 0x8000_0000;
    if x.is_nan() {
        NAN32
    } else if x.abs() >= F32_NORMAL.1 {
        sign | f32::INFINITY.to_bits()
    } else if x.abs() >= F32_NORMAL.0 {
        normal
    } else {
        // A denormal is a count of 2^-149.
        let count = (x.abs() * f64::from_bits((1023 + 149) << 52)) as u32;
        if count == 0 { 0 } else { sign | count }
    }
}

/// To f16 bits, to nearest, ties to even; zero is positive.
#[inline(always)]
pub fn to_f16_nearest(sums: &[f64; N]) -> [u32; N] {
    let mut out = [0; N];
    for j in 0..N {
        out[j] = f16_nearest(sums[j]);
    }
    out
}

#[inline(always)]
fn f16_nearest(x: f64) -> u32 {
    if x.is_nan() {
        return u32::from(NAN16);
    }
    let sign = (x.to_bits() >> 48) as u32 & 0x8000;
    let magnitude = x.abs();
    if magnitude >= 65536.0 {
        return sign | 0x7c00;
    }
    let exponent = ((magnitude.to_bits() >> 52) as u32).max(1023 - 14);
    // 2^52 rounds what is added to it to an integer: here the count of units in the last place.
    const INTEGERS: f64 = (1u64 << 52) as f64;
    let units = f64::from_bits(u64::from(2046 + 10 - exponent) << 52);
    let count = (magnitude * units + INTEGERS).to_bits() as u32;
    // A count of 1024 or more carries into the exponent, which is what it means.
    let bits = ((exponent - (1023 - 14)) << 10) + count;
    if bits == 0 { 0 } else { sign | bits }
}
