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
use super::exp::exp;
use super::kv_cache::KvCache;
use super::simd::{Isa, Kernel, LANES, largest, tree_sum};
use crate::config::engine::BLOCK_SIZE;

/// Positions of one chunk: part of the definition.
pub const CHUNK: usize = 256;
/// Query rows of one tile: rows of any token and head that share a KV head.
pub const TILE: usize = 4;

const BLOCKS: usize = CHUNK / BLOCK_SIZE;

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
    /// The rows; a short tile repeats its last row, whose extra results are dropped.
    pub queries: [Query<'a, C>; TILE],
    /// How many are real.
    pub count: usize,
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
    TILE * (dim + CHUNK + 2 * row)
}

/// Running softmax state of one row.
#[derive(Clone, Copy)]
struct State {
    max: f32,
    sum: f32,
}

impl<C: StoredFor<C> + Element, S: FnMut(usize, &[f32])> Kernel for Attention<'_, C, S> {
    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let row = self.dim.next_multiple_of(LANES);
        let (q, rest) = self.scratch.split_at_mut(TILE * self.dim);
        let (weights, rest) = rest.split_at_mut(TILE * CHUNK);
        let (partial, merged) = rest.split_at_mut(TILE * row);
        let merged = &mut merged[..TILE * row];
        for (query, out) in self.queries.iter().zip(q.chunks_mut(self.dim)) {
            for (d, out) in out.iter_mut().enumerate() {
                // Stored in the order the passes want them.
                *out = query.q[d / 2 * 2 + C::PASS[d % 2]].widen() * C::SCALE;
            }
        }
        let visible = self.queries.map(|query| query.visible);
        let longest = visible.into_iter().max().unwrap_or(0);
        let scale = C::UNSCALE * (1.0 / (self.dim as f32).sqrt());
        let mut states = [State {
            max: f32::NEG_INFINITY,
            sum: 0.0,
        }; TILE];
        for first in (0..longest).step_by(CHUNK) {
            let blocks = (longest - first).div_ceil(BLOCK_SIZE).min(BLOCKS);
            let table = &self.block_table[first / BLOCK_SIZE..first / BLOCK_SIZE + blocks];
            for (b, block) in table.iter().enumerate() {
                // SAFETY: the step appended its keys before the barrier that precedes attention; nothing writes now.
                let keys = unsafe { self.cache.keys::<C>(self.layer, *block as usize, self.head) };
                scores::<I, C>(
                    isa,
                    keys,
                    q,
                    self.dim,
                    scale,
                    &mut weights[b * BLOCK_SIZE..],
                );
            }
            let mut chunk = [State {
                max: f32::NEG_INFINITY,
                sum: 0.0,
            }; TILE];
            for r in 0..TILE {
                let seen = visible[r].saturating_sub(first).min(blocks * BLOCK_SIZE);
                chunk[r] = softmax::<I, C>(
                    isa,
                    &mut weights[r * CHUNK..r * CHUNK + blocks * BLOCK_SIZE],
                    seen,
                );
            }
            partial.fill(0.0);
            for (b, block) in table.iter().enumerate() {
                // SAFETY: as above.
                let values = unsafe {
                    self.cache
                        .values::<C>(self.layer, *block as usize, self.head)
                };
                weigh::<I, C>(isa, values, &weights[b * BLOCK_SIZE..], row, partial);
            }
            for r in 0..TILE {
                let (partial, merged) = (
                    &mut partial[r * row..(r + 1) * row],
                    &mut merged[r * row..(r + 1) * row],
                );
                merge::<I>(isa, &mut states[r], merged, chunk[r], partial, first == 0);
            }
        }
        for r in 0..self.count {
            let out = &mut merged[r * row..r * row + self.dim];
            for x in out.iter_mut() {
                *x = *x * C::UNSCALE / states[r].sum;
            }
            (self.sink)(r, out);
        }
    }
}

/// Scores of 16 positions for each row of the tile; row r goes to `out[r * CHUNK..]`.
#[inline(always)]
fn scores<I: Isa, C: Element + StoredFor<C>>(
    isa: I,
    keys: &[[C; GROUP]],
    q: &[f32],
    dim: usize,
    scale: f32,
    out: &mut [f32],
) {
    let mut sums = [isa.splat(0.0); TILE];
    let rows: [&[f32]; TILE] = std::array::from_fn(|r| &q[r * dim..(r + 1) * dim]);
    for (pair, group) in keys.iter().enumerate() {
        let (first, second) = C::load_group(isa, group);
        for r in 0..TILE {
            sums[r] = C::madd(isa, first, isa.splat(rows[r][2 * pair]), sums[r]);
            sums[r] = C::madd(isa, second, isa.splat(rows[r][2 * pair + 1]), sums[r]);
        }
    }
    for r in 0..TILE {
        if let Some(lanes) = out[r * CHUNK..].first_chunk_mut::<LANES>() {
            isa.store(isa.mul(sums[r], isa.splat(scale)), lanes);
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
    let base = if seen == 0 { 0.0 } else { max };
    let mut sum = isa.splat(0.0);
    for chunk in lanes.iter_mut() {
        isa.store(exp(isa, isa.sub(isa.load(chunk), isa.splat(base))), chunk);
        for x in chunk.iter_mut() {
            *x = C::round(*x).widen();
        }
        sum = isa.add(sum, isa.load(chunk));
        isa.store(isa.mul(isa.load(chunk), isa.splat(C::SCALE)), chunk);
    }
    State {
        max,
        sum: tree_sum(isa, sum),
    }
}

/// Adds the values of 16 positions, weighted, to each row's partial output.
#[inline(always)]
fn weigh<I: Isa, C: Element + StoredFor<C>>(
    isa: I,
    values: &[[C; GROUP]],
    weights: &[f32],
    row: usize,
    partial: &mut [f32],
) {
    let vectors = row / LANES;
    for v in 0..vectors {
        let mut sums = [isa.splat(0.0); TILE];
        for r in 0..TILE {
            if let Some(lanes) = partial[r * row + v * LANES..].first_chunk::<LANES>() {
                sums[r] = isa.load(lanes);
            }
        }
        for pair in 0..BLOCK_SIZE / 2 {
            let (first, second) = C::load_group(isa, &values[pair * vectors + v]);
            for r in 0..TILE {
                let weight = |pass: usize| isa.splat(weights[r * CHUNK + 2 * pair + C::PASS[pass]]);
                sums[r] = C::madd(isa, first, weight(0), sums[r]);
                sums[r] = C::madd(isa, second, weight(1), sums[r]);
            }
        }
        for r in 0..TILE {
            if let Some(lanes) = partial[r * row + v * LANES..].first_chunk_mut::<LANES>() {
                isa.store(sums[r], lanes);
            }
        }
    }
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
    let max = if state.max > chunk.max {
        state.max
    } else {
        chunk.max
    };
    let factor = |m: f32| {
        let mut lanes = [0.0; LANES];
        isa.store(exp(isa, isa.splat(m - max)), &mut lanes);
        lanes[0]
    };
    let (old, new) = (factor(state.max), factor(chunk.max));
    for (out, x) in merged.iter_mut().zip(partial) {
        *out = *out * old + *x * new;
    }
    *state = State {
        max,
        sum: state.sum * old + chunk.sum * new,
    };
}
