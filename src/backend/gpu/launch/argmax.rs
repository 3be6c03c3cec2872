//! The token of the largest logit: `cuda/argmax.cu`.

use super::check::{Check, VEC, WARP};
use crate::backend::gpu::kernels::Kernels;
use crate::driver::{DriverError, Geometry, In, Launch, Out};

/// What a row that no token can be drawn from gives: NaN or +inf in it, or no finite logit.
pub const NO_TOKEN: u32 = u32::MAX;

const THREADS: u32 = 256;
/// Vectors of logits that a thread takes.
const VECTORS: u32 = 2;

/// `tokens = argmax(logits)` by row, the lowest token on a tie.
#[derive(Debug, Clone, Copy)]
pub struct Argmax {
    /// Rows.
    pub rows: usize,
    /// Logits of a row.
    pub vocab: usize,
    /// `(rows, vocab)`.
    pub logits: In<f32>,
    /// `(rows, Argmax::parts(vocab))`: written by the first launch, read by the second.
    pub partial: Out<u64>,
    /// `(rows)`.
    pub tokens: Out<u32>,
}

impl Argmax {
    /// Parts that a row of `vocab` logits is split into.
    pub fn parts(vocab: usize) -> usize {
        vocab.div_ceil((THREADS * VECTORS * VEC) as usize)
    }

    /// The two launches, in order.
    pub fn launches(&self, kernels: &Kernels) -> Result<[Launch; 2], DriverError> {
        let Argmax {
            logits,
            partial,
            tokens,
            ..
        } = *self;
        let check = Check { kernel: "argmax" };
        let (rows, vocab) = (("rows", self.rows), ("vocab", self.vocab));
        let parts = ("parts", Self::parts(self.vocab));
        check.slice("logits", logits.ptr, logits.len, &[rows, vocab])?;
        check.slice("partial", partial.ptr, partial.len, &[rows, parts])?;
        check.slice("tokens", tokens.ptr, tokens.len, &[rows])?;
        let (rows, vocab) = (
            check.count("rows", self.rows)?,
            check.count("vocab", self.vocab)?,
        );
        let wide = check.rows(rows, vocab, THREADS, VECTORS * VEC)?;
        let merge = Geometry {
            grid: [rows, 1, 1],
            block: [WARP, 1, 1],
            shared_bytes: 0,
        };
        let keys = In::new(partial.ptr, partial.len);
        Ok([
            kernels.argmax_f32_partial(wide, logits, partial, vocab)?,
            kernels.argmax_f32_merge(merge, keys, tokens, wide.grid[1])?,
        ])
    }
}
