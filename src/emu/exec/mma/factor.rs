//! Halves as factors: their values, and the exponents that alignment goes by.

use super::fragment::{M, N, WORDS, a_words, b_words};
use crate::emu::Row;
use crate::emu::ptx::Type;

/// Halves along k of the longest form.
pub const K: usize = 2 * WORDS;

/// The exponent of a factor that is zero: so small that its product never counts.
const ZERO: i16 = -1000;

/// A matrix of factors.
pub struct Factors<const ROWS: usize, const COLUMNS: usize> {
    /// What they are worth; exact.
    pub values: [[f64; COLUMNS]; ROWS],
    /// The exponent of each, a denormal's that of the least normal number.
    pub exponents: [[i16; COLUMNS]; ROWS],
}

/// A's elements by row.
pub fn a_factors(a: &[Row], ty: Type) -> Factors<M, K> {
    let words = a_words(a);
    let mut bits = [[0; K]; M];
    for (bits, words) in bits.iter_mut().zip(&words) {
        for (pair, &word) in bits.chunks_exact_mut(2).zip(words) {
            pair[0] = word & 0xffff;
            pair[1] = word >> 16;
        }
    }
    factors(&bits, ty)
}

/// B's elements by place along k.
pub fn b_factors(b: &[Row], ty: Type) -> Factors<K, N> {
    let words = b_words(b);
    let mut bits = [[0; N]; K];
    for (pair, words) in bits.chunks_exact_mut(2).zip(&words) {
        pair[0] = words.map(|word| word & 0xffff);
        pair[1] = words.map(|word| word >> 16);
    }
    factors(&bits, ty)
}

fn factors<const ROWS: usize, const COLUMNS: usize>(
    bits: &[[u32; COLUMNS]; ROWS],
    ty: Type,
) -> Factors<ROWS, COLUMNS> {
    let mut out = Factors {
        values: [[0.0; COLUMNS]; ROWS],
        exponents: [[0; COLUMNS]; ROWS],
    };
    for i in 0..ROWS {
        for j in 0..COLUMNS {
            let (value, exponent) = match ty {
                Type::F16 => f16_factor(bits[i][j]),
                _ => bf16_factor(bits[i][j]),
            };
            out.values[i][j] = f64::from(value);
            out.exponents[i][j] = exponent;
        }
    }
    out
}

/// An f16's value.
pub fn f16_value(bits: u32) -> f32 {
    let sign = (bits & 0x8000) << 16;
    let magnitude = bits & 0x7fff;
    let denormal = magnitude as f32 * (1.0 / (1 << 24) as f32);
    let normal = f32::from_bits((magnitude << 13) + (112 << 23));
    let special = f32::from_bits((magnitude << 13) | 0x7f80_0000);
    let value = match magnitude {
        0..0x400 => denormal,
        0x400..0x7c00 => normal,
        _ => special,
    };
    f32::from_bits(value.to_bits() | sign)
}

fn f16_factor(bits: u32) -> (f32, i16) {
    let exponent = ((bits >> 10) as i16 & 0x1f).max(1) - 15;
    let zero = bits & 0x7fff == 0;
    (f16_value(bits), if zero { ZERO } else { exponent })
}

fn bf16_factor(bits: u32) -> (f32, i16) {
    let exponent = ((bits >> 7) as i16 & 0xff).max(1) - 127;
    let zero = bits & 0x7fff == 0;
    let value = f32::from_bits(bits << 16);
    (value, if zero { ZERO } else { exponent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_has_its_value_and_exponent() {
        let mut finite = 0;
        for bits in 0..=u16::MAX {
            let expect = half::f16::from_bits(bits).to_f64_const();
            let (value, exponent) = f16_factor(u32::from(bits));
            if expect.is_nan() {
                assert!(value.is_nan(), "{bits:#x}");
                continue;
            }
            assert_eq!(f64::from(value).to_bits(), expect.to_bits(), "{bits:#x}");
            if expect != 0.0 && expect.is_finite() {
                let least = expect.abs().log2().floor().max(-14.0);
                assert_eq!(f64::from(exponent), least, "{bits:#x}");
                finite += 1;
            }
        }
        assert_eq!(finite, 2 * (0x7c00 - 1));
    }
}
