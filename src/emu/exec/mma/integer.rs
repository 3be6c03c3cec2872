//! Products of bytes: exact sums, wrapped or clamped to 32 bits at the end.

use super::MmaForm;
use super::fragment::{M, N, WORDS, a_words, b_words, c_words, d_from_words};
use crate::emu::Row;
use crate::emu::ptx::Type;

/// Bytes along k of the longest form.
const K: usize = 4 * WORDS;

/// `d = a * b + c` for A and B of bytes.
pub fn mma(form: MmaForm, a: &[Row], b: &[Row], c: &[Row], d: &mut [Row]) {
    let a = a_elements(a, form.a_type);
    let b = b_elements(b, form.b_type);
    let c = c_words(c);
    let mut out = [[0; N]; M];
    for i in 0..form.shape.m {
        let mut sums = [0; N];
        for k in 0..form.shape.k {
            for j in 0..N {
                sums[j] += a[i][k] * b[k][j];
            }
        }
        for j in 0..N {
            // At most 32 * 255 * 255 in magnitude, so the sum of products itself never wraps.
            let sum = i64::from(sums[j]) + i64::from(c[i][j] as i32);
            let sum = match form.saturate {
                true => sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX)),
                false => sum,
            };
            out[i][j] = sum as u32;
        }
    }
    d_from_words(&out, d);
}

/// A byte as the number that its type makes of it.
fn value(byte: u8, ty: Type) -> i32 {
    match ty {
        Type::S8 => i32::from(byte as i8),
        _ => i32::from(byte),
    }
}

fn a_elements(a: &[Row], ty: Type) -> [[i32; K]; M] {
    let words = a_words(a);
    let mut elements = [[0; K]; M];
    for i in 0..M {
        for k in 0..K {
            elements[i][k] = value(words[i][k / 4].to_le_bytes()[k % 4], ty);
        }
    }
    elements
}

fn b_elements(b: &[Row], ty: Type) -> [[i32; N]; K] {
    let words = b_words(b);
    let mut elements = [[0; N]; K];
    for k in 0..K {
        for j in 0..N {
            elements[k][j] = value(words[k / 4][j].to_le_bytes()[k % 4], ty);
        }
    }
    elements
}
