//! A plan as one JSON object, with every number exact.

use qwarp::Result;
use qwarp::graph::cost::Cost;
use qwarp::graph::{Op, TensorId, WeightId};
use serde_json::{Map, Value, json};

use super::blueprint::Blueprint;

/// The key that marks a plan, and its version.
pub const MARK: (&str, u64) = ("qwarp_plan", 1);

/// The whole plan.
pub fn json(blueprint: &Blueprint) -> Result<Value> {
    let config = &blueprint.config;
    let engine = &blueprint.engine;
    let fit = &blueprint.fit;
    let (decode, prefill) = (blueprint.decode(), blueprint.prefill());
    let steps: Result<Vec<Value>> = (0..blueprint.plan.steps().len())
        .map(|index| step(blueprint, index))
        .collect();
    let buffers = (0..blueprint.plan.graph.tensors.len())
        .map(|index| buffer(blueprint, TensorId(index)))
        .collect::<Vec<_>>();
    Ok(json!({
        MARK.0: MARK.1,
        "model": {
            "architecture": config.architecture,
            "stored_dtype": blueprint.stored.name(),
            "num_hidden_layers": config.num_hidden_layers,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_attention_heads": config.num_attention_heads,
            "num_key_value_heads": config.num_key_value_heads,
            "head_dim": config.head_dim,
            "vocab_size": config.vocab_size,
            "max_position_embeddings": config.max_position_embeddings,
            "tie_word_embeddings": config.tie_word_embeddings,
        },
        "engine": {
            "dtype": engine.dtype.name(),
            "threads": engine.threads,
            "max_num_seqs": engine.max_num_seqs,
            "max_batched_tokens": engine.max_batched_tokens,
            "max_logit_rows": engine.max_logit_rows,
            "max_model_len": engine.max_model_len,
        },
        "device": {
            "kind": blueprint.device.kind,
            "gpu": blueprint.device.gpu_json(),
        },
        "memory_bytes": memory(blueprint),
        "estimated_bytes": named(&blueprint.held.estimates),
        "kv": {
            "block_tokens": qwarp::config::engine::BLOCK_SIZE,
            "block_bytes": fit.block_bytes,
            "blocks": engine.num_blocks(),
            "bytes_without_blocks": fit.fixed_bytes,
            "memory_bytes": blueprint.memory,
            "blocks_that_fit": blueprint.memory.map(|_| fit.blocks),
            "max_model_len_that_fits": blueprint.memory.map(|_| fit.max_model_len),
        },
        "cost": {
            "decode": {
                "sequences": decode.sequences.len(),
                "context": blueprint.context,
                "total": cost(&blueprint.step_cost(&decode)?)?,
            },
            "prefill": {
                "tokens": blueprint.chunk,
                "cached": 0,
                "total": cost(&blueprint.step_cost(&prefill)?)?,
            },
        },
        "steps": steps?,
        "buffers": buffers,
        "assumed": blueprint.assumed(),
    }))
}

/// Bytes by purpose; `logits_in_arena` is a part of `arena`.
fn memory(blueprint: &Blueprint) -> Map<String, Value> {
    let mut memory = named(&blueprint.held.parts);
    memory.insert("total".to_string(), blueprint.held.total.into());
    memory.insert(
        "logits_in_arena".to_string(),
        blueprint.logits_bytes().into(),
    );
    memory
}

fn named(parts: &[(&str, u64)]) -> Map<String, Value> {
    let parts = parts.iter();
    parts
        .map(|(name, bytes)| (name.to_string(), (*bytes).into()))
        .collect()
}

fn step(blueprint: &Blueprint, index: usize) -> Result<Value> {
    let node = &blueprint.plan.steps()[index];
    let inputs: Vec<usize> = node.inputs.iter().map(|id| id.0).collect();
    Ok(json!({
        "name": node.name,
        "step": index,
        "op": node.op.name(),
        "weights": weights(&node.op).map(|id| blueprint.plan.graph.weights[id.0].name.as_str()).collect::<Vec<_>>(),
        "inputs": inputs,
        "output": node.output.0,
        "decode": cost(&blueprint.cost(node, &blueprint.decode())?)?,
        "prefill": cost(&blueprint.cost(node, &blueprint.prefill())?)?,
    }))
}

fn buffer(blueprint: &Blueprint, id: TensorId) -> Value {
    let plan = &blueprint.plan;
    let spec = plan.graph.tensors[id.0];
    let life = plan.lifetimes[id.0];
    json!({
        "name": blueprint.writer(id).map_or("input", |node| node.name.as_str()),
        "tensor": id.0,
        "rows": spec.rows.to_string(),
        "cols": spec.cols,
        "dtype": spec.dtype.name(),
        "offset": plan.offsets[id.0],
        "bytes": life.bytes,
        "first_step": life.first,
        "last_step": life.last,
        "in_place_of": plan.aliases[id.0].map(|alias| alias.0),
    })
}

fn cost(cost: &Cost) -> Result<Value> {
    Ok(json!({
        "bytes": cost.bytes()?,
        "weight_bytes": cost.weights,
        "cache_bytes": cost.cache,
        "activation_bytes": cost.activations,
        "flops": cost.flops,
    }))
}

/// The weights an op reads.
fn weights(op: &Op) -> impl Iterator<Item = WeightId> {
    let pair = match *op {
        Op::Embed { table } => [Some(table), None],
        Op::RmsNorm { weight, .. } => [Some(weight), None],
        Op::Linear { weight, bias } => [Some(weight), bias],
        Op::RopeAppend { .. } | Op::Attention { .. } | Op::SiluMul | Op::SelectRows => [None, None],
    };
    pair.into_iter().flatten()
}
