//! Blocks of 32 values with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
//!
//! Low halves of the nibble bytes are values 0..16, high halves values 16..32; in the 5-bit types bit `i` of a
//! 32-bit word is the top bit of value `i`.

use super::scales::{field, half_at};

/// Layout: scale (2), nibbles (16).
pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for i in 0..32 {
        out[i] = d * f32::from(nibble(&block[2..], i) as i8 - 8);
    }
}

/// Layout: scale (2), minimum (2), nibbles (16).
pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for i in 0..32 {
        out[i] = d * f32::from(nibble(&block[4..], i)) + m;
    }
}

/// Layout: scale (2), top bits (4), nibbles (16).
pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for i in 0..32 {
        let q = nibble(&block[6..], i) | top_bit(&block[2..6], i);
        out[i] = d * f32::from(q as i8 - 16);
    }
}

/// Layout: scale (2), minimum (2), top bits (4), nibbles (16).
pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for i in 0..32 {
        let q = nibble(&block[8..], i) | top_bit(&block[4..8], i);
        out[i] = d * f32::from(q) + m;
    }
}

/// Layout: scale (2), signed bytes (32).
pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for i in 0..32 {
        out[i] = f32::from(block[2 + i] as i8) * d;
    }
}

fn nibble(nibbles: &[u8], i: usize) -> u8 {
    field(nibbles[i % 16], i / 16 * 4, 4)
}

/// Bit `i` of the top-bit word, as the value 16 or 0.
fn top_bit(word: &[u8], i: usize) -> u8 {
    field(word[i / 8], i % 8, 1) << 4
}
