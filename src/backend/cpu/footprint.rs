//! How many bytes a CPU backend holds: `planned` before anything is allocated, from shapes alone, and the same struct
//! filled from what really stands there. `CpuBackend::open` allocates by the same formulas.

use super::attention;
use super::kv_cache::KvCache;
use super::linear;
use super::rope::RopeTable;
use crate::checkpoint::placement::WeightBytes;
use crate::error::Result;
use crate::graph::Plan;
use crate::graph::arena::ALIGNMENT;
use crate::limits::Size;
use crate::shape::Heads;

/// Bytes by purpose. Not counted, because they do not grow with the model's sizes: the program, thread stacks, tensor
/// names, the tokenizer, and the few bytes a KV block costs in the lists of who owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// The weights, mapped and copied.
    pub weights: WeightBytes,
    /// Activations and logits.
    pub arena: u64,
    /// Keys and values of all blocks.
    pub kv_cache: u64,
    /// Scratch of all threads.
    pub scratch: u64,
    /// Inverse frequencies, and cosines and sines of the largest step.
    pub rope_table: u64,
}

impl Footprint {
    /// What a backend of `threads` threads and `num_blocks` KV blocks will hold.
    pub fn planned(
        plan: &Plan,
        weights: WeightBytes,
        threads: usize,
        num_blocks: usize,
    ) -> Result<Self> {
        let (layers, heads) = cached_layers(plan);
        let element = plan.graph.matrix.bytes();
        let scratch = Size::new(scratch_bytes(plan)? as u64).times(threads as u64, "scratch")?;
        Ok(Footprint {
            weights,
            arena: plan.arena_bytes as u64,
            kv_cache: KvCache::bytes(layers, heads, num_blocks, element)? as u64,
            scratch: scratch.get(),
            rope_table: RopeTable::bytes(heads.dim, plan.max_rows.tokens)? as u64,
        })
    }

    /// Each purpose by its name in tables and JSON.
    pub fn parts(&self) -> [(&'static str, u64); 7] {
        [
            ("weights_mapped", self.weights.mapped),
            ("weights_vectors", self.weights.vectors),
            ("weights_converted", self.weights.converted),
            ("arena", self.arena),
            ("kv_cache", self.kv_cache),
            ("scratch", self.scratch),
            ("rope_table", self.rope_table),
        ]
    }

    /// The sum of all parts.
    pub fn total(&self) -> Result<u64> {
        let sum = self
            .parts()
            .iter()
            .try_fold(Size::new(0), |sum, (name, bytes)| sum.plus(*bytes, name))?;
        Ok(sum.get())
    }
}

/// Layers with a cache and their heads; a plan without attention has none.
pub fn cached_layers(plan: &Plan) -> (usize, Heads) {
    let smallest = Heads {
        query: 1,
        kv: 1,
        dim: 2,
    };
    plan.graph.layers.unwrap_or((0, smallest))
}

/// Bytes of scratch a thread needs, in whole cache lines: for a linear op, an attention tile, or one row.
pub fn scratch_bytes(plan: &Plan) -> Result<usize> {
    let graph = &plan.graph;
    let widest = graph
        .tensors
        .iter()
        .map(|spec| spec.cols)
        .max()
        .unwrap_or(0);
    let attention = graph
        .layers
        .map_or(0, |(_, heads)| attention::scratch_len(heads.dim));
    let floats = widest.max(linear::scratch_floats(plan)).max(attention);
    let bytes = Size::new(floats as u64).times(size_of::<f32>() as u64, "scratch")?;
    Ok(bytes.to_usize("scratch")?.next_multiple_of(ALIGNMENT))
}
