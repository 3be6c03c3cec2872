//! The product of q, k and v with rotation by position and the append to the paged cache.

use std::marker::PhantomData;
use std::ops::Range;

use half::{bf16, f16};
use qwarp::backend::cpu::reference::{self, Matrix};
use qwarp::backend::cpu::rope::RopeTable;
use qwarp::backend::gpu::launch::{self, LinearRopeType, RopeOut};
use qwarp::backend::gpu::pack::{Packing, Rows, pack};
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::driver::{DriverError, In, Target};
use qwarp::dtype::DType;
use qwarp::shape::Heads;

use super::bound::Bound;
use super::linear::{FEW_TOKENS, SUMS, TOKENS, endings, matrix, rounded, weights};
use super::number::{Real, values, wide};
use super::{Case, Device, Model, Op, Output, RowRange, Work};

const THETA: f64 = 1e6;

const fn heads(query: usize, kv: usize, dim: usize) -> Heads {
    Heads { query, kv, dim }
}

/// Head layouts, in turns. A tile has 16 rows of a head; a CTA of the last two kernels 64 and 128 rows.
const HEADS: [Heads; 9] = [
    heads(1, 1, 64),
    heads(2, 1, 128),
    heads(3, 1, 16),
    heads(2, 2, 64),
    heads(5, 1, 32),
    heads(1, 1, 128),
    heads(3, 3, 48),
    heads(4, 1, 64),
    heads(2, 1, 80),
];

/// Elements of k, for every kernel.
const DEPTHS: [usize; 40] = [
    1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 41, 47, 48, 49, 55, 56, 63, 64, 65, 71, 72,
    73, 79, 80, 81, 88, 95, 96, 97, 100, 104, 111, 112, 113, 127, 128,
];

/// Tokens, heads and elements of k: several chunks of 512, more of them than warps, and the sizes of models.
const SHAPES: [(usize, Heads, usize); 26] = [
    (8, heads(1, 1, 16), 5129),
    (7, heads(1, 1, 16), 5128),
    (16, heads(1, 1, 16), 5129),
    (32, heads(1, 1, 16), 5129),
    (32, heads(1, 1, 16), 4619),
    (8, heads(1, 1, 64), 513),
    (13, heads(1, 1, 64), 1040),
    (32, heads(1, 1, 128), 520),
    (65, heads(2, 1, 64), 555),
    (130, heads(1, 1, 64), 1023),
    (1, heads(14, 2, 64), 896),
    (9, heads(14, 2, 64), 896),
    (2, heads(12, 2, 128), 1536),
    (1, heads(28, 4, 128), 3584),
    (12, heads(5, 1, 64), 896),
    (12, heads(1, 1, 128), 1536),
    (12, heads(1, 1, 128), 3584),
    (24, heads(5, 1, 64), 896),
    (24, heads(1, 1, 128), 1536),
    (24, heads(1, 1, 128), 3584),
    (50, heads(5, 1, 64), 896),
    (50, heads(1, 1, 128), 1536),
    (50, heads(1, 1, 128), 3584),
    (130, heads(5, 1, 64), 896),
    (130, heads(1, 1, 128), 1536),
    (130, heads(1, 1, 128), 3584),
];

/// Its cases.
pub const OP: Op = Op { cases, at };

/// The op at one shape.
pub struct LinearRope<T> {
    pub rows: RowRange,
    pub heads: Heads,
    pub k: usize,
    pub bias: bool,
    pub(super) of: PhantomData<fn() -> T>,
}

impl<T> LinearRope<T> {
    pub fn new(rows: usize, heads: Heads, k: usize, bias: bool) -> Self {
        LinearRope {
            rows: RowRange::first(rows),
            heads,
            k,
            bias,
            of: PhantomData,
        }
    }
}

/// Every shape with every type; a bias in three of four, so that every layout has none at some shape.
fn cases() -> Vec<Box<dyn Case>> {
    fn of<T: Real + LinearRopeType>() -> impl Iterator<Item = Box<dyn Case>> {
        let small = TOKENS.iter().flat_map(|tokens| {
            let layouts = HEADS.iter().cycle().zip(tokens.iter().cycle());
            let sizes = DEPTHS.iter().zip(layouts);
            sizes.map(|(&k, (&heads, &tokens))| (tokens, heads, k))
        });
        let endings = FEW_TOKENS
            .iter()
            .flat_map(|&tokens| endings().map(move |k| (tokens, heads(1, 1, 16), k)));
        let all = small.chain(SHAPES).chain(endings).enumerate();
        all.map(|(i, (tokens, heads, k))| -> Box<dyn Case> {
            Box::new(LinearRope::<T>::new(tokens, heads, k, i % 4 != 1))
        })
    }
    of::<f16>().chain(of::<bf16>()).collect()
}

/// At the sizes of a model.
fn at(model: &Model, rows: usize) -> Vec<Box<dyn Case>> {
    fn of<T: Real + LinearRopeType>(m: &Model, rows: usize) -> Box<dyn Case> {
        Box::new(LinearRope::<T>::new(rows, m.heads, m.hidden, true))
    }
    vec![of::<f16>(model, rows), of::<bf16>(model, rows)]
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
pub struct Inputs<T> {
    pub x: Vec<T>,
    pub w: Vec<T>,
    pub bias: Vec<f32>,
    pub cos_sin: Vec<f32>,
    pub slots: Vec<u32>,
    pub keys: Vec<T>,
    pub values: Vec<T>,
}

impl<T: Real + LinearRopeType> LinearRope<T> {
    /// Rows of the matrix.
    pub fn n(&self) -> usize {
        self.heads.q_dim() + 2 * self.heads.kv_dim()
    }

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

    pub fn inputs(&self) -> Inputs<T> {
        let (n, heads) = (self.n(), self.heads);
        let cache_len = self.blocks() * heads.kv * BLOCK_SIZE * heads.dim;
        Inputs {
            x: rounded(&self.rows.values(self.k, 7)),
            w: weights(n, self.k, 11),
            // Larger than what it is added to, as Qwen2's are.
            bias: values(0..n, 8).iter().map(|x| x * 4.0).collect(),
            cos_sin: self.cos_sin(),
            slots: self.slots(),
            keys: rounded(&values(0..cache_len, 9)),
            values: rounded(&values(0..cache_len, 10)),
        }
    }

    /// The matrix in the order of heads, on the device.
    pub fn packed(&self, device: &Device<'_>, w: &[T]) -> Result<In<T>, DriverError> {
        let heads = Packing::Heads {
            dim: self.heads.dim,
        };
        device.input(&pack(&Rows::new(heads, self.k, &[w]), |x| x))
    }

    /// Bytes that any implementation has to move, but for x.
    pub fn bytes_beside_x(&self) -> usize {
        let (tokens, n) = (self.rows.count, self.n());
        n * (self.k + tokens) * size_of::<T>()
            + tokens * (self.heads.dim * 4 + 4)
            + usize::from(self.bias) * n * 4
    }

    /// The output's buffers.
    pub fn out(&self, device: &Device<'_>, inputs: &Inputs<T>) -> Result<RopeOut<T>, DriverError> {
        Ok(RopeOut {
            heads: self.heads,
            blocks: self.blocks(),
            bias: match self.bias {
                true => Some(device.input(&inputs.bias)?),
                false => None,
            },
            cos_sin: device.input(&inputs.cos_sin)?,
            slot_mapping: device.input(&inputs.slots)?,
            q: device.output(self.rows.count * self.heads.q_dim())?,
            keys: device.in_out(&inputs.keys)?,
            values: device.in_out(&inputs.values)?,
        })
    }

    /// What must stand in the output's buffers for x of `x`: sums in f64, then rotation of q and k.
    pub fn outputs(
        &self,
        inputs: &Inputs<T>,
        x: &Matrix,
        rope: &RopeOut<T>,
        bound: Bound,
    ) -> Vec<Output> {
        let heads = self.heads;
        let bias = self.bias.then(|| wide(&inputs.bias));
        let qkv = reference::linear(x, &matrix(self.k, &inputs.w), bias.as_deref(), None);
        let rows = qkv.rows().zip(inputs.cos_sin.chunks(heads.dim));
        let rows = rows.map(|(row, angles)| {
            let (turned, value) = row.split_at(heads.q_dim() + heads.kv_dim());
            let (cos, sin) = angles.split_at(heads.dim / 2);
            let sin_cos = |i: usize| (f64::from(sin[i]), f64::from(cos[i]));
            [&reference::rotate(turned, heads.dim, sin_cos), value].concat()
        });
        let expected = self.results(inputs, rows);
        let output = |name, ptr, expected| Output::new::<T>(name, ptr, expected, bound);
        vec![
            output("q", rope.q.ptr, expected.q).in_rows(self.rows.count),
            output("keys", rope.keys.ptr, expected.keys),
            output("values", rope.values.ptr, expected.values),
        ]
    }

    /// Rows of q, k and v where they belong.
    fn results(&self, inputs: &Inputs<T>, rows: impl Iterator<Item = Vec<f64>>) -> Results {
        let heads = self.heads;
        let cache = |before: &[T]| Cache {
            heads,
            data: wide(before),
        };
        let (mut keys, mut values) = (cache(&inputs.keys), cache(&inputs.values));
        let mut q = Vec::new();
        for (row, slot) in rows.zip(&inputs.slots) {
            let (query, kv) = row.split_at(heads.q_dim());
            let (key, value) = kv.split_at(heads.kv_dim());
            q.extend_from_slice(query);
            keys.put(*slot as usize, key);
            values.put(*slot as usize, value);
        }
        Results {
            q,
            keys: keys.data,
            values: values.data,
        }
    }
}

impl<T: Real + LinearRopeType> Case for LinearRope<T> {
    fn op(&self) -> &'static str {
        "linear_rope_append"
    }

    fn name(&self) -> String {
        let LinearRope { rows, heads, k, .. } = *self;
        let (op, dtype, bias) = (self.op(), T::DTYPE, self.bias);
        format!("{op} {dtype}, {rows:?}, {heads:?}, k {k}, bias {bias}")
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
        Box::new(LinearRope::<T> { rows, ..*self })
    }

    fn with_width(&self, k: usize) -> Box<dyn Case> {
        Box::new(LinearRope::<T> { k, ..*self })
    }

    fn floor_bytes(&self) -> usize {
        self.rows.count * self.k * size_of::<T>() + self.bytes_beside_x()
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let (tokens, k) = (self.rows.count, self.k);
        let inputs = self.inputs();
        let rope = self.out(device, &inputs)?;
        // What SUMS allows of both of a pair, of rows that the bias makes larger than the sums, and one rounding.
        let bound = Bound {
            atol: 4.0 * SUMS.atol,
            nmse: 1.1 * T::HALF_ULP.powi(2),
            ..T::rounded_once()
        };
        let launch = launch::LinearRopeAppend {
            tokens,
            k,
            x: device.input(&inputs.x)?,
            weights: self.packed(device, &inputs.w)?,
            rope,
        };
        Ok(Work {
            launches: vec![launch.launch(device.kernels)?],
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || self.outputs(&inputs, &matrix(k, &inputs.x), &rope, bound)),
        })
    }
}
