//! The longest sequences that a given memory has room for.

use crate::config::engine::{BLOCK_SIZE, MAX_BLOCKS};
use crate::error::Result;

/// How a memory divides into what is there anyway and KV blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// Bytes without any KV block.
    pub fixed_bytes: u64,
    /// Bytes of one KV block in all layers.
    pub block_bytes: u64,
    /// Most blocks that fit.
    pub blocks: u64,
    /// Longest context that each sequence can have at once, in tokens; one more does not fit or is over the model's own. 0 where
    /// there is no room for one block a sequence.
    pub max_model_len: usize,
}

/// What a fit is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FitRequest {
    /// Bytes there are.
    pub memory: u64,
    /// Bytes of one KV block in all layers.
    pub block_bytes: u64,
    /// Sequences that may all reach the context.
    pub max_num_seqs: usize,
    /// The model's own longest context.
    pub context: usize,
}

impl Fit {
    /// Divides `request.memory`, where `bytes` gives everything that is held with so many blocks: more with more blocks.
    pub fn new(bytes: &dyn Fn(usize) -> Result<u64>, request: FitRequest) -> Result<Self> {
        let fixed_bytes = bytes(0)?;
        // A number of blocks whose size overflows does not fit.
        let fits = |blocks| bytes(blocks).is_ok_and(|bytes| bytes <= request.memory);
        let (mut least, mut most) = (0, MAX_BLOCKS);
        while least < most {
            let middle = most - (most - least) / 2;
            match fits(middle) {
                true => least = middle,
                false => most = middle - 1,
            }
        }
        let each = least / request.max_num_seqs.max(1);
        Ok(Fit {
            fixed_bytes,
            block_bytes: request.block_bytes,
            blocks: least as u64,
            max_model_len: (each * BLOCK_SIZE).min(request.context),
        })
    }
}
