//! Matrix product with row-major weights: `out[t, n] = dot(x[t], w[n])`, by the dot product of `element.rs`.
//!
//! Register tiles of rows by tokens share loads; each (row, token) pair keeps its own sixteen lanes, so its bits do not
//! depend on the tile it is in. Bound: memory for one token (each weight byte is read once), arithmetic from about
//! eight tokens on: a tile of 4 x 4 needs 8 operations to widen bf16 weights for 32 multiply-adds, so 80 % of the peak.
//!
//! Tokens are the outer loop: the tile's activations (4 x 896 floats) stay in the first-level cache while rows stream by
//! from the second. Tried: tiles of 4 x 5 and 3 x 8 (no faster), 4 x 6 (spills), blocks of k with the sums kept in memory
//! (2 % at k = 4864, nothing below). AVX2 has registers for 1 x 4: 58 GFLOP/s a core at k = 896, 33 at 4864.

use std::marker::PhantomData;

use super::element::{Element, GROUP, StoredFor, passes};
use super::packed::{TILE, groups};
use super::simd::{Isa, Kernel, tree_sum};

/// `out[t][n] = dot(x[t], w[n])` for all rows of `w` and all tokens of `x`.
pub struct Matmul<'a, C: Element, W: StoredFor<C>> {
    /// Packed activations (`packed::pack`).
    pub x: &'a [f32],
    /// Tokens in `x`.
    pub tokens: usize,
    /// Weights `(rows, k)`.
    pub w: &'a [W],
    /// Row length.
    pub k: usize,
    /// `(tokens, rows)`.
    pub out: &'a mut [f32],
    /// The matrix-input type.
    pub element: PhantomData<C>,
}

impl<C: Element, W: StoredFor<C>> Kernel for Matmul<'_, C, W> {
    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let whole = self.tokens / TILE * TILE;
        for token in (0..whole).step_by(TILE) {
            if I::WIDE {
                self.all_rows::<I, 4, TILE>(isa, token);
            } else {
                self.all_rows::<I, 1, TILE>(isa, token);
            }
        }
        for token in whole..self.tokens {
            self.all_rows::<I, 4, 1>(isa, token);
        }
    }
}

impl<C: Element, W: StoredFor<C>> Matmul<'_, C, W> {
    /// All rows by T tokens from `token` on, R rows at a time and then what is left.
    #[inline(always)]
    fn all_rows<I: Isa, const R: usize, const T: usize>(&mut self, isa: I, token: usize) {
        let rows = self.w.len() / self.k;
        let whole = rows / R * R;
        for row in (0..whole).step_by(R) {
            self.tile::<I, R, T>(isa, row, token);
        }
        for row in whole..rows {
            self.tile::<I, 1, T>(isa, row, token);
        }
    }

    /// R rows from `row` on by T tokens from `token` on.
    #[inline(always)]
    fn tile<I: Isa, const R: usize, const T: usize>(&mut self, isa: I, row: usize, token: usize) {
        let (k, rows) = (self.k, self.w.len() / self.k);
        let band = &self.w[row * k..(row + R) * k];
        let weights: [&[W]; R] = std::array::from_fn(|r| &band[r * k..(r + 1) * k]);
        let sums = accumulate::<I, C, W, R, T>(isa, weights, groups(self.x, k, token));
        for t in 0..T {
            let out = &mut self.out[(token + t) * rows + row..][..R];
            if R == 4 {
                let dots =
                    isa.tree_sums([sums[0][t], sums[1 % R][t], sums[2 % R][t], sums[3 % R][t]]);
                for r in 0..R {
                    out[r] = dots[r] * C::UNSCALE;
                }
            } else {
                for r in 0..R {
                    out[r] = tree_sum(isa, sums[r][t]) * C::UNSCALE;
                }
            }
        }
    }
}

/// The sixteen lanes of each (row, token) pair.
#[inline(always)]
fn accumulate<I: Isa, C: Element, W: StoredFor<C>, const R: usize, const T: usize>(
    isa: I,
    weights: [&[W]; R],
    x: &[[[f32; GROUP]; T]],
) -> [[I::V; T]; R] {
    let mut sums = [[isa.splat(0.0); T]; R];
    let rows: [(&[[W; GROUP]], &[W]); R] = weights.map(|row| row.as_chunks());
    let whole = rows[0].0.len();
    // Slices of one length, so that the loop has no bounds checks.
    let body: [&[[W; GROUP]]; R] = rows.map(|(body, _)| &body[..whole]);
    let (x, rest) = x.split_at(whole);
    for g in 0..whole {
        if T == 1 {
            for r in 0..R {
                // With one token the weights come from memory, each row once: ask for the rows of the next tile.
                isa.prefetch(&body[r][g], R * whole * size_of::<[W; GROUP]>());
            }
        }
        let group = std::array::from_fn(|r| &body[r][g]);
        sums = step::<I, C, W, R, T>(isa, group, &x[g], sums);
    }
    if let [x] = rest {
        let mut padded = [[W::zeroed(); GROUP]; R];
        for r in 0..R {
            padded[r][..rows[r].1.len()].copy_from_slice(rows[r].1);
        }
        sums = step::<I, C, W, R, T>(isa, padded.each_ref(), x, sums);
    }
    sums
}

/// One group of 32 elements: pass 0, then pass 1. The sums go by value, which keeps them in registers.
#[inline(always)]
fn step<I: Isa, C: Element, W: StoredFor<C>, const R: usize, const T: usize>(
    isa: I,
    weights: [&[W; GROUP]; R],
    inputs: &[[f32; GROUP]; T],
    mut sums: [[I::V; T]; R],
) -> [[I::V; T]; R] {
    let mut w = [(isa.splat(0.0), isa.splat(0.0)); R];
    for r in 0..R {
        w[r] = W::load_group(isa, weights[r]);
    }
    for t in 0..T {
        let (first, second) = passes(&inputs[t]);
        let x = isa.load(first);
        for r in 0..R {
            sums[r][t] = C::madd(isa, w[r].0, x, sums[r][t]);
        }
        let x = isa.load(second);
        for r in 0..R {
            sums[r][t] = C::madd(isa, w[r].1, x, sums[r][t]);
        }
    }
    sums
}
