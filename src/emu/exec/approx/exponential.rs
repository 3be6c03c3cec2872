//! 2^x, log2 and tanh in f64, good to about 2^-50.

use std::f64::consts::{LN_2, LOG2_E};

/// Adding it rounds a small number to an integer, whose low bits are then the sum's.
const INTEGERS: f64 = (3u64 << 51) as f64;

/// 1/1!, 1/2!, ...: the series of (e^t - 1) / t.
const EXPONENTIAL: [f64; 13] = {
    let mut terms = [1.0; 13];
    let mut k = 1;
    while k < terms.len() {
        terms[k] = terms[k - 1] / (k + 1) as f64;
        k += 1;
    }
    terms
};

/// 1, 1/3, 1/5, ...: the series of atanh(s) / s in s^2.
const LOGARITHM: [f64; 11] = {
    let mut terms = [1.0; 11];
    let mut k = 1;
    while k < terms.len() {
        terms[k] = 1.0 / (2 * k + 1) as f64;
        k += 1;
    }
    terms
};

/// A polynomial by ascending coefficients.
#[inline(always)]
pub fn polynomial<const TERMS: usize>(coefficients: &[f64; TERMS], x: f64) -> f64 {
    let mut sum = coefficients[TERMS - 1];
    for k in (0..TERMS - 1).rev() {
        sum = sum * x + coefficients[k];
    }
    sum
}

/// 2^x as `(scale, rest)`, the value being `scale + scale * rest`: `scale` is a power of two and `rest` in [-0.3, 0.42].
#[inline(always)]
fn split_exp2(x: f64) -> (f64, f64) {
    let shifted = x + INTEGERS;
    let t = (x - (shifted - INTEGERS)) * LN_2;
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    (scale, t * polynomial(&EXPONENTIAL, t))
}

/// 2^x. What f32 cannot hold is clamped, and becomes its infinity or zero; a NaN stays one through `rest`.
#[inline(always)]
pub fn exp2(x: f64) -> f64 {
    let (scale, rest) = split_exp2(x.clamp(-200.0, 200.0));
    scale + scale * rest
}

/// tanh(x) as (e^2x - 1) / (e^2x + 1), where e^2x - 1 loses nothing for small x.
pub fn tanh(x: f64) -> f64 {
    let (scale, rest) = split_exp2(x.clamp(-20.0, 20.0) * (2.0 * LOG2_E));
    // The sum below would turn -0 into 0.
    let less_one = if scale == 1.0 {
        rest
    } else {
        (scale - 1.0) + scale * rest
    };
    less_one / (less_one + 2.0)
}

/// The logarithm to base 2 of a positive normal number: the exponent, and twice atanh of (m - 1) / (m + 1) for the rest m.
pub fn log2(x: f64) -> f64 {
    const ONE: u64 = 1 << 52;
    let bits = x.to_bits();
    let fraction = bits & (ONE - 1);
    // Above 1.41, half of it and one exponent more: m lies in [0.7, 1.42], and near 1 nothing cancels.
    let above = u64::from(fraction > ONE / 100 * 41);
    let exponent = (bits >> 52) + above;
    let m = f64::from_bits(fraction | ((1023 - above) << 52));
    let s = (m - 1.0) / (m + 1.0);
    (exponent as f64 - 1023.0) + s * polynomial(&LOGARITHM, s * s) * (2.0 * LOG2_E)
}
