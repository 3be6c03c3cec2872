//! Causal attention over the paged cache.
//!
//! # Attention, as it is defined
//!
//! For one query row at position p and one head, the keys 0..=p are taken in chunks of 256 positions. Within a chunk:
//!
//! - score: one f32 chain over dimension pairs in the order of `Element::PASS`, times 1 / sqrt(dim); q is rounded to the
//!   matrix type;
//! - m = the largest score; weight = exp(score - m), rounded to the matrix type;
//! - l = the sum of the rounded weights, position j in lane j mod 16, then the tree;
//! - output d = one f32 chain over position pairs in the order of `Element::PASS`.
//!
//! Chunks merge in ascending order: with M = max(m, m'), each side is multiplied by exp(m - M). The output is divided by l.
//! A row's bits depend on its own q and on keys and values 0..=p alone: masked positions get weight zero, which adds
//! nothing, so rows may share tiles.
//!
//! Method: online softmax (Milakov and Gimelshein 2018; Flash-Decoding's split over KV with a fixed split).

use super::element::{Element, GROUP, StoredFor};
use super::exp::{exp, exps};
use super::kv_cache::KvCache;
use super::simd::{Isa, Kernel, LANES, largest, tree_sum};
use crate::config::engine::BLOCK_SIZE;

/// Positions of one chunk: part of the definition.
pub const CHUNK: usize = 256;
/// Query rows of one tile at most: rows of any token and head that share a KV head, and so the reading of its chunks.
pub const TILE: usize = 32;

/// Rows that share registers in the inner loops.
const STRIP: usize = 8;
// Whole strips of either size fill a tile, which `scratch_len` counts on.
const _: () = assert!(TILE.is_multiple_of(STRIP) && STRIP.is_multiple_of(2));

/// One query row of a tile.
#[derive(Clone, Copy)]
pub struct Query<'a, C> {
    /// `(dim)`.
    pub q: &'a [C],
    /// Keys it sees: its position plus one, at least 1.
    pub visible: usize,
}

/// Up to `TILE` query rows against one KV head.
pub struct Attention<'a, C: Element, S: FnMut(usize, &[f32])> {
    /// The rows.
    pub queries: &'a [Query<'a, C>],
    /// Keys and values.
    pub cache: &'a KvCache,
    /// Physical blocks of the sequence.
    pub block_table: &'a [u32],
    /// Which layer.
    pub layer: usize,
    /// Which KV head.
    pub head: usize,
    /// Width of a head.
    pub dim: usize,
    /// Floats, at least `scratch_len(dim)`.
    pub scratch: &'a mut [f32],
    /// Takes (row of the tile, output `(dim)`).
    pub sink: S,
}

/// Floats of scratch that a tile needs for heads of width `dim`.
pub fn scratch_len(dim: usize) -> usize {
    let row = dim.next_multiple_of(LANES);
    // Rows come in whole strips: the last may be filled up.
    TILE * (dim + row) + STRIP * (CHUNK + row)
}

/// Running softmax state of one row.
#[derive(Clone, Copy)]
struct State {
    max: f32,
    sum: f32,
}

impl<C: StoredFor<C> + Element, S: FnMut(usize, &[f32])> Kernel for Attention<'_, C, S> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        // One row: a decode step of a model whose KV heads are not shared. Strips of eight need a wide path's registers.
        match self.queries.len() {
            1 => self.strips::<I, 1>(isa),
            5.. if I::WIDE => self.strips::<I, STRIP>(isa),
            _ => self.strips::<I, { STRIP / 2 }>(isa),
        }
    }
}

impl<C: StoredFor<C> + Element, S: FnMut(usize, &[f32])> Attention<'_, C, S> {
    /// All rows, N at a time, chunk by chunk: a chunk is read from memory once for all strips of the tile.
    #[inline(always)]
    fn strips<I: Isa, const N: usize>(mut self, isa: I) {
        let (dim, row) = (self.dim, self.dim.next_multiple_of(LANES));
        let strips = self.queries.len().div_ceil(N);
        let (q, rest) = std::mem::take(&mut self.scratch).split_at_mut(strips * N * dim);
        let (merged, rest) = rest.split_at_mut(strips * N * row);
        let (weights, rest) = rest.split_at_mut(N * CHUNK);
        let partial = &mut rest[..N * row];
        for (strip, out) in q.chunks_mut(N * dim).enumerate() {
            self.gather::<N>(strip * N, out);
        }
        let mut states = [State {
            max: f32::NEG_INFINITY,
            sum: 0.0,
        }; TILE];
        let longest = self.queries.iter().map(|query| query.visible).max();
        for first in (0..longest.unwrap_or(0)).step_by(CHUNK) {
            for strip in 0..strips {
                let mut seen = [0; N];
                for (r, seen) in seen.iter_mut().enumerate() {
                    *seen = self
                        .query(strip * N + r)
                        .visible
                        .saturating_sub(first)
                        .min(CHUNK);
                }
                let positions = seen
                    .iter()
                    .max()
                    .map_or(0, |&seen| seen.next_multiple_of(BLOCK_SIZE));
                let table = &self.block_table[first / BLOCK_SIZE..][..positions / BLOCK_SIZE];
                let q = q[strip * N * dim..(strip + 1) * N * dim].as_chunks::<N>().0;
                self.scores::<I, N>(isa, table, q, weights);
                let mut chunk = [State {
                    max: f32::NEG_INFINITY,
                    sum: 0.0,
                }; N];
                for r in 0..N {
                    let row = &mut weights[r * CHUNK..r * CHUNK + positions];
                    chunk[r] = softmax::<I, C>(isa, row, seen[r]);
                }
                self.weigh::<I, N>(isa, table, weights, partial);
                let rows = strip * N * row..(strip + 1) * N * row;
                let merged = merged[rows].chunks_mut(row).zip(&mut states[strip * N..]);
                for (r, (merged, state)) in merged.enumerate() {
                    let partial = &partial[r * row..(r + 1) * row];
                    merge(isa, state, merged, chunk[r], partial, first == 0);
                }
            }
        }
        for (r, out) in merged.chunks_mut(row).take(self.queries.len()).enumerate() {
            for x in out.iter_mut() {
                *x = *x * C::UNSCALE / states[r].sum;
            }
            (self.sink)(r, &out[..dim]);
        }
    }

    /// A row of the tile; a short last strip repeats the last one and drops what comes of it.
    #[inline(always)]
    fn query(&self, row: usize) -> &Query<'_, C> {
        &self.queries[row.min(self.queries.len() - 1)]
    }

    /// The queries of a strip as `scores` reads them: dimensions in the order of the passes, rows side by side.
    #[inline(always)]
    fn gather<const N: usize>(&self, first: usize, out: &mut [f32]) {
        for r in 0..N {
            let query = self.query(first + r);
            for (d, out) in out.as_chunks_mut::<N>().0.iter_mut().enumerate() {
                out[r] = query.q[d / 2 * 2 + C::PASS[d % 2]].widen() * C::SCALE;
            }
        }
    }

    /// Scores of the chunk's blocks in `table` for N rows; row r goes to `out[r * CHUNK..]`.
    #[inline(always)]
    fn scores<I: Isa, const N: usize>(
        &self,
        isa: I,
        table: &[u32],
        q: &[[f32; N]],
        out: &mut [f32],
    ) {
        let paired = if I::WIDE { table.len() / 2 * 2 } else { 0 };
        let (pairs, rest) = table.split_at(paired);
        for (b, blocks) in pairs.as_chunks::<2>().0.iter().enumerate() {
            self.score_blocks::<I, N, 2>(isa, *blocks, q, &mut out[2 * b * BLOCK_SIZE..]);
        }
        for (b, block) in rest.iter().enumerate() {
            let out = &mut out[(paired + b) * BLOCK_SIZE..];
            self.score_blocks::<I, N, 1>(isa, [*block], q, out);
        }
    }

    /// Scores of B blocks. Two at a time have enough independent sums to keep two multiply-add units busy.
    #[inline(always)]
    fn score_blocks<I: Isa, const N: usize, const B: usize>(
        &self,
        isa: I,
        blocks: [u32; B],
        q: &[[f32; N]],
        out: &mut [f32],
    ) {
        let mut keys: [&[[C; GROUP]]; B] = [&[]; B];
        for b in 0..B {
            // SAFETY: the step appended its keys before the barrier that precedes attention; nothing writes now.
            let tile = unsafe {
                self.cache
                    .keys::<C>(self.layer, blocks[b] as usize, self.head)
            };
            keys[b] = &tile[..q.len() / 2];
        }
        let scale = isa.splat(C::UNSCALE * (1.0 / (self.dim as f32).sqrt()));
        let mut sums = [[isa.splat(0.0); N]; B];
        for (pair, q) in q.as_chunks::<2>().0.iter().enumerate() {
            let mut key = [(scale, scale); B];
            for b in 0..B {
                key[b] = C::load_group(isa, &keys[b][pair]);
            }
            for r in 0..N {
                let q = isa.splat(q[0][r]);
                for b in 0..B {
                    sums[b][r] = C::madd(isa, key[b].0, q, sums[b][r]);
                }
            }
            for r in 0..N {
                let q = isa.splat(q[1][r]);
                for b in 0..B {
                    sums[b][r] = C::madd(isa, key[b].1, q, sums[b][r]);
                }
            }
        }
        for b in 0..B {
            for r in 0..N {
                let at = r * CHUNK + b * BLOCK_SIZE;
                if let Some(lanes) = out[at..].first_chunk_mut::<LANES>() {
                    isa.store(isa.mul(sums[b][r], scale), lanes);
                }
            }
        }
    }

    /// The chunk's values, weighted and summed, for N rows.
    #[inline(always)]
    fn weigh<I: Isa, const N: usize>(
        &self,
        isa: I,
        table: &[u32],
        weights: &[f32],
        partial: &mut [f32],
    ) {
        let vectors = self.dim.div_ceil(LANES);
        let paired = if I::WIDE { vectors / 2 * 2 } else { 0 };
        for v in (0..paired).step_by(2) {
            self.weigh_vectors::<I, N, 2>(isa, table, weights, v, partial);
        }
        for v in paired..vectors {
            self.weigh_vectors::<I, N, 1>(isa, table, weights, v, partial);
        }
    }

    /// V vectors of dimensions from vector `first` on; two at a time for the same reason as two blocks of scores.
    #[inline(always)]
    fn weigh_vectors<I: Isa, const N: usize, const V: usize>(
        &self,
        isa: I,
        table: &[u32],
        weights: &[f32],
        first: usize,
        partial: &mut [f32],
    ) {
        let vectors = self.dim.div_ceil(LANES);
        let mut sums = [[isa.splat(0.0); N]; V];
        for (b, block) in table.iter().enumerate() {
            // SAFETY: as for the keys.
            let tile = unsafe {
                self.cache
                    .values::<C>(self.layer, *block as usize, self.head)
            };
            let mut rows = [&[0.0; BLOCK_SIZE]; N];
            for r in 0..N {
                if let Some(row) = weights[r * CHUNK + b * BLOCK_SIZE..].first_chunk() {
                    rows[r] = row;
                }
            }
            for pair in 0..BLOCK_SIZE / 2 {
                let groups = &tile[pair * vectors + first..][..V];
                let mut value = [(sums[0][0], sums[0][0]); V];
                for v in 0..V {
                    value[v] = C::load_group(isa, &groups[v]);
                }
                for r in 0..N {
                    let weight = isa.splat(rows[r][2 * pair + C::PASS[0]]);
                    for v in 0..V {
                        sums[v][r] = C::madd(isa, value[v].0, weight, sums[v][r]);
                    }
                }
                for r in 0..N {
                    let weight = isa.splat(rows[r][2 * pair + C::PASS[1]]);
                    for v in 0..V {
                        sums[v][r] = C::madd(isa, value[v].1, weight, sums[v][r]);
                    }
                }
            }
        }
        for v in 0..V {
            for r in 0..N {
                let at = (r * vectors + first + v) * LANES;
                if let Some(lanes) = partial[at..].first_chunk_mut::<LANES>() {
                    isa.store(sums[v][r], lanes);
                }
            }
        }
    }
}

/// Turns the scores of one row into rounded, scaled weights; positions from `seen` on get zero.
#[inline(always)]
fn softmax<I: Isa, C: Element>(isa: I, row: &mut [f32], seen: usize) -> State {
    row[seen..].fill(f32::NEG_INFINITY);
    let lanes = row.as_chunks_mut::<LANES>().0;
    let mut max = isa.splat(f32::NEG_INFINITY);
    for chunk in lanes.iter() {
        max = isa.max(max, isa.load(chunk));
    }
    let max = largest(isa, max);
    // A row that sees nothing of this chunk: any finite base keeps the weights at zero.
    let base = isa.splat(if seen == 0 { 0.0 } else { max });
    let mut sum = isa.splat(0.0);
    let (fours, rest) = lanes.as_chunks_mut::<4>();
    for four in fours {
        sum = weights::<I, C, 4>(isa, four, base, sum);
    }
    for one in rest.as_chunks_mut::<1>().0 {
        sum = weights::<I, C, 1>(isa, one, base, sum);
    }
    State {
        max,
        sum: tree_sum(isa, sum),
    }
}

/// The weights of N vectors of scores, which they replace, scaled; returns the sum with them added in order.
#[inline(always)]
fn weights<I: Isa, C: Element, const N: usize>(
    isa: I,
    scores: &mut [[f32; LANES]; N],
    base: I::V,
    mut sum: I::V,
) -> I::V {
    let mut x = [base; N];
    for i in 0..N {
        x[i] = isa.sub(isa.load(&scores[i]), base);
    }
    let x = exps(isa, x);
    for i in 0..N {
        let weight = C::round_lanes(isa, x[i]);
        sum = isa.add(sum, weight);
        isa.store(isa.mul(weight, isa.splat(C::SCALE)), &mut scores[i]);
    }
    sum
}

/// Merges a chunk into the running state; the first chunk becomes the state as it is.
#[inline(always)]
fn merge<I: Isa>(
    isa: I,
    state: &mut State,
    merged: &mut [f32],
    chunk: State,
    partial: &[f32],
    first: bool,
) {
    if first {
        *state = chunk;
        merged.copy_from_slice(partial);
        return;
    }
    if chunk.max == f32::NEG_INFINITY {
        return;
    }
    let max = state.max.max(chunk.max);
    let mut factors = [0.0; LANES];
    factors[0] = state.max - max;
    factors[1] = chunk.max - max;
    isa.store(exp(isa, isa.load(&factors)), &mut factors);
    let [old, new, ..] = factors;
    for (out, x) in merged.iter_mut().zip(partial) {
        *out = *out * old + *x * new;
    }
    *state = State {
        max,
        sum: state.sum * old + chunk.sum * new,
    };
}
