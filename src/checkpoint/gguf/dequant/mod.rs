//! Dequantisation of ggml blocks to f32, bit-equal to the `gguf` Python package.
//!
//! Each product and sum is written in the order of that package and never fused: a different rounding here
//! would make every converted weight differ from the published reference.

mod float;
mod iq4;
mod k_quants;
mod legacy;
mod scales;

use super::types::GgmlType;

/// Writes the values of the whole blocks in `bytes` to `out`. Both hold the same number of blocks.
pub fn dequantize(kind: GgmlType, bytes: &[u8], out: &mut [f32]) {
    match kind {
        GgmlType::F32 => each(bytes, out, float::f32),
        GgmlType::F16 => each(bytes, out, float::f16),
        GgmlType::BF16 => each(bytes, out, float::bf16),
        GgmlType::Q4_0 => each(bytes, out, legacy::q4_0),
        GgmlType::Q4_1 => each(bytes, out, legacy::q4_1),
        GgmlType::Q5_0 => each(bytes, out, legacy::q5_0),
        GgmlType::Q5_1 => each(bytes, out, legacy::q5_1),
        GgmlType::Q8_0 => each(bytes, out, legacy::q8_0),
        GgmlType::Q2_K => each(bytes, out, k_quants::q2_k),
        GgmlType::Q3_K => each(bytes, out, k_quants::q3_k),
        GgmlType::Q4_K => each(bytes, out, k_quants::q4_k),
        GgmlType::Q5_K => each(bytes, out, k_quants::q5_k),
        GgmlType::Q6_K => each(bytes, out, k_quants::q6_k),
        GgmlType::IQ4_NL => each(bytes, out, iq4::iq4_nl),
        GgmlType::IQ4_XS => each(bytes, out, iq4::iq4_xs),
    }
}

/// Applies `block` to every block of `BYTES` bytes and `ELEMENTS` values.
fn each<const BYTES: usize, const ELEMENTS: usize>(
    bytes: &[u8],
    out: &mut [f32],
    block: impl Fn(&[u8; BYTES], &mut [f32; ELEMENTS]),
) {
    let (blocks, rest) = bytes.as_chunks::<BYTES>();
    let (values, tail) = out.as_chunks_mut::<ELEMENTS>();
    debug_assert!(rest.is_empty() && tail.is_empty() && blocks.len() == values.len());
    for (input, output) in blocks.iter().zip(values) {
        block(input, output);
    }
}
