//! Every operation a plan can hold, its attributes, and the rule that gives its output's shape.
//!
//! The semantics of each op are `backend::cpu::reference`.

use crate::DType;
use crate::error::{Error, Result};
use crate::limits::Size;
use crate::shape::{Heads, Rows};

/// A tensor of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// A weight of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub usize);

/// What a graph knows of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorSpec {
    /// The row dimension.
    pub rows: Rows,
    /// Elements of one row.
    pub cols: usize,
    /// Element type: f32, or the run's matrix-input type.
    pub dtype: DType,
}

impl TensorSpec {
    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.cols * self.dtype.bytes()
    }
}

/// What a graph knows of a weight: checkpoint tensors stacked by rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightSpec {
    /// Name in plans and errors, such as `layers.3.qkv`.
    pub name: String,
    /// Checkpoint tensor names and their rows, in order.
    pub parts: Vec<(String, usize)>,
    /// Row length; `None` for a vector, whose parts are then counted in elements.
    pub cols: Option<usize>,
    /// Whether rows are gathered or multiplied in the matrix type, or read as f32 (norms and biases).
    pub kind: WeightKind,
}

/// How a weight is used, which decides the type it is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightKind {
    /// Rows of a matrix product, in the matrix-input type.
    Matrix,
    /// Rows that are only gathered (an untied embedding), in the type they are stored in.
    Table,
    /// A norm weight or a bias, in f32.
    Vector,
}

impl WeightSpec {
    /// Rows (matrix) or elements (vector) of all parts.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(|(_, rows)| rows).sum()
    }

    /// Bytes of all parts in elements of `dtype`.
    pub fn bytes(&self, dtype: DType) -> Result<u64> {
        let cols = self.cols.unwrap_or(1) as u64;
        let dims = [self.rows() as u64, cols, dtype.bytes() as u64];
        Ok(Size::product(&dims, &self.name)?.get())
    }
}

/// An operation. Inputs are listed by the node that holds it; weights and attributes stand here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// `out[t] = table[token_ids[t]]`. No inputs. `(T, hidden)` f32.
    Embed {
        /// `(vocab, hidden)`.
        table: WeightId,
    },
    /// `out = x / sqrt(mean(x^2) + eps) * weight`, rounded once to the matrix-input type. Input `x (rows, n)`.
    RmsNorm {
        /// `(n)`.
        weight: WeightId,
        /// Added to the mean square.
        eps: f32,
    },
    /// `out = x W^T + bias`, or `out = residual + (x W^T + bias)` with a second input, which may be overwritten.
    Linear {
        /// `(n, k)`.
        weight: WeightId,
        /// `(n)`.
        bias: Option<WeightId>,
    },
    /// Rotates q and k of `qkv (T, q + 2 kv)` by position, appends k and v to the cache, returns q `(T, q)`.
    RopeAppend {
        /// Which layer's cache.
        layer: usize,
        /// Head layout.
        heads: Heads,
        /// RoPE base.
        theta: f64,
    },
    /// Causal attention of q `(T, q)` over the cache, in KV chunks of 256 positions. `(T, q)`.
    Attention {
        /// Which layer's cache.
        layer: usize,
        /// Head layout.
        heads: Heads,
    },
    /// `out = silu(gate) * up` of `gate_up (T, 2 n)`, gate first. `(T, n)`.
    SiluMul,
    /// The rows of x whose logits are wanted. `(R, n)`.
    SelectRows,
}

impl Op {
    /// The op's name in plans, errors and benchmarks.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Embed { .. } => "embed",
            Op::RmsNorm { .. } => "rms_norm",
            Op::Linear { .. } => "linear",
            Op::RopeAppend { .. } => "rope_append",
            Op::Attention { .. } => "attention",
            Op::SiluMul => "silu_mul",
            Op::SelectRows => "select_rows",
        }
    }

    /// The input whose bytes the output may take over.
    pub fn in_place_input(&self) -> Option<usize> {
        match self {
            Op::Linear { .. } => Some(1),
            _ => None,
        }
    }

    /// The output's shape and type, or an error that names the dimension that disagrees.
    pub fn output(
        &self,
        node: &str,
        inputs: &[TensorSpec],
        weights: &[WeightSpec],
        matrix: DType,
    ) -> Result<TensorSpec> {
        let check = Checker { node, inputs };
        let weight = |id: WeightId| &weights[id.0];
        match *self {
            Op::Embed { table } => {
                check.count(&[0])?;
                Ok(spec(
                    Rows::Tokens,
                    weight(table).cols.unwrap_or(0),
                    DType::F32,
                ))
            }
            Op::RmsNorm { weight: norm, .. } => {
                check.count(&[1])?;
                check.cols("n of x", 0, weight(norm).rows(), DType::F32)?;
                Ok(spec(inputs[0].rows, inputs[0].cols, matrix))
            }
            Op::Linear { weight: id, bias } => {
                check.count(&[1, 2])?;
                let n = weight(id).rows();
                check.cols("K of x", 0, weight(id).cols.unwrap_or(0), matrix)?;
                if let Some(bias) = bias {
                    check.equal("N of bias", weight(bias).rows(), n)?;
                }
                if inputs.len() == 2 {
                    check.cols("N of residual", 1, n, DType::F32)?;
                }
                Ok(spec(inputs[0].rows, n, DType::F32))
            }
            Op::RopeAppend { heads, .. } => {
                check.count(&[1])?;
                check.cols(
                    "q + 2 kv of qkv",
                    0,
                    heads.q_dim() + 2 * heads.kv_dim(),
                    DType::F32,
                )?;
                Ok(spec(Rows::Tokens, heads.q_dim(), matrix))
            }
            Op::Attention { heads, .. } => {
                check.count(&[1])?;
                check.cols("width of q", 0, heads.q_dim(), matrix)?;
                Ok(spec(Rows::Tokens, heads.q_dim(), matrix))
            }
            Op::SiluMul => {
                check.count(&[1])?;
                check.equal("width of gate_up modulo 2", inputs[0].cols % 2, 0)?;
                Ok(spec(inputs[0].rows, inputs[0].cols / 2, matrix))
            }
            Op::SelectRows => {
                check.count(&[1])?;
                Ok(spec(Rows::Logits, inputs[0].cols, inputs[0].dtype))
            }
        }
    }
}

fn spec(rows: Rows, cols: usize, dtype: DType) -> TensorSpec {
    TensorSpec { rows, cols, dtype }
}

struct Checker<'a> {
    node: &'a str,
    inputs: &'a [TensorSpec],
}

impl Checker<'_> {
    fn error(&self, dim: &str, found: impl ToString, expected: impl ToString) -> Error {
        Error::Shape {
            op: self.node.to_string(),
            dim: dim.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    fn count(&self, allowed: &[usize]) -> Result<()> {
        if allowed.contains(&self.inputs.len()) {
            Ok(())
        } else {
            Err(self.error(
                "number of inputs",
                self.inputs.len(),
                format!("one of {allowed:?}"),
            ))
        }
    }

    fn equal(&self, dim: &str, found: usize, expected: usize) -> Result<()> {
        if found == expected {
            Ok(())
        } else {
            Err(self.error(dim, found, expected))
        }
    }

    fn cols(&self, dim: &str, input: usize, expected: usize, dtype: DType) -> Result<()> {
        self.equal(dim, self.inputs[input].cols, expected)?;
        if self.inputs[input].dtype != dtype {
            return Err(self.error(&format!("{dim}: type"), self.inputs[input].dtype, dtype));
        }
        Ok(())
    }
}
