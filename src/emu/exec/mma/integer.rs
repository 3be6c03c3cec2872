//! Products of bytes: exact sums, wrapped or clamped to 32 bits at the end.

use super::fragment::{M, N, WORDS, a_words, b_words, c_words, d_from_words};
use crate::emu::Row;
use crate::emu::op::MmaForm;
use crate::emu::ptx::Type;

/// Bytes along k of the longest form.
const K: usize = 4 * WORDS;

/// `d = a * b + c` for A and B of bytes.
///
/// The sums of products are kept in f32, whose products every machine vectorises: 32 times 255 * 255 is below 2^24, so they
/// are exact.
#[inline(always)]
pub fn mma(form: MmaForm, a: &[Row], b: &[Row], c: &[Row], d: &mut [Row]) {
    let a = a_elements(a, form.a_type);
    let b = b_elements(b, form.b_type);
    let mut matrix = c_words(c);
    for (row, factors) in matrix[..form.shape.m].iter_mut().zip(&a) {
        let mut sums = [0.0; N];
        for (&factor, column) in factors.iter().zip(&b).take(form.shape.k) {
            for j in 0..N {
                sums[j] += factor * column[j];
            }
        }
        for j in 0..N {
            let sum = sums[j] as i32;
            let c = row[j] as i32;
            row[j] = match form.saturate {
                true => c.saturating_add(sum) as u32,
                false => c.wrapping_add(sum) as u32,
            };
        }
    }
    d_from_words(&matrix, d);
}

/// Byte `place` of a word as the number that its type makes of it.
#[inline(always)]
fn value(word: u32, place: usize, ty: Type) -> f32 {
    let byte = (word >> (8 * place)) as u8;
    let number = match ty {
        Type::S8 => i32::from(byte as i8),
        _ => i32::from(byte),
    };
    number as f32
}

#[inline(always)]
fn a_elements(a: &[Row], ty: Type) -> [[f32; K]; M] {
    let words = a_words(a);
    let mut elements = [[0.0; K]; M];
    for i in 0..M {
        for w in 0..WORDS {
            for place in 0..4 {
                elements[i][4 * w + place] = value(words[i][w], place, ty);
            }
        }
    }
    elements
}

#[inline(always)]
fn b_elements(b: &[Row], ty: Type) -> [[f32; N]; K] {
    let words = b_words(b);
    let mut elements = [[0.0; N]; K];
    for w in 0..WORDS {
        for place in 0..4 {
            for j in 0..N {
                elements[4 * w + place][j] = value(words[w][j], place, ty);
            }
        }
    }
    elements
}
