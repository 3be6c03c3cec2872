//! What each op means: scalar, f64, written for reading. Every backend is held against this.
//!
//! Values that cross a matrix input or the cache are rounded to the run's type there and nowhere else.

use half::{bf16, f16};

use crate::DType;
use crate::backend::StepInputs;
use crate::graph::Op;
use crate::shape::Heads;

/// Rows of f64.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Elements of a row.
    pub cols: usize,
    /// `(rows, cols)`.
    pub data: Vec<f64>,
}

impl Matrix {
    /// Row `index`.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.data[index * self.cols..(index + 1) * self.cols]
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks(self.cols)
    }

    fn from_rows(cols: usize, rows: impl Iterator<Item = Vec<f64>>) -> Self {
        Matrix {
            cols,
            data: rows.flatten().collect(),
        }
    }
}

/// Keys and values of one layer by slot: `(slots, kv)` each.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Rotated keys.
    pub keys: Matrix,
    /// Values.
    pub values: Matrix,
}

/// `x` rounded to `dtype`, to nearest even, by way of f32: `half` drops the low bits of an f64 before it rounds.
pub fn round(x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::Bf16 => bf16::from_f32(x as f32).to_f64(),
        DType::F16 => f16::from_f32(x as f32).to_f64(),
        DType::F32 => f64::from(x as f32),
    }
}

/// Runs one op. `weights` are the op's own, in the order of its fields (matrix or norm, then bias), matrices as
/// `(rows, cols)` and vectors as one row; `cache` is the layer's.
pub fn run(
    op: &Op,
    inputs: &[Matrix],
    weights: &[Matrix],
    step: &StepInputs,
    cache: &mut Cache,
    dtype: DType,
) -> Matrix {
    let rounded = |matrix: Matrix| Matrix {
        data: matrix.data.iter().map(|&x| round(x, dtype)).collect(),
        ..matrix
    };
    match *op {
        Op::Embed { .. } => embed(&step.token_ids, &weights[0]),
        Op::RmsNorm { eps, .. } => rounded(rms_norm(&inputs[0], weights[0].row(0), f64::from(eps))),
        Op::Linear { bias, .. } => linear(
            &inputs[0],
            &weights[0],
            bias.map(|_| weights[1].row(0)),
            inputs.get(1),
        ),
        Op::RopeAppend { heads, theta, .. } => {
            let q = rope_append(&inputs[0], heads, theta, step, cache, dtype);
            rounded(q)
        }
        Op::Attention { heads, .. } => rounded(attention(&inputs[0], heads, step, cache)),
        Op::SiluMul => rounded(silu_mul(&inputs[0])),
        Op::SelectRows => select_rows(&inputs[0], &step.logit_rows),
    }
}

/// `out[t] = table[token_ids[t]]`.
pub fn embed(token_ids: &[u32], table: &Matrix) -> Matrix {
    Matrix::from_rows(
        table.cols,
        token_ids.iter().map(|&id| table.row(id as usize).to_vec()),
    )
}

/// `out = x / sqrt(mean(x^2) + eps) * weight`.
pub fn rms_norm(x: &Matrix, weight: &[f64], eps: f64) -> Matrix {
    let norm = |row: &[f64]| {
        let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
        row.iter()
            .zip(weight)
            .map(|(x, w)| x / (mean + eps).sqrt() * w)
            .collect()
    };
    Matrix::from_rows(x.cols, x.rows().map(norm))
}

/// `out = residual + (x W^T + bias)`.
pub fn linear(x: &Matrix, w: &Matrix, bias: Option<&[f64]>, residual: Option<&Matrix>) -> Matrix {
    let n = w.data.len() / w.cols;
    let product = |(t, row): (usize, &[f64])| {
        let element = |j: usize| {
            let dot: f64 = row.iter().zip(w.row(j)).map(|(x, w)| x * w).sum();
            residual.map_or(0.0, |residual| residual.row(t)[j])
                + dot
                + bias.map_or(0.0, |bias| bias[j])
        };
        (0..n).map(element).collect()
    };
    Matrix::from_rows(n, x.rows().enumerate().map(product))
}

/// Rotates the heads of q and k, stores k and v at their slots, returns q. Element i of a head pairs with i + dim / 2,
/// at angle position / theta^(2 i / dim).
pub fn rope_append(
    qkv: &Matrix,
    heads: Heads,
    theta: f64,
    step: &StepInputs,
    cache: &mut Cache,
    dtype: DType,
) -> Matrix {
    let rotated = |x: &[f64], t: usize| {
        let position = f64::from(step.positions[t]);
        let angle = |i: usize| position * theta.powf(-2.0 * i as f64 / heads.dim as f64);
        rotate(x, heads.dim, |i| angle(i).sin_cos())
    };
    let token = |(t, row): (usize, &[f64])| {
        let (q, kv) = row.split_at(heads.q_dim());
        let (k, v) = kv.split_at(heads.kv_dim());
        let start = step.slot_mapping[t] as usize * heads.kv_dim();
        for (i, (k, v)) in rotated(k, t).iter().zip(v).enumerate() {
            cache.keys.data[start + i] = round(*k, dtype);
            cache.values.data[start + i] = round(*v, dtype);
        }
        rotated(q, t)
    };
    Matrix::from_rows(heads.q_dim(), qkv.rows().enumerate().map(token))
}

/// Rotates every head of `x`: element i of a head pairs with i + dim / 2, at the angle whose sine and cosine `sin_cos` gives.
pub fn rotate(x: &[f64], dim: usize, sin_cos: impl Fn(usize) -> (f64, f64)) -> Vec<f64> {
    let half = dim / 2;
    let element = |(at, _): (usize, &f64)| {
        let (head, i) = (at / dim * dim, at % dim);
        let (a, b) = (x[head + i % half], x[head + i % half + half]);
        let (sin, cos) = sin_cos(i % half);
        if i < half {
            a * cos - b * sin
        } else {
            b * cos + a * sin
        }
    };
    x.iter().enumerate().map(element).collect()
}

/// Softmax over the keys that a token may see, weighted values; query head h reads KV head h / (query / kv).
pub fn attention(q: &Matrix, heads: Heads, step: &StepInputs, cache: &Cache) -> Matrix {
    let mut out = Vec::new();
    let mut t = 0;
    for span in &step.sequences {
        let table = &step.block_tables[span.table_start..span.table_start + span.table_len];
        let block_size = crate::config::engine::BLOCK_SIZE;
        let slot = |position: usize| {
            table[position / block_size] as usize * block_size + position % block_size
        };
        for i in 0..span.tokens {
            for head in 0..heads.query {
                let q = &q.row(t)[head * heads.dim..(head + 1) * heads.dim];
                let columns =
                    head / heads.group() * heads.dim..(head / heads.group() + 1) * heads.dim;
                let seen: Vec<usize> = (0..=span.cached + i).map(slot).collect();
                out.extend(attend(q, &seen, columns, cache));
            }
            t += 1;
        }
    }
    Matrix {
        cols: heads.q_dim(),
        data: out,
    }
}

fn attend(q: &[f64], slots: &[usize], columns: std::ops::Range<usize>, cache: &Cache) -> Vec<f64> {
    let score = |slot: &usize| {
        let key = &cache.keys.row(*slot)[columns.clone()];
        q.iter().zip(key).map(|(q, k)| q * k).sum::<f64>() / (q.len() as f64).sqrt()
    };
    let scores: Vec<f64> = slots.iter().map(score).collect();
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let value = |d: usize| {
        let weighted = slots
            .iter()
            .zip(&weights)
            .map(|(&slot, weight)| weight * cache.values.row(slot)[d]);
        weighted.sum::<f64>() / sum
    };
    columns.clone().map(value).collect()
}

/// `out = gate / (1 + exp(-gate)) * up`, gate first in each row.
pub fn silu_mul(gate_up: &Matrix) -> Matrix {
    let row = |row: &[f64]| {
        let (gate, up) = row.split_at(row.len() / 2);
        gate.iter()
            .zip(up)
            .map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up)
            .collect()
    };
    Matrix::from_rows(gate_up.cols / 2, gate_up.rows().map(row))
}

/// The rows whose logits are wanted.
pub fn select_rows(x: &Matrix, rows: &[u32]) -> Matrix {
    Matrix::from_rows(x.cols, rows.iter().map(|&row| x.row(row as usize).to_vec()))
}

/// The lowest index of the largest logit. NaN, +inf, and a row without a finite logit have none: see
/// `sampling::largest`.
pub fn argmax(logits: &[f64]) -> Option<usize> {
    let refused = |x: &f64| x.is_nan() || *x == f64::INFINITY;
    if logits.iter().any(refused) {
        return None;
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter().position(|x| *x == largest && x.is_finite())
}
