//! The limits an engine is started with. Everything is sized from them once, before any weight is read.

use crate::DType;
use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};

/// Positions in one KV block. A KV chunk of 256 positions is 16 whole blocks.
pub const BLOCK_SIZE: usize = 16;

/// Most KV blocks of one engine: a slot number has 32 bits.
pub const MAX_BLOCKS: usize = u32::MAX as usize / BLOCK_SIZE;

/// Limits of one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// Type of matrix inputs and of the KV cache.
    pub dtype: DType,
    /// Worker threads of the CPU backend, the calling thread included.
    pub threads: usize,
    /// Most sequences that run at once (B).
    pub max_num_seqs: usize,
    /// Most tokens of one step (T): the prefill chunk.
    pub max_batched_tokens: usize,
    /// Most rows of logits of one step (R).
    pub max_logit_rows: usize,
    /// Longest sequence, prompt and answer together, in tokens.
    pub max_model_len: usize,
}

impl EngineConfig {
    /// Checks that every limit is at least 1, none is beyond what sizes are computed for, and each sequence may have
    /// its row.
    pub fn validate(&self) -> Result<()> {
        let fields = [
            ("threads", self.threads, LIMITS.threads),
            ("max_num_seqs", self.max_num_seqs, LIMITS.positions),
            (
                "max_batched_tokens",
                self.max_batched_tokens,
                LIMITS.positions,
            ),
            ("max_logit_rows", self.max_logit_rows, LIMITS.positions),
            ("max_model_len", self.max_model_len, LIMITS.positions),
        ];
        for (name, value, limit) in fields {
            if value == 0 {
                return Err(Error::argument(name, 0, "at least 1"));
            }
            Limits::check(name, value as u64, limit)?;
        }
        for (name, value) in [
            ("max_batched_tokens", self.max_batched_tokens),
            ("max_logit_rows", self.max_logit_rows),
        ] {
            if value < self.max_num_seqs {
                return Err(Error::argument(
                    name,
                    value,
                    format!("at least max_num_seqs = {}", self.max_num_seqs),
                ));
            }
        }
        let what = "KV blocks of max_num_seqs sequences of max_model_len";
        Limits::check(what, self.num_blocks() as u64, MAX_BLOCKS as u64)?;
        Ok(())
    }

    /// KV blocks that let every sequence reach `max_model_len`.
    pub fn num_blocks(&self) -> usize {
        self.max_num_seqs * self.max_model_len.div_ceil(BLOCK_SIZE)
    }
}

/// The share of a device's memory that one engine may take: above 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Utilization(f64);

impl Utilization {
    /// Checks the bounds.
    pub fn new(share: f64) -> Result<Self> {
        if share > 0.0 && share <= 1.0 {
            return Ok(Utilization(share));
        }
        let expected = "above 0 and at most 1";
        Err(Error::argument("GPU memory utilization", share, expected))
    }

    /// The share.
    pub fn share(self) -> f64 {
        self.0
    }

    /// That share of `bytes`, rounded down.
    pub fn of(self, bytes: u64) -> u64 {
        // At most 1, so the product is within the type; it saturates anyway.
        (bytes as f64 * self.0) as u64
    }
}

impl Default for Utilization {
    /// What vLLM takes.
    fn default() -> Self {
        Utilization(0.9)
    }
}
