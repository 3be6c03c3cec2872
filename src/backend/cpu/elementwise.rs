//! RMSNorm, SiLU times up, and rounding to the matrix-input type: one row at a time.

use super::element::Element;
use super::exp::exp;
use super::simd::{Isa, Kernel, LANES, tree_sum};

/// Writes `values` rounded to `C` and returns the first that does not fit, with its index.
#[inline(always)]
pub fn round_row<C: Element>(values: &[f32], out: &mut [C]) -> Option<(usize, f32)> {
    let mut all_fit = true;
    for (value, out) in values.iter().zip(out.iter_mut()) {
        all_fit &= fits::<C>(*value);
        *out = C::round(*value);
    }
    if all_fit {
        None
    } else {
        first_unfit::<C>(values)
    }
}

/// The first value that does not fit `C`, with its index.
pub fn first_unfit<C: Element>(values: &[f32]) -> Option<(usize, f32)> {
    values
        .iter()
        .copied()
        .enumerate()
        .find(|(_, value)| !fits::<C>(*value))
}

/// Whether `x` may be rounded to `C`; NaN may not.
#[inline(always)]
pub fn fits<C: Element>(x: f32) -> bool {
    x.abs() <= C::LIMIT
}

/// `out = x / sqrt(mean(x^2) + eps) * weight`. The squares are summed in sixteen lanes, element i in lane i mod 16,
/// and by the tree of the dot product.
pub struct RmsNorm<'a> {
    /// `(n)`.
    pub x: &'a [f32],
    /// `(n)`.
    pub weight: &'a [f32],
    /// Added to the mean square.
    pub eps: f32,
    /// `(n)`.
    pub out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (whole, rest) = self.x.as_chunks::<LANES>();
        let mut sum = isa.splat(0.0);
        for chunk in whole {
            let x = isa.load(chunk);
            sum = isa.add(sum, isa.mul(x, x));
        }
        if !rest.is_empty() {
            let mut padded = [0.0; LANES];
            padded[..rest.len()].copy_from_slice(rest);
            let x = isa.load(&padded);
            sum = isa.add(sum, isa.mul(x, x));
        }
        let mean = tree_sum(isa, sum) / self.x.len() as f32;
        let scale = 1.0 / (mean + self.eps).sqrt();
        for i in 0..self.x.len() {
            self.out[i] = self.x[i] * scale * self.weight[i];
        }
    }
}

/// `out = gate / (1 + exp(-gate)) * up`.
pub struct SiluMul<'a> {
    /// `(n)`.
    pub gate: &'a [f32],
    /// `(n)`.
    pub up: &'a [f32],
    /// `(n)`.
    pub out: &'a mut [f32],
}

impl Kernel for SiluMul<'_> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (gates, gate_rest) = self.gate.as_chunks::<LANES>();
        let (ups, up_rest) = self.up.as_chunks::<LANES>();
        let (outs, out_rest) = self.out.as_chunks_mut::<LANES>();
        for ((gate, up), out) in gates.iter().zip(ups).zip(outs) {
            silu_mul(isa, gate, up, out);
        }
        let (mut gate, mut up, mut out) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        gate[..gate_rest.len()].copy_from_slice(gate_rest);
        up[..up_rest.len()].copy_from_slice(up_rest);
        silu_mul(isa, &gate, &up, &mut out);
        out_rest.copy_from_slice(&out[..out_rest.len()]);
    }
}

#[inline(always)]
fn silu_mul<I: Isa>(isa: I, gate: &[f32; LANES], up: &[f32; LANES], out: &mut [f32; LANES]) {
    let x = isa.load(gate);
    let denominator = isa.add(isa.splat(1.0), exp(isa, isa.sub(isa.splat(0.0), x)));
    isa.store(isa.mul(isa.div(x, denominator), isa.load(up)), out);
}

/// Rotates the head `x` in place by its position: element i pairs with element i + dim / 2 (the "rotate half"
/// convention of `modeling_qwen2.py`), each product and sum rounded once.
pub fn rotate(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = x.split_at_mut(cos.len());
    for i in 0..cos.len() {
        let (a, b) = (low[i], high[i]);
        low[i] = a * cos[i] - b * sin[i];
        high[i] = b * cos[i] + a * sin[i];
    }
}
