//! Small readers that the block formats share.

use half::f16;

/// The f16 at byte `at`, widened.
pub(super) fn half_at<const N: usize>(block: &[u8; N], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The `bits` low bits of `byte >> shift`.
pub(super) fn field(byte: u8, shift: usize, bits: usize) -> u8 {
    (byte >> shift) & ((1 << bits) - 1)
}

/// Scale and minimum of sub-block `index` of Q4_K and Q5_K, 6 bits each.
///
/// Of the 12 bytes, 0..4 hold scales 0..4 and 4..8 minima 0..4 in their low six bits; their upper two bits are
/// the tops of scales and minima 4..8, whose low four bits are the two halves of bytes 8..12.
pub(super) fn scale_min(packed: &[u8], index: usize) -> (f32, f32) {
    let (scale, min) = if index < 4 {
        (packed[index] & 63, packed[index + 4] & 63)
    } else {
        let low = packed[index + 4];
        (
            (low & 15) | ((packed[index - 4] >> 2) & 48),
            (low >> 4) | ((packed[index] >> 2) & 48),
        )
    };
    (f32::from(scale), f32::from(min))
}
