//! Rotation by position and append to the paged cache, with and without a bias.

use std::marker::PhantomData;
use std::ops::Range;

use half::{bf16, f16};
use qwarp::backend::cpu::rope::RopeTable;
use qwarp::backend::cpu::{elementwise, reference};
use qwarp::backend::gpu::launch::{self, RopeType};
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::driver::{DriverError, Target};
use qwarp::dtype::DType;
use qwarp::shape::Heads;

use super::number::{Real, rounded, values, wide};
use super::{Case, Device, Model, Op, Output, RowRange, Work};

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

/// Its cases.
pub const OP: Op = Op { cases, at };

struct RopeAppend<T> {
    rows: RowRange,
    heads: Heads,
    bias: bool,
    matrix: PhantomData<fn() -> T>,
}

/// Every shape with every type, with and without the bias.
fn cases() -> Vec<Box<dyn Case>> {
    fn of<T: Real + RopeType>(bias: bool) -> impl Iterator<Item = Box<dyn Case>> {
        SHAPES
            .iter()
            .map(move |&(tokens, query, kv, dim)| -> Box<dyn Case> {
                Box::new(RopeAppend::<T> {
                    rows: RowRange::first(tokens),
                    heads: Heads { query, kv, dim },
                    bias,
                    matrix: PhantomData,
                })
            })
    }
    let biased = of::<f16>(true).chain(of::<bf16>(true));
    of::<f16>(false)
        .chain(of::<bf16>(false))
        .chain(biased)
        .collect()
}

/// At the sizes of a model.
fn at(model: &Model, rows: usize) -> Vec<Box<dyn Case>> {
    fn of<T: Real + RopeType>(rows: usize, heads: Heads, bias: bool) -> Box<dyn Case> {
        Box::new(RopeAppend::<T> {
            rows: RowRange::first(rows),
            heads,
            bias,
            matrix: PhantomData,
        })
    }
    let each = |bias| {
        [
            of::<f16>(rows, model.heads, bias),
            of::<bf16>(rows, model.heads, bias),
        ]
    };
    [false, true].into_iter().flat_map(each).collect()
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

/// q, keys and values after the launch.
struct Results {
    q: Vec<f64>,
    keys: Vec<f64>,
    values: Vec<f64>,
}

/// What a case starts from.
struct Inputs<T> {
    qkv: Vec<f32>,
    bias: Vec<f32>,
    cos_sin: Vec<f32>,
    keys: Vec<T>,
    values: Vec<T>,
}

impl<T: Real + RopeType> RopeAppend<T> {
    fn tokens(&self) -> Range<usize> {
        self.rows.first..self.rows.first + self.rows.count
    }

    /// The cosines and sines that a backend gives the kernel.
    fn cos_sin(&self) -> Vec<f32> {
        let mut table = RopeTable::new(self.heads.dim, THETA, self.rows.count);
        // Scattered over contexts of up to 32,768 positions.
        let positions: Vec<u32> = self
            .tokens()
            .map(|t| (t * 1009 + 3) as u32 % 32_768)
            .collect();
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

    fn inputs(&self) -> Inputs<T> {
        let (rows, heads) = (self.rows, self.heads);
        let cols = heads.q_dim() + 2 * heads.kv_dim();
        let cache_len = self.blocks() * heads.kv * BLOCK_SIZE * heads.dim;
        let cache = |seed| {
            values(0..cache_len, seed)
                .into_iter()
                .map(T::round)
                .collect()
        };
        Inputs {
            qkv: rows.values(cols, 7),
            // Larger than what it is added to, as Qwen2's are.
            bias: values(0..cols, 8).iter().map(|x| x * 4.0).collect(),
            cos_sin: self.cos_sin(),
            keys: cache(9),
            values: cache(10),
        }
    }

    /// A row of q, k and v by the reference: sum in f64, then rotation of q and k.
    fn by_reference(&self, qkv: &[f32], bias: &[f32], angles: &[f32]) -> Vec<f64> {
        let heads = self.heads;
        let bias = wide(bias)
            .into_iter()
            .map(|b| if self.bias { b } else { 0.0 });
        let x: Vec<f64> = wide(qkv).iter().zip(bias).map(|(x, b)| x + b).collect();
        let (turned, value) = x.split_at(heads.q_dim() + heads.kv_dim());
        let (cos, sin) = angles.split_at(heads.dim / 2);
        let sin_cos = |i: usize| (f64::from(sin[i]), f64::from(cos[i]));
        [&reference::rotate(turned, heads.dim, sin_cos), value].concat()
    }

    /// The same as the CPU backend computes it, rounded to the matrix type.
    fn on_cpu(&self, qkv: &[f32], bias: &[f32], angles: &[f32]) -> Vec<f64> {
        let heads = self.heads;
        let bias = bias.iter().map(|b| if self.bias { *b } else { 0.0 });
        let mut x: Vec<f32> = qkv.iter().zip(bias).map(|(x, b)| x + b).collect();
        let (cos, sin) = angles.split_at(heads.dim / 2);
        for head in x[..heads.q_dim() + heads.kv_dim()].chunks_mut(heads.dim) {
            elementwise::rotate(head, cos, sin);
        }
        rounded::<T>(&x)
    }

    /// All tokens through `row`, keys and values put into the cache.
    fn results(
        &self,
        inputs: &Inputs<T>,
        row: impl Fn(&[f32], &[f32], &[f32]) -> Vec<f64>,
    ) -> Results {
        let heads = self.heads;
        let cache = |before: &[T]| Cache {
            heads,
            data: wide(before),
        };
        let (mut keys, mut values) = (cache(&inputs.keys), cache(&inputs.values));
        let mut q = Vec::new();
        let rows = inputs.qkv.chunks(inputs.bias.len());
        let angles = inputs.cos_sin.chunks(heads.dim);
        for ((qkv, angles), slot) in rows.zip(angles).zip(self.slots()) {
            let row = row(qkv, &inputs.bias, angles);
            let (query, kv) = row.split_at(heads.q_dim());
            let (key, value) = kv.split_at(heads.kv_dim());
            q.extend_from_slice(query);
            keys.put(slot as usize, key);
            values.put(slot as usize, value);
        }
        Results {
            q,
            keys: keys.data,
            values: values.data,
        }
    }
}

impl<T: Real + RopeType> Case for RopeAppend<T> {
    fn op(&self) -> &'static str {
        if self.bias {
            "bias_rope_append"
        } else {
            "rope_append"
        }
    }

    fn name(&self) -> String {
        let (op, rows, heads, dtype) = (self.op(), self.rows, self.heads, T::DTYPE);
        format!("{op} {dtype}, {rows:?}, {heads:?}")
    }

    fn runs_on(&self, target: Target) -> bool {
        T::runs_on(target)
    }

    fn dtype(&self) -> DType {
        T::DTYPE
    }

    fn rows(&self) -> RowRange {
        self.rows
    }

    fn with_rows(&self, rows: RowRange) -> Box<dyn Case> {
        Box::new(RopeAppend::<T> { rows, ..*self })
    }

    fn with_width(&self, n: usize) -> Box<dyn Case> {
        let heads = Heads {
            dim: 2 * n,
            ..self.heads
        };
        Box::new(RopeAppend::<T> { heads, ..*self })
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let (tokens, heads) = (self.rows.count, self.heads);
        let inputs = self.inputs();
        let rope = launch::RopeAppend {
            tokens,
            heads,
            blocks: self.blocks(),
            qkv: device.input(&inputs.qkv)?,
            cos_sin: device.input(&inputs.cos_sin)?,
            slot_mapping: device.input(&self.slots())?,
            q: device.output::<T>(tokens * heads.q_dim())?,
            keys: device.in_out(&inputs.keys)?,
            values: device.in_out(&inputs.values)?,
        };
        let launch = if self.bias {
            let bias = device.input(&inputs.bias)?;
            launch::BiasRopeAppend { rope, bias }.launch(device.kernels)?
        } else {
            rope.launch(device.kernels)?
        };
        let cols = inputs.bias.len();
        Ok(Work {
            launches: vec![launch],
            floor_bytes: tokens * (cols * (4 + size_of::<T>()) + heads.dim * 4 + 4)
                + usize::from(self.bias) * cols * 4,
            outputs: Box::new(move || {
                let expected = self.results(&inputs, |x, bias, angles| {
                    self.by_reference(x, bias, angles)
                });
                let cpu = self.results(&inputs, |x, bias, angles| self.on_cpu(x, bias, angles));
                let output = |name, ptr, expected, cpu| {
                    Output::new::<T>(name, ptr, expected, T::rounded_once()).equal_to_cpu(cpu)
                };
                vec![
                    output("q", rope.q.ptr, expected.q, cpu.q).in_rows(tokens),
                    output("keys", rope.keys.ptr, expected.keys, cpu.keys),
                    output("values", rope.values.ptr, expected.values, cpu.values),
                ]
            }),
        })
    }
}
