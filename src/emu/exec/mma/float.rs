//! Products of halves: sums that are aligned to their largest term and cut, as tensor cores do.
//!
//! A sum takes C and up to [`Sums::terms`] products at once. Each term is shifted to the largest exponent among them and
//! cut [`Sums::fraction_bits`] places after the point; what is left is added exactly, and rounded once. A product's exponent
//! is the sum of its factors' exponents, not that of its normalised value. Longer rows are sums of sums, in ascending k.
//!
//! The terms are kept in f64 as integers below 2^27, so additions are exact in any order, and infinities and NaN take
//! their course.

use std::ops::Range;

use super::MmaForm;
use super::factor::{Factors, K, a_factors, b_factors, f16_value};
use super::fragment::{M, N, c_halves, c_words, d_from_halves, d_from_words};
use super::round::{power_of_two, to_f16_nearest, to_f32_towards_zero, truncate};
use crate::driver::Target;
use crate::emu::Row;
use crate::emu::ptx::Type;

/// How a generation adds.
struct Sums {
    /// Bits kept after the point, relative to the largest exponent.
    fraction_bits: i16,
    /// Products taken at once.
    terms: usize,
}

impl Sums {
    fn of(target: Target) -> Sums {
        let (fraction_bits, terms) = match target {
            Target::Sm75 | Target::Sm80 => (24, 8),
            Target::Sm90 => (25, 16),
        };
        Sums {
            fraction_bits,
            terms,
        }
    }

    /// How far below the accumulator's denormals a zero stands when the largest exponent is sought.
    fn zero_below(&self) -> i16 {
        self.fraction_bits - 18
    }
}

/// What C's and D's type decides.
trait Accumulator {
    /// Exponent of its denormals.
    const LEAST_EXPONENT: i16;
    /// From its bits.
    fn value(bits: u32) -> f64;
    /// From an exact sum to its bits.
    fn round(x: f64) -> u32;
}

struct F32;
struct F16;

impl Accumulator for F32 {
    const LEAST_EXPONENT: i16 = -126;

    fn value(bits: u32) -> f64 {
        f64::from(f32::from_bits(bits))
    }

    fn round(x: f64) -> u32 {
        to_f32_towards_zero(x)
    }
}

impl Accumulator for F16 {
    const LEAST_EXPONENT: i16 = -14;

    fn value(bits: u32) -> f64 {
        f64::from(f16_value(bits))
    }

    fn round(x: f64) -> u32 {
        to_f16_nearest(x)
    }
}

/// `d = a * b + c` for A and B of halves.
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
            let c = row.map(A::value);
            let largest = largest_exponents::<A>(sums, range.clone(), (a, i), b, &c);
            *row = aligned_sums(sums, range.clone(), (a, i), b, &c, &largest).map(A::round);
        }
    }
}

/// For each element of a row of the result, the largest exponent among its terms.
fn largest_exponents<A: Accumulator>(
    sums: &Sums,
    range: Range<usize>,
    (a, i): (&Factors<M, K>, usize),
    b: &Factors<K, N>,
    c: &[f64; N],
) -> [i16; N] {
    let mut largest = c.map(|x| {
        let exponent = ((x.to_bits() >> 52) & 0x7ff) as i16 - 1023;
        match x == 0.0 {
            true => A::LEAST_EXPONENT - sums.zero_below(),
            false => exponent.max(A::LEAST_EXPONENT),
        }
    });
    for k in range {
        let exponent = a.exponents[i][k];
        for j in 0..N {
            // A zero product's own exponent never wins: C's, zero or not, is at least as large.
            largest[j] = largest[j].max(exponent.wrapping_add(b.exponents[k][j]));
        }
    }
    largest
}

/// The exact sums of a row's terms, each cut at its own last place.
fn aligned_sums(
    sums: &Sums,
    range: Range<usize>,
    (a, i): (&Factors<M, K>, usize),
    b: &Factors<K, N>,
    c: &[f64; N],
    largest: &[i16; N],
) -> [f64; N] {
    let scale = largest.map(|exponent| power_of_two(sums.fraction_bits - exponent));
    let mut total = [0.0; N];
    for j in 0..N {
        total[j] = truncate(c[j] * scale[j]);
    }
    for k in range {
        let factor = a.values[i][k];
        for j in 0..N {
            total[j] += truncate(factor * b.values[k][j] * scale[j]);
        }
    }
    for j in 0..N {
        total[j] *= power_of_two(largest[j] - sums.fraction_bits);
    }
    total
}
