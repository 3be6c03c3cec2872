//! Attention's written definition (`backend/cpu/attention.rs`), spelled out once more in plain scalar code, against every SIMD
//! path: equal bit for bit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use half::{bf16, f16};
use qwarp::backend::cpu::attention::{Attention, CHUNK, Query, TILE, scratch_len};
use qwarp::backend::cpu::element::{Element, StoredFor};
use qwarp::backend::cpu::exp::exp;
use qwarp::backend::cpu::kv_cache::KvCache;
use qwarp::backend::cpu::simd::{Isa, Kernel, LANES, Path};
use qwarp::backend::rng::philox;
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::shape::Heads;

fn values(count: usize, seed: u32) -> Vec<f32> {
    (0..count)
        .map(|i| (philox([i as u32, 2, 0, 0], [seed, 0])[0] as f32 / u32::MAX as f32 - 0.5) * 3.0)
        .collect()
}

/// One exponential, by the engine's own function, whose bits `tests/definition.rs` pins.
fn exp1(x: f32) -> f32 {
    struct One<'a>(f32, &'a mut f32);
    impl Kernel for One<'_> {
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            let mut lanes = [0.0; LANES];
            isa.store(exp(isa, isa.splat(self.0)), &mut lanes);
            *self.1 = lanes[0];
        }
    }
    let mut out = f32::NAN;
    Path::Portable.run(One(x, &mut out));
    out
}

fn tree(mut lanes: [f32; 16]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// One chain over pairs, each pair in the order of `PASS`; products of rounded operands, added one by one.
fn chain<C: Element>(count: usize, product: impl Fn(usize) -> f32) -> f32 {
    let mut sum = 0f32;
    for pair in 0..count.div_ceil(2) {
        for which in C::PASS {
            let i = 2 * pair + which;
            if i < count {
                sum += product(i);
            }
        }
    }
    sum
}

/// The definition, for one query row that sees all of `keys` and `values`, which are `(positions, dim)`.
fn define<C: Element>(q: &[C], keys: &[C], values: &[C]) -> Vec<f32> {
    let dim = q.len();
    let scale = C::UNSCALE * (1.0 / (dim as f32).sqrt());
    let scaled = |x: C| x.widen() * C::SCALE;
    let mut state: Option<(f32, f32, Vec<f32>)> = None;
    for (keys, values) in keys.chunks(CHUNK * dim).zip(values.chunks(CHUNK * dim)) {
        let score = |key: &[C]| chain::<C>(dim, |d| scaled(q[d]) * key[d].widen()) * scale;
        let scores: Vec<f32> = keys.chunks(dim).map(score).collect();
        let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<C> = scores
            .iter()
            .map(|score| C::round(exp1(score - max)))
            .collect();
        let mut lanes = [0f32; 16];
        for (j, weight) in weights.iter().enumerate() {
            lanes[j % 16] += weight.widen();
        }
        let weigh = |d: usize| {
            chain::<C>(weights.len(), |j| {
                scaled(weights[j]) * values[j * dim + d].widen()
            })
        };
        let chunk = (max, tree(lanes), (0..dim).map(weigh).collect::<Vec<f32>>());
        state = Some(match state {
            None => chunk,
            Some((old_max, old_sum, old_out)) => {
                let max = old_max.max(chunk.0);
                let (old, new) = (exp1(old_max - max), exp1(chunk.0 - max));
                let out = old_out
                    .iter()
                    .zip(&chunk.2)
                    .map(|(a, b)| a * old + b * new)
                    .collect();
                (max, old_sum * old + chunk.1 * new, out)
            }
        });
    }
    let (_, sum, out) = state.unwrap();
    out.iter().map(|x| x * C::UNSCALE / sum).collect()
}

fn every_path<C: Element + StoredFor<C>>() {
    let mut compared = 0;
    for (dim, positions) in [(2, 5), (10, 16), (64, 256), (64, 257), (128, 530), (6, 800)] {
        let rounded = |seed| -> Vec<C> {
            values(positions * dim, seed)
                .into_iter()
                .map(C::round)
                .collect()
        };
        let (keys, cached_values) = (rounded(1), rounded(2));
        let blocks = positions.div_ceil(BLOCK_SIZE);
        // Blocks stand in reverse, so that an index that skips the table shows.
        let table: Vec<u32> = (0..blocks as u32).rev().collect();
        let cache = KvCache::new(
            1,
            Heads {
                query: 1,
                kv: 1,
                dim,
            },
            blocks,
            size_of::<C>(),
        )
        .unwrap();
        for p in 0..positions {
            let slot = table[p / BLOCK_SIZE] as usize * BLOCK_SIZE + p % BLOCK_SIZE;
            let wide = |row: &[C]| {
                row[p * dim..(p + 1) * dim]
                    .iter()
                    .map(|x| x.widen())
                    .collect::<Vec<f32>>()
            };
            // SAFETY: this thread alone uses the cache.
            unsafe { cache.append::<C>(0, slot, 0, &wide(&keys), &wide(&cached_values)) };
        }
        let queries: Vec<Vec<C>> = (0..TILE)
            .map(|r| {
                values(dim, 10 + r as u32)
                    .into_iter()
                    .map(C::round)
                    .collect()
            })
            .collect();
        // Rows of one tile see different numbers of keys, down to one.
        let visible: [usize; TILE] =
            std::array::from_fn(|r| (positions * (TILE - r) / TILE).max(1));
        let expected: Vec<Vec<u32>> = (0..TILE)
            .map(|r| {
                let seen = visible[r] * dim;
                let row = define(&queries[r], &keys[..seen], &cached_values[..seen]);
                row.iter().map(|x| x.to_bits()).collect()
            })
            .collect();
        for path in Path::available() {
            // A single row; strips of four and eight, full, with rows to spare, and one behind another.
            for count in [1, 3, 4, 5, 8, 9, TILE - 1, TILE] {
                let mut out = vec![Vec::new(); count];
                let mut scratch = vec![f32::NAN; scratch_len(dim)];
                let rows: Vec<Query<C>> = (0..count)
                    .map(|r| Query {
                        q: &queries[r],
                        visible: visible[r],
                    })
                    .collect();
                path.run(Attention {
                    queries: &rows,
                    cache: &cache,
                    block_table: &table,
                    layer: 0,
                    head: 0,
                    dim,
                    scratch: &mut scratch,
                    sink: |r: usize, row: &[f32]| out[r] = row.to_vec(),
                });
                let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
                for (r, out) in out.iter().enumerate() {
                    let name = path.name();
                    assert_eq!(
                        bits(out),
                        expected[r],
                        "{name} dim {dim} row {r} of {count}"
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared >= 14 * TILE);
}

#[test]
fn bf16_attention_follows_its_definition() {
    every_path::<bf16>();
}

#[test]
fn f16_attention_follows_its_definition() {
    every_path::<f16>();
}

#[test]
fn f32_attention_follows_its_definition() {
    every_path::<f32>();
}
