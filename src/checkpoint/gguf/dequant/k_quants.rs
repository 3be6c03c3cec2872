//! Super-blocks of 256 values with scales of sub-blocks: Q2_K, Q3_K, Q4_K, Q5_K, Q6_K.
//!
//! Bit planes interleave: value `i` of a 2-bit plane lies in byte `32 * (i / 128) + i % 32` at bit
//! `2 * (i / 32 % 4)`, and likewise for the other widths.

use super::scales::{field, half_at, scale_min};

/// Layout: 4-bit scale and minimum of 16 values each (16), 2-bit values (64), d (2), dmin (2).
pub(super) fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let (d, dmin) = (half_at(block, 80), half_at(block, 82));
    for i in 0..256 {
        let packed = block[i / 16];
        let scale = d * f32::from(packed & 15);
        let min = dmin * f32::from(packed >> 4);
        out[i] = scale * f32::from(two_bits(&block[16..80], i)) - min;
    }
}

/// Layout: top bits (32), 2-bit values (64), 6-bit scales of 16 values each (12), d (2).
pub(super) fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = half_at(block, 108);
    let scales = &block[96..108];
    for i in 0..256 {
        let sub = i / 16;
        let low = field(scales[sub % 8], sub / 8 * 4, 4);
        let high = field(scales[8 + sub % 4], sub / 4 * 2, 2);
        let scale = d * f32::from((low | (high << 4)) as i8 - 32);
        // The top bit set means no offset.
        let offset = 4 * (1 - one_bit(&block[..32], i) as i8);
        out[i] = scale * f32::from(two_bits(&block[32..96], i) as i8 - offset);
    }
}

/// Layout: d (2), dmin (2), 6-bit scales and minima of 32 values each (12), nibbles (128).
pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    for i in 0..256 {
        let (scale, min) = scale_min(&block[4..16], i / 32);
        out[i] = (d * scale) * f32::from(nibble_32(&block[16..], i)) - dmin * min;
    }
}

/// Layout: d (2), dmin (2), 6-bit scales and minima (12), top bits (32), nibbles (128).
pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    for i in 0..256 {
        let (scale, min) = scale_min(&block[4..16], i / 32);
        let q = nibble_32(&block[48..], i) | (one_bit(&block[16..48], i) << 4);
        out[i] = (d * scale) * f32::from(q) - dmin * min;
    }
}

/// Layout: low nibbles (128), high 2 bits (64), signed scales of 16 values each (16), d (2).
pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = half_at(block, 208);
    for i in 0..256 {
        let scale = d * f32::from(block[192 + i / 16] as i8);
        let low = field(block[i / 128 * 64 + i % 64], i / 64 % 2 * 4, 4);
        let q = low | (two_bits(&block[128..192], i) << 4);
        out[i] = scale * f32::from(q as i8 - 32);
    }
}

fn one_bit(plane: &[u8], i: usize) -> u8 {
    field(plane[i % 32], i / 32, 1)
}

fn two_bits(plane: &[u8], i: usize) -> u8 {
    field(plane[i / 128 * 32 + i % 32], i / 32 % 4 * 2, 2)
}

/// Nibbles in runs of 32: low halves of 32 bytes, then their high halves.
fn nibble_32(plane: &[u8], i: usize) -> u8 {
    field(plane[i / 64 * 32 + i % 32], i / 32 % 2 * 4, 4)
}
