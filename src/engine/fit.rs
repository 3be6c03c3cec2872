//! The longest sequences that a given memory has room for.

use crate::backend::cpu::footprint::{Footprint, cached_layers};
use crate::backend::cpu::kv_cache::KvCache;
use crate::checkpoint::placement::WeightBytes;
use crate::config::engine::{BLOCK_SIZE, MAX_BLOCKS};
use crate::error::{Error, Result};
use crate::graph::Plan;

/// How a memory divides into what is there anyway and KV blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// Bytes without any KV block.
    pub fixed_bytes: u64,
    /// Bytes of one KV block in all layers.
    pub block_bytes: u64,
    /// Whole blocks that fit beside the fixed bytes.
    pub blocks: u64,
    /// Longest context that each sequence can have at once, in tokens; one more does not fit or is over the model's own.
    pub max_model_len: usize,
}

/// What a fit is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FitRequest {
    /// Bytes there are.
    pub memory: u64,
    /// Worker threads.
    pub threads: usize,
    /// Sequences that may all reach the context.
    pub max_num_seqs: usize,
    /// The model's own longest context.
    pub context: usize,
}

impl Fit {
    /// Divides `request.memory`. An error if there is no room for one block a sequence.
    pub fn new(plan: &Plan, weights: WeightBytes, request: FitRequest) -> Result<Self> {
        let fixed_bytes = Footprint::planned(plan, weights, request.threads, 0)?.total()?;
        let (layers, heads) = cached_layers(plan);
        let block_bytes = KvCache::bytes(layers, heads, 1, plan.graph.matrix.bytes())? as u64;
        let left = request.memory.saturating_sub(fixed_bytes);
        let blocks = left.checked_div(block_bytes).unwrap_or(0);
        let each = blocks.min(MAX_BLOCKS as u64) / request.max_num_seqs.max(1) as u64;
        // Bounded by the model's context, so it is an index on this machine.
        let max_model_len = (each * BLOCK_SIZE as u64).min(request.context as u64) as usize;
        if request.memory < fixed_bytes || max_model_len == 0 {
            let least = block_bytes.saturating_mul(request.max_num_seqs as u64);
            return Err(Error::Limit {
                what: format!(
                    "bytes for the weights, {} tokens a step and one KV block a sequence",
                    plan.max_rows.tokens
                ),
                found: fixed_bytes.saturating_add(least),
                limit: request.memory,
            });
        }
        Ok(Fit {
            fixed_bytes,
            block_bytes,
            blocks,
            max_model_len,
        })
    }
}
