//! Matrix product with row-major weights: `out[t, n] = dot(x[t], w[n])`, by the dot product of `element.rs`.
//!
//! Register tiles of rows by tokens share loads; each (row, token) pair keeps its own sixteen lanes, so its bits do not
//! depend on the tile it is in. Bound: memory for one token (each weight byte is read once), arithmetic from about
//! eight tokens on. A tile of 4 x 4 vectors fills AVX-512's registers, 2 x 2 AVX2's.

use super::element::{Element, GROUP, StoredFor};
use super::simd::{Isa, Kernel, tree_sum};

/// `out[t][n] = dot(x[t], w[n]) + bias[n]` for all rows of `w` and all tokens of `x`.
pub struct Matmul<'a, C: Element, W: StoredFor<C>> {
    /// Packed activations (`element::pack`), one row a token.
    pub x: &'a [f32],
    /// Weights `(rows, k)`.
    pub w: &'a [W],
    /// Row length.
    pub k: usize,
    /// One value a row of `w`.
    pub bias: Option<&'a [f32]>,
    /// `(tokens, rows)`.
    pub out: &'a mut [f32],
    /// The matrix-input type.
    pub element: std::marker::PhantomData<C>,
}

impl<C: Element, W: StoredFor<C>> Kernel for Matmul<'_, C, W> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let packed = super::element::packed_len(self.k);
        let mut tiles = Tiles { task: self, packed };
        if I::WIDE {
            tiles.cover::<I, 4, 4>(isa);
        } else {
            tiles.cover::<I, 2, 2>(isa);
        }
    }
}

struct Tiles<'a, C: Element, W: StoredFor<C>> {
    task: Matmul<'a, C, W>,
    packed: usize,
}

impl<C: Element, W: StoredFor<C>> Tiles<'_, C, W> {
    /// All rows by all tokens, in tiles of R by T and what is left at the edges.
    #[inline(always)]
    fn cover<I: Isa, const R: usize, const T: usize>(&mut self, isa: I) {
        let rows = self.task.w.len() / self.task.k;
        let whole = rows / R * R;
        for row in (0..whole).step_by(R) {
            self.band::<I, R, T>(isa, row);
        }
        for row in whole..rows {
            self.band::<I, 1, T>(isa, row);
        }
    }

    /// R rows by all tokens.
    #[inline(always)]
    fn band<I: Isa, const R: usize, const T: usize>(&mut self, isa: I, row: usize) {
        let tokens = self.task.x.len() / self.packed;
        let whole = tokens / T * T;
        for token in (0..whole).step_by(T) {
            self.tile::<I, R, T>(isa, row, token);
        }
        for token in whole..tokens {
            self.tile::<I, R, 1>(isa, row, token);
        }
    }

    /// R rows from `row` on by T tokens from `token` on.
    #[inline(always)]
    fn tile<I: Isa, const R: usize, const T: usize>(&mut self, isa: I, row: usize, token: usize) {
        let k = self.task.k;
        let weights: [&[W]; R] =
            std::array::from_fn(|r| &self.task.w[(row + r) * k..(row + r + 1) * k]);
        let inputs: [&[[f32; GROUP]]; T] = std::array::from_fn(|t| {
            self.task.x[(token + t) * self.packed..(token + t + 1) * self.packed]
                .as_chunks()
                .0
        });
        let sums = accumulate::<I, C, W, R, T>(isa, weights, inputs);
        let rows = self.task.w.len() / k;
        for r in 0..R {
            let bias = self.task.bias.map(|bias| bias[row + r]);
            for t in 0..T {
                let dot = tree_sum(isa, sums[r][t]) * C::UNSCALE;
                self.task.out[(token + t) * rows + row + r] = bias.map_or(dot, |bias| dot + bias);
            }
        }
    }
}

/// The sixteen lanes of each (row, token) pair.
#[inline(always)]
fn accumulate<I: Isa, C: Element, W: StoredFor<C>, const R: usize, const T: usize>(
    isa: I,
    weights: [&[W]; R],
    inputs: [&[[f32; GROUP]]; T],
) -> [[I::V; T]; R] {
    let mut sums = [[isa.splat(0.0); T]; R];
    let groups: [(&[[W; GROUP]], &[W]); R] = weights.map(|row| row.as_chunks());
    let whole = groups[0].0.len();
    // Slices of one length, so that the loop has no bounds checks.
    let body: [&[[W; GROUP]]; R] = groups.map(|(body, _)| &body[..whole]);
    let x: [&[[f32; GROUP]]; T] = inputs.map(|x| &x[..whole]);
    for g in 0..whole {
        if T == 1 {
            for r in 0..R {
                // With one token the weights come from memory, each row once: ask for the rows of the next tile.
                isa.prefetch(&body[r][g], R * whole * size_of::<[W; GROUP]>());
            }
        }
        step::<I, C, W, R, T>(
            isa,
            std::array::from_fn(|r| &body[r][g]),
            std::array::from_fn(|t| &x[t][g]),
            &mut sums,
        );
    }
    if !groups[0].1.is_empty() {
        let mut padded = [[W::zeroed(); GROUP]; R];
        for r in 0..R {
            padded[r][..groups[r].1.len()].copy_from_slice(groups[r].1);
        }
        step::<I, C, W, R, T>(
            isa,
            std::array::from_fn(|r| &padded[r]),
            std::array::from_fn(|t| &inputs[t][whole]),
            &mut sums,
        );
    }
    sums
}

/// One group of 32 elements: pass 0, then pass 1.
#[inline(always)]
fn step<I: Isa, C: Element, W: StoredFor<C>, const R: usize, const T: usize>(
    isa: I,
    weights: [&[W; GROUP]; R],
    inputs: [&[f32; GROUP]; T],
    sums: &mut [[I::V; T]; R],
) {
    let mut x = [[isa.splat(0.0); 2]; T];
    for t in 0..T {
        let (first, second) = super::element::passes(inputs[t]);
        x[t] = [isa.load(first), isa.load(second)];
    }
    for r in 0..R {
        let (first, second) = W::load_group(isa, weights[r]);
        for t in 0..T {
            sums[r][t] = C::madd(isa, first, x[t][0], sums[r][t]);
        }
        for t in 0..T {
            sums[r][t] = C::madd(isa, second, x[t][1], sums[r][t]);
        }
    }
}
