//! sin and cos of any f32, in f64.

use std::f64::consts::TAU;

use super::exponential::polynomial;

/// The first 256 bits of 1 / (2 pi), as two halves of a fraction.
const TURNS: [u128; 2] = [
    0x28be_60db_9391_054a_7f09_d5f4_7d4d_3770,
    0x36d8_a566_4f10_e410_7f94_58ea_f7ae_f158,
];

/// 1, -1/3!, 1/5!, ...: the series of sin(r) / r in r^2.
const SINE: [f64; 8] = alternating(1);
/// 1, -1/2!, 1/4!, ...: the series of cos(r) in r^2.
const COSINE: [f64; 9] = alternating(0);

const fn alternating<const TERMS: usize>(first: usize) -> [f64; TERMS] {
    let mut terms = [1.0; TERMS];
    let mut k = 1;
    while k < TERMS {
        let n = 2 * k + first;
        terms[k] = -terms[k - 1] / (n * (n - 1)) as f64;
        k += 1;
    }
    terms
}

/// A finite |x| as a quarter turn's number, modulo 4, and an angle in [-pi/4, pi/4] from there.
///
/// x is an integer of 24 bits times 2^e, so its turns modulo one are that integer times the bits of 1 / (2 pi) from the e-th
/// on, modulo one: no rounding error, however large x is.
fn reduce(x: f32) -> (u32, f64) {
    let x = x.abs();
    if x < 0.5 {
        return (0, f64::from(x));
    }
    let bits = x.to_bits();
    let mantissa = u128::from(bits & 0x7f_ffff | 0x80_0000);
    let e = (bits >> 23) as i32 - 150;
    let window = match e {
        ..0 => TURNS[0] >> -e,
        0 => TURNS[0],
        _ => TURNS[0] << e | TURNS[1] >> (128 - e),
    };
    let turns = mantissa.wrapping_mul(window);
    let quarter = (turns.wrapping_add(1 << 125) >> 126) as u32;
    let rest = turns.wrapping_sub(u128::from(quarter) << 126) as i128;
    // 2^-128, in two steps of which each is a normal number.
    let angle = rest as f64 / (1u128 << 64) as f64 / (1u128 << 64) as f64 * TAU;
    (quarter, angle)
}

/// The sine of a quarter turn's number plus an angle.
fn sine(quarter: u32, angle: f64) -> f64 {
    let square = angle * angle;
    let value = match quarter % 2 {
        0 => angle * polynomial(&SINE, square),
        _ => polynomial(&COSINE, square),
    };
    if quarter % 4 >= 2 { -value } else { value }
}

/// The sine; NaN for an infinity.
pub fn sin(x: f32) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (quarter, angle) = reduce(x);
    let value = sine(quarter, angle);
    if x.is_sign_negative() { -value } else { value }
}

/// The cosine; NaN for an infinity.
pub fn cos(x: f32) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (quarter, angle) = reduce(x);
    sine(quarter + 1, angle)
}
