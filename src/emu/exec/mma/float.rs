//! Products of halves: sums that are aligned to their largest term and cut, as tensor cores do.
//!
//! A sum takes C and up to [`Sums::terms`] products at once. Each term is shifted to the largest exponent among them and
//! cut [`Sums::fraction_bits`] places after the point; what is left is added exactly, and rounded once. A product's exponent
//! is the sum of its factors' exponents, not that of its normalised value. Longer rows are sums of sums, in ascending k.
//!
//! The terms are kept in f64 as integers below 2^27, so additions are exact in any order, and infinities and NaN take
//! their course. The loops run over the eight columns of a row and have no branch, so that they vectorise.

use std::ops::Range;

use super::factor::{Factors, K, a_factors, b_factors};
use super::fragment::{M, N, c_halves, c_words, d_from_halves, d_from_words};
use super::round::{to_f16_nearest, to_f32_towards_zero, truncate};
use crate::driver::Target;
use crate::emu::Row;
use crate::emu::exec::number::{self, HalfFormat};
use crate::emu::op::MmaForm;
use crate::emu::ptx::Type;

/// How a generation adds.
struct Sums {
    /// Bits kept after the point, relative to the largest exponent.
    fraction_bits: f32,
    /// Products taken at once.
    terms: usize,
    /// How far below the accumulator's denormals a C that is zero stands when the largest exponent is sought.
    zero_below: f32,
}

impl Sums {
    fn of(target: Target) -> Sums {
        let (fraction_bits, terms, zero_below) = match target {
            Target::Sm75 | Target::Sm80 => (24.0, 8, 6.0),
            Target::Sm90 => (25.0, 16, 7.0),
        };
        Sums {
            fraction_bits,
            terms,
            zero_below,
        }
    }
}

/// What C's and D's type decides.
trait Accumulator {
    /// Bits of its fraction.
    const FRACTION_BITS: u32;
    /// What its exponent field counts from.
    const BIAS: f32;
    /// All its bits but the sign.
    const MAGNITUDE: u32;
    /// From its bits.
    fn value(bits: u32) -> f64;
    /// From exact sums to their bits.
    fn round(sums: &[f64; N]) -> [u32; N];
}

struct F32;
struct F16;

impl Accumulator for F32 {
    const FRACTION_BITS: u32 = 23;
    const BIAS: f32 = 127.0;
    const MAGNITUDE: u32 = 0x7fff_ffff;

    #[inline(always)]
    fn value(bits: u32) -> f64 {
        f64::from(f32::from_bits(bits))
    }

    #[inline(always)]
    fn round(sums: &[f64; N]) -> [u32; N] {
        to_f32_towards_zero(sums)
    }
}

impl Accumulator for F16 {
    const FRACTION_BITS: u32 = 10;
    const BIAS: f32 = 15.0;
    const MAGNITUDE: u32 = 0x7fff;

    #[inline(always)]
    fn value(bits: u32) -> f64 {
        f64::from(number::F16::widen(bits as u16))
    }

    #[inline(always)]
    fn round(sums: &[f64; N]) -> [u32; N] {
        to_f16_nearest(sums)
    }
}

/// `d = a * b + c` for A and B of halves.
#[inline(always)]
pub fn mma(form: MmaForm, target: Target, a: &[Row], b: &[Row], c: &[Row], d: &mut [Row]) {
    let sums = Sums::of(target);
    let a = a_factors(a, form.a_type);
    let b = b_factors(b, form.b_type);
    match form.d_type {
        Type::F16 => {
            let mut matrix = c_halves(c);
            add_products::<F16>(&sums, form.shape.k, &a, &b, &mut matrix);
            d_from_halves(&matrix, d);
        }
        _ => {
            let mut matrix = c_words(c);
            add_products::<F32>(&sums, form.shape.k, &a, &b, &mut matrix);
            d_from_words(&matrix, d);
        }
    }
}

#[inline(always)]
fn add_products<A: Accumulator>(
    sums: &Sums,
    k: usize,
    a: &Factors<M, K>,
    b: &Factors<K, N>,
    matrix: &mut [[u32; N]; M],
) {
    for start in (0..k).step_by(sums.terms) {
        let range = start..(start + sums.terms).min(k);
        for (i, row) in matrix.iter_mut().enumerate() {
            let largest = largest_exponents::<A>(sums, row, (a, i), b, range.clone());
            let total = aligned_sums::<A>(sums, row, &largest, (a, i), b, range.clone());
            *row = A::round(&total);
        }
    }
}

/// For each element of a row of the result, the largest exponent among its terms.
#[inline(always)]
fn largest_exponents<A: Accumulator>(
    sums: &Sums,
    row: &[u32; N],
    (a, i): (&Factors<M, K>, usize),
    b: &Factors<K, N>,
    range: Range<usize>,
) -> [f32; N] {
    let mut largest = [0.0; N];
    for j in 0..N {
        let magnitude = row[j] & A::MAGNITUDE;
        let field = (magnitude >> A::FRACTION_BITS) as i32 as f32;
        let exponent = greater(field, 1.0) - A::BIAS;
        let zero = 1.0 - A::BIAS - sums.zero_below;
        largest[j] = if magnitude == 0 { zero } else { exponent };
    }
    let factors = a.exponents[i][range.clone()].iter();
    for (&factor, column) in factors.zip(&b.exponents[range]) {
        for j in 0..N {
            // A zero product never wins here: a C that is zero stands where it would, and any other above.
            largest[j] = greater(factor + column[j], largest[j]);
        }
    }
    largest
}

/// The exact sums of a row's terms, each term cut at its column's last place.
#[inline(always)]
fn aligned_sums<A: Accumulator>(
    sums: &Sums,
    row: &[u32; N],
    largest: &[f32; N],
    (a, i): (&Factors<M, K>, usize),
    b: &Factors<K, N>,
    range: Range<usize>,
) -> [f64; N] {
    // 2 to `fraction_bits - largest` makes the last place that is kept 1.
    let mut scale = [0.0; N];
    let mut total = [0.0; N];
    for j in 0..N {
        scale[j] = power_of_two(sums.fraction_bits - largest[j]);
    }
    for j in 0..N {
        total[j] = truncate(A::value(row[j]) * scale[j]);
    }
    let factors = a.values[i][range.clone()].iter();
    for (&factor, column) in factors.zip(&b.values[range]) {
        for j in 0..N {
            total[j] += truncate(factor * column[j] * scale[j]);
        }
    }
    for j in 0..N {
        total[j] *= power_of_two(largest[j] - sums.fraction_bits);
    }
    total
}

/// The greater of two that are no NaN; `f32::max` would pay for those.
#[inline(always)]
fn greater(x: f32, y: f32) -> f32 {
    if x > y { x } else { y }
}

/// 2 to an integer power that is normal in f64. Adding 2^52 puts the exponent's field into the lowest bits.
#[inline(always)]
fn power_of_two(exponent: f32) -> f64 {
    const INTEGERS: f64 = (1u64 << 52) as f64;
    f64::from_bits((f64::from(exponent) + (INTEGERS + 1023.0)).to_bits() << 52)
}
