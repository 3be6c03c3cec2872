//! The table of op cases: each row is one op at one shape, and feeds the test against the scalar reference. Odd sizes
//! find tails; the real sizes are Qwen2's 0.5B, 1.5B and 7B.

use qwarp::DType;
use qwarp::shape::Heads;

use crate::bound::{Arithmetic, Bound};

/// One op at one shape.
#[derive(Debug, Clone, Copy)]
pub enum OpCase {
    Embed {
        tokens: usize,
        vocab: usize,
        hidden: usize,
    },
    RmsNorm {
        tokens: usize,
        n: usize,
    },
    Linear {
        tokens: usize,
        k: usize,
        n: usize,
        bias: bool,
        residual: bool,
    },
    /// RoPE and append, then attention over what was appended, in two spans.
    Attention {
        heads: Heads,
        first: usize,
        second: usize,
    },
    SiluMul {
        tokens: usize,
        n: usize,
    },
    SelectRows {
        tokens: usize,
        n: usize,
    },
}

const fn heads(query: usize, kv: usize, dim: usize) -> Heads {
    Heads { query, kv, dim }
}

/// The table.
pub const CASES: &[OpCase] = &[
    OpCase::Embed {
        tokens: 1,
        vocab: 7,
        hidden: 5,
    },
    OpCase::Embed {
        tokens: 33,
        vocab: 131,
        hidden: 896,
    },
    OpCase::RmsNorm { tokens: 1, n: 1 },
    OpCase::RmsNorm { tokens: 3, n: 31 },
    OpCase::RmsNorm { tokens: 5, n: 896 },
    OpCase::RmsNorm { tokens: 2, n: 1536 },
    OpCase::RmsNorm { tokens: 7, n: 3584 },
    OpCase::Linear {
        tokens: 1,
        k: 1,
        n: 1,
        bias: true,
        residual: true,
    },
    OpCase::Linear {
        tokens: 1,
        k: 33,
        n: 7,
        bias: true,
        residual: false,
    },
    OpCase::Linear {
        tokens: 3,
        k: 127,
        n: 31,
        bias: false,
        residual: true,
    },
    OpCase::Linear {
        tokens: 1,
        k: 896,
        n: 1152,
        bias: true,
        residual: false,
    },
    OpCase::Linear {
        tokens: 33,
        k: 896,
        n: 97,
        bias: false,
        residual: false,
    },
    OpCase::Linear {
        tokens: 5,
        k: 4864,
        n: 896,
        bias: false,
        residual: true,
    },
    OpCase::Linear {
        tokens: 2,
        k: 8960,
        n: 127,
        bias: false,
        residual: true,
    },
    OpCase::Linear {
        tokens: 9,
        k: 1536,
        n: 2048,
        bias: true,
        residual: false,
    },
    OpCase::Linear {
        tokens: 3,
        k: 18944,
        n: 65,
        bias: false,
        residual: true,
    },
    OpCase::Attention {
        heads: heads(1, 1, 2),
        first: 1,
        second: 1,
    },
    OpCase::Attention {
        heads: heads(3, 3, 10),
        first: 17,
        second: 5,
    },
    OpCase::Attention {
        heads: heads(14, 2, 64),
        first: 300,
        second: 9,
    },
    OpCase::Attention {
        heads: heads(12, 2, 128),
        first: 255,
        second: 2,
    },
    OpCase::Attention {
        heads: heads(28, 4, 128),
        first: 1,
        second: 33,
    },
    OpCase::Attention {
        heads: heads(6, 1, 64),
        first: 530,
        second: 1,
    },
    OpCase::SiluMul { tokens: 1, n: 1 },
    OpCase::SiluMul { tokens: 3, n: 75 },
    OpCase::SiluMul { tokens: 2, n: 4864 },
    OpCase::SiluMul {
        tokens: 1,
        n: 18944,
    },
    OpCase::SelectRows { tokens: 9, n: 31 },
];

impl OpCase {
    /// The bound for a run of type `dtype`.
    pub fn bound(&self, dtype: DType) -> Bound {
        let arithmetic = match self {
            OpCase::Embed { .. } | OpCase::SelectRows { .. } => Arithmetic::Copy,
            OpCase::RmsNorm { .. } | OpCase::SiluMul { .. } => Arithmetic::Rounded,
            OpCase::Linear { .. } => Arithmetic::Product,
            // Held against the reference together with the rotation before it.
            OpCase::Attention { .. } => Arithmetic::Attention,
        };
        Bound::of(arithmetic, dtype)
    }
}
