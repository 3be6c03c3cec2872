//! The functions that PTX also has for 16-bit floats.

use half::{bf16, f16};

use super::exponential;
use crate::emu::exec::number::{NAN16, to_odd};

/// An f16 function by one of f64.
fn by_f16(bits: u16, function: fn(f64) -> f64) -> u16 {
    let y = function(f16::from_bits(bits).to_f64_const());
    if y.is_nan() {
        NAN16
    } else {
        f16::from_f32_const(to_odd(y)).to_bits()
    }
}

/// A bf16 function by one of f64.
fn by_bf16(bits: u16, function: fn(f64) -> f64) -> u16 {
    let y = function(bf16::from_bits(bits).to_f64_const());
    if y.is_nan() {
        NAN16
    } else {
        bf16::from_f32_const(to_odd(y)).to_bits()
    }
}

/// `ex2.approx.f16`: subnormal numbers stay.
pub fn ex2_f16(bits: u16) -> u16 {
    by_f16(bits, exponential::exp2)
}

/// `ex2.approx.ftz.bf16`: a subnormal result is zero.
pub fn ex2_bf16(bits: u16) -> u16 {
    let result = by_bf16(bits, exponential::exp2);
    if result < 0x80 { 0 } else { result }
}

/// `tanh.approx.f16`.
pub fn tanh_f16(bits: u16) -> u16 {
    by_f16(bits, exponential::tanh)
}

/// `tanh.approx.bf16`.
pub fn tanh_bf16(bits: u16) -> u16 {
    by_bf16(bits, exponential::tanh)
}

/// A 16-bit function on both halves of a word, as the `f16x2` and `bf16x2` forms do.
pub fn pair(function: fn(u16) -> u16, word: u32) -> u32 {
    u32::from(function(word as u16)) | u32::from(function((word >> 16) as u16)) << 16
}
