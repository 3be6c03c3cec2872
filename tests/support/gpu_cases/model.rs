//! The sizes of real models.

use qwarp::shape::Heads;

/// The sizes of a model.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    pub name: &'static str,
    pub hidden: usize,
    pub inner: usize,
    pub heads: Heads,
    pub vocab: usize,
    /// Tokens of a step: decode of one and of several sequences, prefills.
    pub tokens: &'static [usize],
    /// Most sequences of a step.
    pub sequences: usize,
    /// Positions that a sequence of a decode step has.
    pub context: usize,
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
        tokens: &[1, 8, 16, 32, 64, 512, 2048],
        sequences: 8,
        context: 4096,
    },
    Model {
        name: "1.5B",
        hidden: 1536,
        inner: 8960,
        heads: heads(12, 2, 128),
        vocab: 151_936,
        tokens: &[1, 8, 16, 32, 64, 512, 2048],
        sequences: 8,
        context: 4096,
    },
    Model {
        name: "7B",
        hidden: 3584,
        inner: 18_944,
        heads: heads(28, 4, 128),
        vocab: 152_064,
        tokens: &[1, 8, 16, 32, 64, 512, 2048],
        sequences: 8,
        context: 4096,
    },
];

/// Sizes at which the emulator takes no time, odd where a kernel takes any.
pub const QUICK: [Model; 2] = [
    Model {
        name: "tiny",
        hidden: 68,
        inner: 129,
        heads: heads(3, 1, 64),
        vocab: 5003,
        tokens: &[1, 2, 12, 17, 40, 130],
        sequences: 2,
        context: 300,
    },
    Model {
        name: "small",
        hidden: 130,
        inner: 67,
        heads: heads(4, 2, 128),
        vocab: 131,
        tokens: &[1, 2, 3, 9],
        sequences: 2,
        context: 40,
    },
];
