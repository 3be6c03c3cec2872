//! Rotation by position and append to the paged cache, with and without a bias.

use std::marker::PhantomData;
use std::ops::Range;

use half::{bf16, f16};
use qwarp::backend::cpu::reference;
use qwarp::backend::cpu::rope::RopeTable;
use qwarp::backend::gpu::launch::{self, RopeType};
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::driver::{DriverError, Target};
use qwarp::shape::Heads;

use super::number::{Real, values, wide};
use super::{Case, Device, Output, RowRange, Work};

const THETA: f64 = 1e6;

/// Tokens, query heads, KV heads, width. A CTA takes 128 work items of eight elements.
const SHAPES: [(usize, usize, usize, usize); 46] = [
    (1, 1, 1, 2),
    (3, 2, 1, 2),
    (2, 1, 1, 4),
    (5, 3, 1, 6),
    (2, 3, 3, 8),
    (17, 3, 3, 10),
    (2, 5, 1, 12),
    (4, 4, 2, 14),
    (3, 7, 1, 16),
    (2, 6, 2, 18),
    (1, 9, 3, 20),
    (33, 2, 1, 22),
    (2, 4, 4, 24),
    (3, 5, 5, 26),
    (2, 8, 2, 30),
    (4, 8, 1, 32),
    (1, 7, 7, 34),
    (2, 14, 2, 36),
    (3, 4, 1, 38),
    (2, 10, 2, 40),
    (1, 16, 4, 42),
    (2, 3, 1, 48),
    (16, 2, 2, 50),
    (3, 12, 4, 56),
    (2, 5, 1, 58),
    (2, 6, 6, 62),
    (1, 14, 2, 64),
    (5, 14, 2, 64),
    (18, 14, 2, 64),
    (2, 7, 1, 66),
    (1, 31, 1, 62),
    (1, 63, 1, 16),
    (2, 64, 1, 14),
    (3, 6, 2, 72),
    (2, 16, 16, 80),
    (1, 12, 3, 90),
    (2, 32, 8, 96),
    (2, 3, 1, 126),
    (1, 12, 2, 128),
    (4, 12, 2, 128),
    (17, 12, 2, 128),
    (1, 28, 4, 128),
    (3, 28, 4, 128),
    (2, 40, 8, 128),
    (1, 5, 1, 130),
    (2, 8, 4, 256),
];

struct RopeAppend<T> {
    rows: RowRange,
    heads: Heads,
    bias: bool,
    matrix: PhantomData<fn() -> T>,
}

/// Every shape with every type, with and without the bias.
pub fn cases() -> Vec<Box<dyn Case>> {
    fn of<T: Real + RopeType>(bias: bool) -> impl Iterator<Item = Box<dyn Case>> {
        SHAPES.iter().map(move |&(tokens, query, kv, dim)| -> Box<dyn Case> {
            Box::new(RopeAppend::<T> {
                rows: RowRange::first(tokens),
                heads: Heads { query, kv, dim },
                bias,
                matrix: PhantomData,
            })
        })
    }
    let biased = of::<f16>(true).chain(of::<bf16>(true));
    of::<f16>(false).chain(of::<bf16>(false)).chain(biased).collect()
}

/// A layer's cache as the kernels keep it, `(blocks, kv heads, 16, dim)`, in f64.
struct Cache {
    heads: Heads,
    data: Vec<f64>,
}

impl Cache {
    /// Puts the row `(kv heads, dim)` of one token at its slot.
    fn put(&mut self, slot: usize, row: &[f64]) {
        let Heads { kv, dim, .. } = self.heads;
        for (head, x) in row.chunks(dim).enumerate() {
            let at = ((slot / BLOCK_SIZE * kv + head) * BLOCK_SIZE + slot % BLOCK_SIZE) * dim;
            self.data[at..at + dim].copy_from_slice(x);
        }
    }
}

/// What a case computes: q, keys and values.
struct Expected {
    q: Vec<f64>,
    keys: Vec<f64>,
    values: Vec<f64>,
}

impl<T: Real + RopeType> RopeAppend<T> {
    fn tokens(&self) -> Range<usize> {
        self.rows.first..self.rows.first + self.rows.count
    }

    /// The cosines and sines that a backend gives the kernel.
    fn cos_sin(&self) -> Vec<f32> {
        let mut table = RopeTable::new(self.heads.dim, THETA, self.rows.count);
        // Scattered over contexts of up to 32,768 positions.
        let positions: Vec<u32> = self.tokens().map(|t| (t * 1009 + 3) as u32 % 32_768).collect();
        table.fill(&positions);
        let row = |t: usize| {
            let (cos, sin) = table.angles(t);
            [cos, sin].concat()
        };
        (0..self.rows.count).flat_map(row).collect()
    }

    fn blocks(&self) -> usize {
        (self.tokens().end + 3).div_ceil(BLOCK_SIZE) + 1
    }

    /// From position 3 on, in blocks that are not in order.
    fn slots(&self) -> Vec<u32> {
        let slot = |t: usize| {
            let (block, offset) = ((t + 3) / BLOCK_SIZE, (t + 3) % BLOCK_SIZE);
            ((self.blocks() - 1 - block) * BLOCK_SIZE + offset) as u32
        };
        self.tokens().map(slot).collect()
    }

    fn expected(&self, qkv: &[f32], bias: &[f32], cos_sin: &[f32], before: [&[T]; 2]) -> Expected {
        let (heads, cols) = (self.heads, bias.len());
        let [mut keys, mut values] = before.map(|cache| Cache {
            heads,
            data: wide(cache),
        });
        let mut q = Vec::new();
        for (t, (qkv, slot)) in qkv.chunks(cols).zip(self.slots()).enumerate() {
            let bias = wide(bias).into_iter().map(|b| if self.bias { b } else { 0.0 });
            let x: Vec<f64> = wide(qkv).iter().zip(bias).map(|(x, b)| x + b).collect();
            let (turned, value) = x.split_at(heads.q_dim() + heads.kv_dim());
            let angles = &cos_sin[t * heads.dim..(t + 1) * heads.dim];
            let (cos, sin) = angles.split_at(heads.dim / 2);
            let sin_cos = |i: usize| (f64::from(sin[i]), f64::from(cos[i]));
            let turned = reference::rotate(turned, heads.dim, sin_cos);
            q.extend_from_slice(&turned[..heads.q_dim()]);
            keys.put(slot as usize, &turned[heads.q_dim()..]);
            values.put(slot as usize, value);
        }
        Expected {
            q,
            keys: keys.data,
            values: values.data,
        }
    }
}

impl<T: Real + RopeType> Case for RopeAppend<T> {
    fn op(&self) -> &'static str {
        if self.bias { "bias_rope_append" } else { "rope_append" }
    }

    fn name(&self) -> String {
        let (op, rows, heads, dtype) = (self.op(), self.rows, self.heads, T::DTYPE);
        format!("{op} {dtype}, {rows:?}, {heads:?}")
    }

    fn runs_on(&self, target: Target) -> bool {
        T::runs_on(target)
    }

    fn rows(&self) -> RowRange {
        self.rows
    }

    fn with_rows(&self, rows: RowRange) -> Box<dyn Case> {
        Box::new(RopeAppend::<T> { rows, ..*self })
    }

    fn prepare(&self, device: &Device<'_>) -> Result<Work, DriverError> {
        let (tokens, heads, blocks) = (self.rows.count, self.heads, self.blocks());
        let cols = heads.q_dim() + 2 * heads.kv_dim();
        let cache_len = blocks * heads.kv * BLOCK_SIZE * heads.dim;
        let qkv = self.rows.values(cols, 7);
        // Larger than what it is added to, as Qwen2's are.
        let bias: Vec<f32> = values(0..cols, 8).iter().map(|x| x * 4.0).collect();
        let cos_sin = self.cos_sin();
        let before = [9, 10].map(|seed| {
            let values = values(0..cache_len, seed);
            values.into_iter().map(T::round).collect::<Vec<T>>()
        });
        let expected = self.expected(&qkv, &bias, &cos_sin, [&before[0], &before[1]]);
        let rope = launch::RopeAppend {
            tokens,
            heads,
            blocks,
            qkv: device.input(&qkv)?,
            cos_sin: device.input(&cos_sin)?,
            slot_mapping: device.input(&self.slots())?,
            q: device.output::<T>(tokens * heads.q_dim())?,
            keys: device.in_out(&before[0])?,
            values: device.in_out(&before[1])?,
        };
        let launch = if self.bias {
            let bias = device.input(&bias)?;
            launch::BiasRopeAppend { rope, bias }.launch(device.kernels)?
        } else {
            rope.launch(device.kernels)?
        };
        let bound = T::rounded_once();
        Ok(Work {
            launches: vec![launch],
            outputs: vec![
                Output::new::<T>("q", rope.q.ptr, expected.q, bound).in_rows(tokens),
                Output::new::<T>("keys", rope.keys.ptr, expected.keys, bound),
                Output::new::<T>("values", rope.values.ptr, expected.values, bound),
            ],
            floor_bytes: tokens * (cols * (4 + size_of::<T>()) + heads.dim * 4 + 4)
                + usize::from(self.bias) * cols * 4,
        })
    }
}
