//! Rotary position angles (RoFormer, arXiv 2104.09864), rounded as `modeling_qwen2.py` rounds them: the inverse frequency
//! and the angle are f32, because a model was trained with exactly those.

use crate::error::Result;
use crate::limits::Size;

/// Cosines and sines of one step's positions.
#[derive(Debug)]
pub struct RopeTable {
    inverse_frequencies: Vec<f32>,
    /// `(T, dim / 2)`.
    cos: Vec<f32>,
    /// `(T, dim / 2)`.
    sin: Vec<f32>,
}

impl RopeTable {
    /// Bytes of a table for heads of width `dim` and steps of at most `max_tokens` tokens.
    pub fn bytes(dim: usize, max_tokens: usize) -> Result<usize> {
        let rows = Size::new(max_tokens as u64).times(2, "RoPE table")?;
        let floats = rows
            .plus(1, "RoPE table")?
            .times(dim as u64 / 2, "RoPE table")?;
        floats
            .times(size_of::<f32>() as u64, "RoPE table")?
            .to_usize("RoPE table")
    }

    /// For heads of width `dim`, base `theta` and steps of at most `max_tokens` tokens, which never allocate.
    pub fn new(dim: usize, theta: f64, max_tokens: usize) -> Self {
        let inverse = |i: usize| {
            let exponent = (2 * i) as f32 / dim as f32;
            1.0 / theta.powf(f64::from(exponent)) as f32
        };
        let inverse_frequencies = (0..dim / 2).map(inverse).collect();
        RopeTable {
            inverse_frequencies,
            cos: Vec::with_capacity(max_tokens * (dim / 2)),
            sin: Vec::with_capacity(max_tokens * (dim / 2)),
        }
    }

    /// Bytes it really holds.
    pub fn allocated(&self) -> u64 {
        let floats = [&self.inverse_frequencies, &self.cos, &self.sin];
        let bytes = floats.map(|values| values.capacity() * size_of::<f32>());
        bytes.iter().sum::<usize>() as u64
    }

    /// Computes the angles of `positions`.
    pub fn fill(&mut self, positions: &[u32]) {
        self.cos.clear();
        self.sin.clear();
        for &position in positions {
            for &inverse in &self.inverse_frequencies {
                let (sin, cos) = f64::from(position as f32 * inverse).sin_cos();
                self.cos.push(cos as f32);
                self.sin.push(sin as f32);
            }
        }
    }

    /// Cosines and sines `(dim / 2)` of token `t`.
    pub fn angles(&self, t: usize) -> (&[f32], &[f32]) {
        let half = self.inverse_frequencies.len();
        (
            &self.cos[t * half..(t + 1) * half],
            &self.sin[t * half..(t + 1) * half],
        )
    }
}
