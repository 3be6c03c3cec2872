//! 4-bit indices into a fixed table of levels: IQ4_NL, IQ4_XS.

use super::scales::{field, half_at};

/// The 16 levels, denser round zero.
const LEVELS: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// Layout: scale (2), indices (16), low halves first.
pub(super) fn iq4_nl(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for i in 0..32 {
        out[i] = d * level(&block[2..], i);
    }
}

/// Layout: d (2), top 2 bits of the 8 scales (2), their low 4 bits (4), indices (128).
pub(super) fn iq4_xs(block: &[u8; 136], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for i in 0..256 {
        let sub = i / 32;
        let low = field(block[4 + sub / 2], sub % 2 * 4, 4);
        let high = field(block[2 + sub / 4], sub % 4 * 2, 2);
        let scale = d * f32::from((low | (high << 4)) as i8 - 32);
        out[i] = scale * level(&block[8 + sub * 16..], i % 32);
    }
}

fn level(indices: &[u8], i: usize) -> f32 {
    f32::from(LEVELS[usize::from(field(indices[i % 16], i / 16 * 4, 4))])
}
