//! Halves as factors: their values, and the exponents that alignment goes by.

use super::fragment::{M, N, WORDS, a_words, b_words};
use crate::emu::Row;
use crate::emu::exec::number::{Bf16, F16, HalfFormat};
use crate::emu::ptx::Type;

/// Halves along k of the longest form.
pub const K: usize = 2 * WORDS;

/// The exponent of a factor that is zero: so small that its product never counts.
const ZERO: f32 = -1000.0;

/// A matrix of factors. Exponents are f32 like nothing else that is an integer, because f32 is what every machine adds and
/// compares four at a time.
pub struct Factors<const ROWS: usize, const COLUMNS: usize> {
    /// What they are worth; exact.
    pub values: [[f64; COLUMNS]; ROWS],
    /// The exponent of each, a denormal's that of the least normal number.
    pub exponents: [[f32; COLUMNS]; ROWS],
}

impl<const ROWS: usize, const COLUMNS: usize> Factors<ROWS, COLUMNS> {
    /// Loops of their own for bits, values and exponents, so that each works on one width and vectorises.
    #[inline(always)]
    fn new(bits: &[[u32; COLUMNS]; ROWS], ty: Type) -> Self {
        let mut out = Factors {
            values: [[0.0; COLUMNS]; ROWS],
            exponents: [[0.0; COLUMNS]; ROWS],
        };
        for i in 0..ROWS {
            match ty {
                Type::F16 => out.fill(
                    i,
                    &bits[i],
                    |bits| F16::widen(bits as u16),
                    |bits| exponent::<10>(bits, 15.0),
                ),
                _ => out.fill(
                    i,
                    &bits[i],
                    |bits| Bf16::widen(bits as u16),
                    |bits| exponent::<7>(bits, 127.0),
                ),
            }
        }
        out
    }

    #[inline(always)]
    fn fill(
        &mut self,
        i: usize,
        bits: &[u32; COLUMNS],
        value: impl Fn(u32) -> f32,
        exponent: impl Fn(u32) -> f32,
    ) {
        for j in 0..COLUMNS {
            self.values[i][j] = f64::from(value(bits[j]));
        }
        for j in 0..COLUMNS {
            self.exponents[i][j] = exponent(bits[j]);
        }
    }
}

/// A's elements by row.
#[inline(always)]
pub fn a_factors(a: &[Row], ty: Type) -> Factors<M, K> {
    let words = a_words(a);
    let mut bits = [[0; K]; M];
    for i in 0..M {
        for w in 0..WORDS {
            bits[i][2 * w] = words[i][w] & 0xffff;
            bits[i][2 * w + 1] = words[i][w] >> 16;
        }
    }
    Factors::new(&bits, ty)
}

/// B's elements by place along k.
#[inline(always)]
pub fn b_factors(b: &[Row], ty: Type) -> Factors<K, N> {
    let words = b_words(b);
    let mut bits = [[0; N]; K];
    for w in 0..WORDS {
        for j in 0..N {
            bits[2 * w][j] = words[w][j] & 0xffff;
            bits[2 * w + 1][j] = words[w][j] >> 16;
        }
    }
    Factors::new(&bits, ty)
}

#[inline(always)]
fn exponent<const FRACTION_BITS: u32>(bits: u32, bias: f32) -> f32 {
    let magnitude = bits & 0x7fff;
    let field = (magnitude >> FRACTION_BITS) as i32 as f32;
    let exponent = if field < 1.0 { 1.0 } else { field } - bias;
    if magnitude == 0 { ZERO } else { exponent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_has_its_value_and_exponent() {
        let mut finite = 0;
        for bits in 0..=u16::MAX {
            let expect = half::f16::from_bits(bits).to_f64_const();
            let value = F16::widen(bits);
            if expect.is_nan() {
                assert!(value.is_nan(), "{bits:#x}");
                continue;
            }
            assert_eq!(f64::from(value).to_bits(), expect.to_bits(), "{bits:#x}");
            if expect != 0.0 && expect.is_finite() {
                let least = expect.abs().log2().floor().max(-14.0);
                let exponent = exponent::<10>(bits.into(), 15.0);
                assert_eq!(f64::from(exponent), least, "{bits:#x}");
                finite += 1;
            }
        }
        assert_eq!(finite, 2 * (0x7c00 - 1));
    }
}
