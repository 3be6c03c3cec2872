//! Which kernels are timed, at which sizes.

use std::fmt;

use qwarp::shape::Heads;

/// The sizes of a model.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    pub name: &'static str,
    pub hidden: usize,
    pub inner: usize,
    pub heads: Heads,
    pub vocab: usize,
    /// Tokens of a step: decode of one and of eight sequences, two prefills.
    pub tokens: [usize; 4],
}

const fn heads(query: usize, kv: usize, dim: usize) -> Heads {
    Heads { query, kv, dim }
}

/// The models that the kernels are for.
pub const REAL: [Model; 3] = [
    Model {
        name: "0.5B",
        hidden: 896,
        inner: 4864,
        heads: heads(14, 2, 64),
        vocab: 151_936,
        tokens: [1, 8, 512, 2048],
    },
    Model {
        name: "1.5B",
        hidden: 1536,
        inner: 8960,
        heads: heads(12, 2, 128),
        vocab: 151_936,
        tokens: [1, 8, 512, 2048],
    },
    Model {
        name: "7B",
        hidden: 3584,
        inner: 18_944,
        heads: heads(28, 4, 128),
        vocab: 152_064,
        tokens: [1, 8, 512, 2048],
    },
];

/// Sizes at which the emulator takes no time.
pub const QUICK: [Model; 1] = [Model {
    name: "tiny",
    hidden: 68,
    inner: 129,
    heads: heads(3, 1, 66),
    vocab: 5003,
    tokens: [1, 2, 3, 17],
}];

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Embed,
    RmsNorm,
    AddRmsNorm,
    SiluMul,
    RopeAppend,
    BiasRopeAppend,
    Argmax,
}

impl Op {
    /// Every op.
    pub const ALL: [Op; 7] = [
        Op::Embed,
        Op::RmsNorm,
        Op::AddRmsNorm,
        Op::SiluMul,
        Op::RopeAppend,
        Op::BiasRopeAppend,
        Op::Argmax,
    ];
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Op::Embed => "embed",
            Op::RmsNorm => "rms_norm",
            Op::AddRmsNorm => "add_rms_norm",
            Op::SiluMul => "silu_mul",
            Op::RopeAppend => "rope_append",
            Op::BiasRopeAppend => "bias_rope_append",
            Op::Argmax => "argmax",
        })
    }
}

/// Rows at which an op is timed: logits are made for one row a sequence, so argmax sees no prefill.
pub fn rows(op: Op, model: &Model) -> &[usize] {
    match op {
        Op::Argmax => &model.tokens[..2],
        _ => &model.tokens,
    }
}
