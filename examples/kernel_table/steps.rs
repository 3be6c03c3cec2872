//! The launches of a whole step, taken from the backend while it runs one.

use std::path::Path;

use qwarp::DType;
use qwarp::backend::gpu::{GpuBackend, GpuOptions};
use qwarp::backend::{Backend, SequenceSpan, StepInputs};
use qwarp::config::ModelConfig;
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::config::json::JsonFile;
use qwarp::driver::Target;
use qwarp::graph::Plan;
use qwarp::model;
use qwarp::shape::MaxRows;
use serde_json::json;

use super::Result;
use super::checkpoint::zeros;
use super::hollow::{Hollow, Seen};

/// A model.
pub struct Shape {
    pub name: &'static str,
    pub layers: usize,
    hidden: usize,
    inner: usize,
    heads: [usize; 2],
    tied: bool,
}

/// Those of DESIGN: both take every kind of head.
pub const SHAPES: [Shape; 2] = [
    Shape {
        name: "Qwen2.5-0.5B",
        layers: 24,
        hidden: 896,
        inner: 4864,
        heads: [14, 2],
        tied: true,
    },
    Shape {
        name: "DeepSeek-R1-Distill-Qwen-1.5B",
        layers: 28,
        hidden: 1536,
        inner: 8960,
        heads: [12, 2],
        tied: false,
    },
];

/// CTAs of a launch that are counted. Those of a causal attention do ever more along the grid: a few at even
/// distances do on average what all do.
const CTAS: u64 = 4;

/// A step of one sequence: tokens, and positions that are in the cache before.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    pub count: usize,
    pub cached: usize,
}

/// A kind of launch, and how often a step has it.
#[derive(Debug, Clone)]
pub struct Repeated {
    pub seen: Seen,
    pub times: usize,
}

/// The launches of a step, alike ones together, in the order in which each first comes. What a layer launches is what a model
/// of two has more than a model of one.
pub fn launches(
    shape: &Shape,
    target: Target,
    dtype: DType,
    tokens: Tokens,
) -> Result<Vec<Repeated>> {
    let one = group(run(shape, 1, target, dtype, tokens)?);
    let two = group(run(shape, 2, target, dtype, tokens)?);
    let repeated = two.into_iter().map(|mut repeated| {
        let once = one.iter().find(|other| alike(&other.seen, &repeated.seen));
        let once = once.map_or(0, |once| once.times);
        repeated.times = once + (repeated.times - once.min(repeated.times)) * (shape.layers - 1);
        repeated
    });
    Ok(repeated.collect())
}

fn alike(a: &Seen, b: &Seen) -> bool {
    a.kernel == b.kernel && a.geometry == b.geometry && a.argument_bytes == b.argument_bytes
}

fn group(seen: Vec<Seen>) -> Vec<Repeated> {
    let mut groups: Vec<Repeated> = Vec::new();
    for seen in seen {
        match groups.iter_mut().find(|group| alike(&group.seen, &seen)) {
            Some(group) => group.times += 1,
            None => groups.push(Repeated { seen, times: 1 }),
        }
    }
    groups
}

fn run(
    shape: &Shape,
    layers: usize,
    target: Target,
    dtype: DType,
    tokens: Tokens,
) -> Result<Vec<Seen>> {
    let graph = model::build(&config(shape, layers)?, dtype)?;
    let weights = zeros(&graph)?;
    let max_rows = MaxRows {
        tokens: tokens.count,
        logits: 1,
    };
    let context = tokens.cached + tokens.count;
    let options = GpuOptions {
        num_blocks: context.div_ceil(BLOCK_SIZE),
        max_num_seqs: 1,
        max_model_len: context,
    };
    // One layer is run to know how often each kernel is launched.
    let device = Hollow::new(target, if layers == 1 { 1 } else { CTAS });
    let plan = Plan::fused(graph, max_rows)?;
    let mut backend =
        GpuBackend::open(plan, |_| Ok(weights), 1, options, Box::new(device.clone()))?;
    backend.submit(&inputs(tokens, options.num_blocks))?;
    Ok(device.seen())
}

fn inputs(tokens: Tokens, blocks: usize) -> StepInputs {
    let new = tokens.cached as u32..(tokens.cached + tokens.count) as u32;
    StepInputs {
        token_ids: vec![0; tokens.count],
        positions: new.clone().collect(),
        slot_mapping: new.collect(),
        sequences: vec![SequenceSpan {
            tokens: tokens.count,
            cached: tokens.cached,
            table_start: 0,
            table_len: blocks,
        }],
        block_tables: (0..blocks as u32).collect(),
        logit_rows: vec![tokens.count as u32 - 1],
        ..StepInputs::default()
    }
}

fn config(shape: &Shape, layers: usize) -> Result<ModelConfig> {
    let text = json!({
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.inner,
        "num_hidden_layers": layers,
        "num_attention_heads": shape.heads[0],
        "num_key_value_heads": shape.heads[1],
        "vocab_size": 151_936,
        "max_position_embeddings": 32_768,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": shape.tied,
    });
    let file = JsonFile::parse(Path::new("config.json"), text.to_string().as_bytes())?;
    Ok(ModelConfig::from_json(&file)?)
}
