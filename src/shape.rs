//! Shapes of graph tensors: one symbolic row dimension and one fixed width.

use std::fmt;

/// What a tensor has one row of. The number is known only when a step runs; its maximum is fixed at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rows {
    /// T: the tokens of the step.
    Tokens,
    /// R: the tokens whose logits are wanted.
    Logits,
}

/// The largest numbers of rows a plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxRows {
    /// T.
    pub tokens: usize,
    /// R.
    pub logits: usize,
}

impl MaxRows {
    /// The largest number of `rows`.
    pub fn of(&self, rows: Rows) -> usize {
        match rows {
            Rows::Tokens => self.tokens,
            Rows::Logits => self.logits,
        }
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rows::Tokens => "T",
            Rows::Logits => "R",
        })
    }
}

/// Head layout of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads; divides `query`.
    pub kv: usize,
    /// Width of one head; even.
    pub dim: usize,
}

impl Heads {
    /// Width of all query heads.
    pub fn q_dim(&self) -> usize {
        self.query * self.dim
    }

    /// Width of all key heads; the values' is the same.
    pub fn kv_dim(&self) -> usize {
        self.kv * self.dim
    }

    /// Query heads that share one key and value head (GQA).
    pub fn group(&self) -> usize {
        self.query / self.kv
    }
}
