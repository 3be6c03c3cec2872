//! Tensor names of a Hugging Face Qwen2 checkpoint, and the check that none is left over.

use std::collections::BTreeSet;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::graph::Graph;

/// The names, as `modeling_qwen2.py` gives them.
pub mod names {
    /// Embedding table `(vocab, hidden)`.
    pub const EMBED: &str = "model.embed_tokens.weight";
    /// Final norm `(hidden)`.
    pub const NORM: &str = "model.norm.weight";
    /// Output head `(vocab, hidden)`; absent or ignored when tied.
    pub const HEAD: &str = "lm_head.weight";
    /// Norm before attention.
    pub const INPUT_NORM: &str = "input_layernorm.weight";
    /// Norm before the feed-forward.
    pub const POST_NORM: &str = "post_attention_layernorm.weight";
    /// Query projection, with `.weight` and `.bias`.
    pub const Q: &str = "self_attn.q_proj";
    /// Key projection.
    pub const K: &str = "self_attn.k_proj";
    /// Value projection.
    pub const V: &str = "self_attn.v_proj";
    /// Output projection.
    pub const O: &str = "self_attn.o_proj.weight";
    /// Gate projection.
    pub const GATE: &str = "mlp.gate_proj.weight";
    /// Up projection.
    pub const UP: &str = "mlp.up_proj.weight";
    /// Down projection.
    pub const DOWN: &str = "mlp.down_proj.weight";

    /// The full name of `part` in layer `index`.
    pub fn layer(index: usize, part: &str) -> String {
        format!("model.layers.{index}.{part}")
    }
}

/// Refuses a checkpoint with a tensor that the graph does not read: something would be missing from the result.
/// A head beside a tied embedding and stored RoPE tables are known leftovers.
pub fn check_all_used(checkpoint: &Checkpoint, graph: &Graph) -> Result<()> {
    let used: BTreeSet<&str> = graph
        .weights
        .iter()
        .flat_map(|weight| &weight.parts)
        .map(|(name, _)| name.as_str())
        .collect();
    let leftover = |name: &&str| {
        !used.contains(name)
            && *name != names::HEAD
            && !name.ends_with("self_attn.rotary_emb.inv_freq")
    };
    match checkpoint.names().find(leftover) {
        None => Ok(()),
        Some(name) => Err(Error::unsupported(
            checkpoint.folder(),
            name,
            "a tensor that this architecture does not have",
            format!("the {} tensors that config.json implies", used.len()),
        )),
    }
}
