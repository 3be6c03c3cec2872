//! What a step moves and computes, from shapes alone.
//!
//! Bytes are the least that must pass: weights once, cached keys and values once, and each value that is made once, as
//! it is written, since its reader finds it in cache. FLOPs count an addition, a multiplication, a comparison, an exp
//! and a division as one each.

use super::op::{Op, TensorId, WeightId};
use super::{Graph, Node};
use crate::error::Result;
use crate::limits::Size;
use crate::shape::{Heads, MaxRows, Rows};

/// The rows of one step, and the sequences they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepShape {
    /// T and R.
    pub rows: MaxRows,
    /// (tokens of the step, positions already in the cache) of each sequence.
    pub sequences: Vec<(usize, usize)>,
}

/// The cost of one op, or of a whole step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Bytes of weights read.
    pub weights: u64,
    /// Bytes of cached keys and values, read where they were there before and written where they are new.
    pub cache: u64,
    /// Bytes of activations and logits written.
    pub activations: u64,
    /// Floating-point operations.
    pub flops: u64,
}

impl Cost {
    /// All bytes.
    pub fn bytes(&self) -> Result<u64> {
        let sum = Size::new(self.weights).plus(self.cache, "bytes moved")?;
        Ok(sum.plus(self.activations, "bytes moved")?.get())
    }

    fn plus(self, other: Cost) -> Result<Cost> {
        let add = |a, b, what| Size::new(a).plus(b, what).map(Size::get);
        Ok(Cost {
            weights: add(self.weights, other.weights, "weight bytes moved")?,
            cache: add(self.cache, other.cache, "cache bytes moved")?,
            activations: add(
                self.activations,
                other.activations,
                "activation bytes moved",
            )?,
            flops: add(self.flops, other.flops, "FLOPs")?,
        })
    }
}

impl StepShape {
    /// A step in which each of `sequences` sequences decodes one token and sees `context` keys, its own included.
    pub fn decode(sequences: usize, context: usize) -> Self {
        StepShape {
            rows: MaxRows {
                tokens: sequences,
                logits: sequences,
            },
            sequences: vec![(1, context.saturating_sub(1)); sequences],
        }
    }

    /// The step of `tokens` prompt tokens of one sequence that has `cached` before them.
    pub fn prefill(tokens: usize, cached: usize) -> Self {
        StepShape {
            rows: MaxRows { tokens, logits: 1 },
            sequences: vec![(tokens, cached)],
        }
    }

    fn cached(&self) -> u64 {
        self.sequences
            .iter()
            .map(|(_, cached)| *cached as u64)
            .sum()
    }

    /// Pairs of a token and a key it sees.
    fn visible(&self) -> Result<u64> {
        let mut pairs = Size::new(0);
        for &(tokens, cached) in &self.sequences {
            let (tokens, cached) = (tokens as u64, cached as u64);
            let before = Size::new(tokens).times(cached, "attention pairs")?;
            let own = Size::new(tokens).times(tokens + 1, "attention pairs")?;
            pairs = pairs
                .plus(before.get(), "attention pairs")?
                .plus(own.get() / 2, "attention pairs")?;
        }
        Ok(pairs.get())
    }
}

impl Graph {
    /// The cost of `node` in a step of this shape. `weight_bytes` tells how many bytes a whole weight is as it is read.
    pub fn cost(
        &self,
        node: &Node,
        shape: &StepShape,
        weight_bytes: &dyn Fn(WeightId) -> Result<u64>,
    ) -> Result<Cost> {
        let spec = self.tensors[node.output.0];
        let rows = shape.rows.of(spec.rows) as u64;
        let elements =
            |per: u64| Size::product(&[rows, spec.cols as u64, per], &node.name).map(Size::get);
        let (weights, flops) = match node.op {
            Op::Embed { table } => {
                let table_rows = (self.weights[table.0].rows() as u64).max(1);
                let gathered =
                    Size::new(weight_bytes(table)? / table_rows).times(rows, &node.name)?;
                (gathered.get(), 0)
            }
            // Square, sum, scale, weight.
            Op::RmsNorm { weight, .. } => (weight_bytes(weight)?, elements(4)?),
            Op::Linear { weight, bias } => {
                let k = self.tensors[node.inputs[0].0].cols as u64;
                let k2 = Size::new(k).times(2, &node.name)?.get();
                let added = u64::from(bias.is_some()) + node.inputs.len() as u64 - 1;
                let bias_bytes = bias.map_or(Ok(0), weight_bytes)?;
                let bytes = Size::new(weight_bytes(weight)?).plus(bias_bytes, &node.name)?;
                (bytes.get(), elements(k2 + added)?)
            }
            // Two products and a sum for each element of q and k.
            Op::RopeAppend { heads, .. } => {
                let width = 3 * (heads.q_dim() + heads.kv_dim()) as u64;
                (0, Size::new(rows).times(width, &node.name)?.get())
            }
            Op::Attention { heads, .. } => (0, attention_flops(heads, shape, &node.name)?),
            // exp, sum, division, two products.
            Op::SiluMul => (0, elements(5)?),
            Op::SelectRows => (0, 0),
        };
        Ok(Cost {
            weights,
            cache: self.cache_bytes(node, shape)?,
            activations: self.bytes_at(node.output, shape.rows)?,
            flops,
        })
    }

    /// The cost of a whole step.
    pub fn step_cost(
        &self,
        shape: &StepShape,
        weight_bytes: &dyn Fn(WeightId) -> Result<u64>,
    ) -> Result<Cost> {
        self.nodes.iter().try_fold(Cost::default(), |sum, node| {
            sum.plus(self.cost(node, shape, weight_bytes)?)
        })
    }

    /// Bytes of `tensor` with these rows.
    pub fn bytes_at(&self, tensor: TensorId, rows: MaxRows) -> Result<u64> {
        let spec = self.tensors[tensor.0];
        let bytes = Size::new(rows.of(spec.rows) as u64).times(spec.row_bytes() as u64, "tensor");
        Ok(bytes?.get())
    }

    fn cache_bytes(&self, node: &Node, shape: &StepShape) -> Result<u64> {
        let (heads, positions) = match node.op {
            Op::RopeAppend { heads, .. } => (heads, shape.rows.of(Rows::Tokens) as u64),
            Op::Attention { heads, .. } => (heads, shape.cached()),
            _ => return Ok(0),
        };
        let position = 2 * heads.kv_dim() as u64 * self.matrix.bytes() as u64;
        Ok(Size::new(positions).times(position, &node.name)?.get())
    }
}

/// Scores and outputs take 2 d each for a pair; scaling, maximum, difference, exp and sum take one each.
fn attention_flops(heads: Heads, shape: &StepShape, what: &str) -> Result<u64> {
    let per_pair = heads.query as u64 * (4 * heads.dim as u64 + 5);
    Ok(Size::new(shape.visible()?).times(per_pair, what)?.get())
}
