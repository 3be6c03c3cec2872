//! How many bytes a GPU backend holds on the device: `planned` from shapes alone, before a weight is read. The backend
//! allocates by the same sizes.

use half::f16;

use super::GpuOptions;
use super::draw::Draws;
use super::inputs::{Extent, Layout, Widths};
use super::launch::PagedAttention;
use super::lower::{Stage, lower};
use super::memory::Memory;
use super::pack::{Packing, TILE_ELEMENTS, depth_tiles};
use super::step::Buffers;
use super::weights::{gathered, multiplied, rows_dtype};
use crate::DType;
use crate::backend::cpu::footprint::cached_layers;
use crate::backend::sampling::MOST_BIASES;
use crate::config::engine::BLOCK_SIZE;
use crate::driver::DeviceFacts;
use crate::error::Result;
use crate::graph::{Plan, WeightId, WeightKind, WeightSpec};
use crate::limits::Size;
use crate::shape::MaxRows;

/// Most tokens of a step whose attention is split over the chunks of the context.
const SPLIT_TOKENS: usize = 32;
/// Bytes of an index, an angle or a partial result.
const WORD: usize = 4;

/// Bytes on the device by purpose. What CUDA takes itself is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Matrices that are multiplied, in the order of the tensor cores.
    pub packed: u64,
    /// Tables that are gathered from, row by row.
    pub rows: u64,
    /// Norms and biases.
    pub vectors: u64,
    /// Activations and logits.
    pub arena: u64,
    /// Keys and values of all blocks.
    pub kv_cache: u64,
    /// Partial results of attention.
    pub partials: u64,
    /// Tokens, places, angles and settings of a step.
    pub step_inputs: u64,
    /// What drawing tokens needs, and the tokens drawn.
    pub sampling: u64,
    /// What is lost where allocations take whole pages: an estimate, not part of `total`.
    pub rounding: u64,
}

/// The type in which a weight is stored.
pub type Stored<'a> = &'a dyn Fn(&WeightSpec) -> Result<DType>;

impl Footprint {
    /// What a backend of `plan` will hold on a device of these `facts`.
    pub fn planned(
        plan: &Plan,
        options: GpuOptions,
        facts: &DeviceFacts,
        stored: Stored<'_>,
    ) -> Result<Self> {
        let stages = lower(plan)?;
        let mut footprint = Footprint::default();
        for index in 0..plan.graph.weights.len() {
            footprint.add_weight(plan, &stages, WeightId(index), (facts, stored))?;
        }
        let sizes = Sizes::of(plan, options)?;
        let granule = facts.granule_bytes;
        footprint.add(|f| &mut f.arena, sizes.arena as u64, granule)?;
        footprint.add(|f| &mut f.kv_cache, sizes.cache as u64, granule)?;
        for bytes in [sizes.partial, sizes.arrived] {
            footprint.add(|f| &mut f.partials, bytes as u64, granule)?;
        }
        footprint.add(|f| &mut f.step_inputs, sizes.inputs as u64, granule)?;
        for bytes in sizes.sampling {
            footprint.add(|f| &mut f.sampling, bytes as u64, granule)?;
        }
        Ok(footprint)
    }

    /// Adds an allocation to one purpose.
    fn add(&mut self, purpose: fn(&mut Self) -> &mut u64, bytes: u64, granule: u64) -> Result<()> {
        let what = "memory of the device";
        let sum = purpose(self);
        *sum = Size::new(*sum).plus(bytes, what)?.get();
        if bytes > granule / 2 {
            let whole = bytes.div_ceil(granule.max(1)).saturating_mul(granule);
            let lost = whole.saturating_sub(bytes);
            self.rounding = Size::new(self.rounding).plus(lost, what)?.get();
        }
        Ok(())
    }

    fn add_weight(
        &mut self,
        plan: &Plan,
        stages: &[Stage],
        id: WeightId,
        (facts, stored): (&DeviceFacts, Stored<'_>),
    ) -> Result<()> {
        let spec = &plan.graph.weights[id.0];
        let granule = facts.granule_bytes;
        if spec.kind == WeightKind::Vector {
            return self.add(|f| &mut f.vectors, spec.bytes(DType::F32)?, granule);
        }
        if gathered(stages, id) {
            let stored = match spec.kind {
                WeightKind::Table => stored(spec)?,
                WeightKind::Matrix | WeightKind::Vector => plan.graph.matrix,
            };
            let bytes = spec.bytes(rows_dtype(stored, facts.target))?;
            self.add(|f| &mut f.rows, bytes, granule)?;
        }
        match multiplied(stages, id) {
            Some(packing) => self.add(|f| &mut f.packed, packed_bytes(spec, packing)?, granule),
            None => Ok(()),
        }
    }

    /// Each purpose by its name in tables and JSON.
    pub fn parts(&self) -> [(&'static str, u64); 8] {
        [
            ("weights_packed", self.packed),
            ("weights_rows", self.rows),
            ("weights_vectors", self.vectors),
            ("arena", self.arena),
            ("kv_cache", self.kv_cache),
            ("attention_partials", self.partials),
            ("step_inputs", self.step_inputs),
            ("sampling", self.sampling),
        ]
    }

    /// The sum of all parts: what the backend asks the device for.
    pub fn total(&self) -> Result<u64> {
        let sum = (self.parts().iter())
            .try_fold(Size::new(0), |sum, (name, bytes)| sum.plus(*bytes, name))?;
        Ok(sum.get())
    }
}

/// Bytes of a matrix in whole tiles.
fn packed_bytes(spec: &WeightSpec, packing: Packing) -> Result<u64> {
    let tiles = packing.tiles(spec.rows());
    let depth = depth_tiles(spec.cols.unwrap_or(1));
    let dims = [tiles, depth, TILE_ELEMENTS, size_of::<f16>()].map(|dim| dim as u64);
    Ok(Size::product(&dims, &spec.name)?.get())
}

/// Bytes of one KV block in all layers.
pub fn block_bytes(plan: &Plan) -> Result<u64> {
    Ok(cache_bytes(plan, 1)? as u64)
}

fn product(dims: &[usize], what: &str) -> Result<usize> {
    let dims: Vec<u64> = dims.iter().map(|&dim| dim as u64).collect();
    Size::product(&dims, what)?.to_usize(what)
}

fn cache_bytes(plan: &Plan, num_blocks: usize) -> Result<usize> {
    let (layers, heads) = cached_layers(plan);
    let element = plan.graph.matrix.bytes();
    let dims = [2 * layers, num_blocks, BLOCK_SIZE, heads.kv_dim(), element];
    product(&dims, "KV cache")
}

/// Bytes of each buffer that steps need.
struct Sizes {
    arena: usize,
    cache: usize,
    partial: usize,
    /// Counters of attention's tiles.
    arrived: usize,
    inputs: usize,
    drawn: usize,
    /// The drawn tokens, then what [`Draws::bytes`] says.
    sampling: [usize; 5],
}

/// What the layout of a step's inputs depends on besides the step.
pub fn widths(plan: &Plan, options: GpuOptions) -> Widths {
    let graph = &plan.graph;
    let vocab = graph.output().map_or(1, |id| graph.tensors[id.0].cols);
    // Each token of every sequence may be penalised, and others have biases.
    let rows = options.max_num_seqs;
    let seen = options.num_blocks.saturating_mul(BLOCK_SIZE);
    let biased = rows.saturating_mul(vocab.min(MOST_BIASES));
    let most = rows.saturating_mul(vocab);
    Widths {
        dim: graph.layers.map_or(2, |(_, heads)| heads.dim),
        vocab,
        changes: seen.saturating_add(biased).min(most).max(1),
    }
}

impl Sizes {
    fn of(plan: &Plan, options: GpuOptions) -> Result<Self> {
        let GpuOptions {
            num_blocks,
            max_num_seqs,
            max_model_len,
        } = options;
        let MaxRows { tokens, logits } = plan.max_rows;
        let (_, heads) = cached_layers(plan);
        // The chunks of a context do not depend on the type.
        let chunks = PagedAttention::<f16>::chunks(max_model_len);
        // Sequences of more than one token take this way only where one tile holds them, as it holds one.
        let tiles = PagedAttention::<f16>::tiles(heads, 1);
        let split = tokens.min(SPLIT_TOKENS);
        let partial = [split, heads.query, chunks, heads.dim + 2, WORD];
        let words = |count: usize| product(&[count, WORD], "inputs of a step");
        let most = Extent {
            tokens,
            logit_rows: logits,
            sequences: max_num_seqs,
            longest: tokens,
            context: max_model_len,
            table_len: num_blocks,
            draws: logits,
            greedy: false,
        };
        let widths = widths(plan, options);
        let inputs = Layout::new(most, widths);
        let drawn = words(logits)?;
        let [state, bins, changes, argmax] = Draws::bytes(logits, widths);
        Ok(Sizes {
            arena: plan.arena_bytes,
            cache: cache_bytes(plan, num_blocks)?,
            partial: product(&partial, "partial results of attention")?,
            arrived: product(&[max_num_seqs, tiles, WORD], "counters of attention")?,
            inputs: words(inputs.words())?,
            drawn,
            sampling: [drawn, state, bins, changes, argmax],
        })
    }
}

/// Allocates what steps of `plan` need.
pub fn allocate(memory: &mut Memory, plan: &Plan, options: GpuOptions) -> Result<Buffers> {
    let sizes = Sizes::of(plan, options)?;
    let arrived = memory.alloc(sizes.arrived)?;
    memory.driver().fill(arrived, 0, sizes.arrived)?;
    Ok(Buffers {
        arena: memory.alloc(sizes.arena)?,
        cache: memory.alloc(sizes.cache)?,
        partial: memory.alloc(sizes.partial)?,
        partial_len: sizes.partial / WORD,
        arrived,
        inputs: memory.alloc(sizes.inputs)?,
        drawn: memory.alloc(sizes.drawn)?,
    })
}
