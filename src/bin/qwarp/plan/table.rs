//! A plan as tables for people. The totals come last, where a terminal shows them.

use std::fmt::Write;

use qwarp::Result;
use qwarp::graph::cost::Cost;

use super::blueprint::Blueprint;
use crate::units::{binary, decimal, grouped};

/// All tables.
pub fn table(blueprint: &Blueprint) -> Result<String> {
    let mut text = String::new();
    steps(blueprint, &mut text)?;
    memory(blueprint, &mut text);
    cache(blueprint, &mut text);
    costs(blueprint, &mut text)?;
    text.push_str("\nassumed, as config.json cannot tell:\n");
    for line in blueprint.assumed() {
        let _ = writeln!(text, "  - {line}");
    }
    Ok(text)
}

fn steps(blueprint: &Blueprint, text: &mut String) -> Result<()> {
    let plan = &blueprint.plan;
    let _ = writeln!(
        text,
        "{} steps; each writes one buffer of the arena, kept for steps first..last\n\n\
         {:>4}  {:<20} {:<12} {:>16} {:>5} {:>22} {:>9} {:>12} {:>10} {:>12} {:>10}",
        plan.steps().len(),
        "step",
        "name",
        "op",
        "output",
        "type",
        "arena bytes",
        "kept",
        "decode",
        "FLOPs",
        "prefill",
        "FLOPs",
    );
    for (index, node) in plan.steps().iter().enumerate() {
        let spec = plan.graph.tensors[node.output.0];
        let (start, life) = (plan.offsets[node.output.0], plan.lifetimes[node.output.0]);
        let decode = blueprint.cost(node, &blueprint.decode())?;
        let prefill = blueprint.cost(node, &blueprint.prefill())?;
        let _ = writeln!(
            text,
            "{index:>4}  {:<20} {:<12} {:>16} {:>5} {:>22} {:>9} {:>12} {:>10} {:>12} {:>10}",
            node.name,
            node.op.name(),
            format!("{} x {}", spec.rows, spec.cols),
            spec.dtype.name(),
            format!("{start}+{}", life.bytes),
            format!("{}..{}", life.first, life.last),
            binary(decode.bytes()?),
            decimal(decode.flops),
            binary(prefill.bytes()?),
            decimal(prefill.flops),
        );
    }
    Ok(())
}

fn memory(blueprint: &Blueprint, text: &mut String) {
    let engine = &blueprint.engine;
    let _ = writeln!(
        text,
        "\nmemory on {}: {}, stored as {}, {} threads, T = {}, R = {}",
        blueprint.device.text(),
        engine.dtype,
        blueprint.stored,
        engine.threads,
        engine.max_batched_tokens,
        engine.max_logit_rows
    );
    let note = |name: &str| match name {
        "weights_mapped" => "tensor data of the files, shared with the page cache".to_string(),
        "weights_vectors" => "norms and biases as f32".to_string(),
        "weights_converted" => "matrices copied into another type".to_string(),
        "arena" => format!(
            "activations; logits {} of it",
            grouped(blueprint.logits_bytes() as u64)
        ),
        "kv_cache" => format!("{} blocks", grouped(engine.num_blocks() as u64)),
        "weights_packed" => "matrices in the order of the tensor cores".to_string(),
        "weights_rows" => "embedding, row by row".to_string(),
        "attention_partials" => "of a context's chunks, before they are merged".to_string(),
        "step_inputs" => "tokens, places and angles".to_string(),
        _ => String::new(),
    };
    for (name, bytes) in &blueprint.held.parts {
        row(text, name, *bytes, &note(name));
    }
    row(text, "total", blueprint.held.total, "");
    for (name, bytes) in blueprint
        .held
        .estimates
        .iter()
        .filter(|(_, bytes)| *bytes > 0)
    {
        row(text, name, *bytes, "not in the total");
    }
    for note in &blueprint.device.notes {
        let _ = writeln!(text, "  note: {note}");
    }
}

fn row(text: &mut String, name: &str, bytes: u64, note: &str) {
    let line = format!(
        "  {name:<22} {:>18} B {:>12}  {note}",
        grouped(bytes),
        binary(bytes)
    );
    let _ = writeln!(text, "{}", line.trim_end());
}

fn cache(blueprint: &Blueprint, text: &mut String) {
    let (engine, fit) = (&blueprint.engine, &blueprint.fit);
    let _ = writeln!(
        text,
        "\nKV cache: blocks of {} tokens, {} B each; {} x {} tokens take {} blocks",
        qwarp::config::engine::BLOCK_SIZE,
        grouped(fit.block_bytes),
        engine.max_num_seqs,
        grouped(engine.max_model_len as u64),
        grouped(engine.num_blocks() as u64),
    );
    if let Some(memory) = blueprint.memory {
        let model = blueprint.config.max_position_embeddings;
        let bound = if fit.max_model_len == model {
            "the model's own limit"
        } else {
            "one token more does not fit"
        };
        let _ = writeln!(
            text,
            "  {} B hold {} blocks beside {} B of everything else: the largest context is {} tokens, {bound}",
            grouped(memory),
            grouped(fit.blocks),
            grouped(fit.fixed_bytes),
            grouped(fit.max_model_len as u64),
        );
    }
}

fn costs(blueprint: &Blueprint, text: &mut String) -> Result<()> {
    let _ = writeln!(
        text,
        "\n{:<34} {:>12} {:>12} {:>12} {:>12} {:>10}",
        "one step", "bytes", "weights", "cache", "activations", "FLOPs"
    );
    let decode = format!(
        "decode, {} x context {}",
        blueprint.engine.max_num_seqs, blueprint.context
    );
    let prefill = format!("prefill, {} tokens", blueprint.chunk);
    for (name, shape) in [(decode, blueprint.decode()), (prefill, blueprint.prefill())] {
        cost(text, &name, &blueprint.step_cost(&shape)?)?;
    }
    Ok(())
}

fn cost(text: &mut String, name: &str, cost: &Cost) -> Result<()> {
    let _ = writeln!(
        text,
        "{name:<34} {:>12} {:>12} {:>12} {:>12} {:>10}",
        binary(cost.bytes()?),
        binary(cost.weights),
        binary(cost.cache),
        binary(cost.activations),
        decimal(cost.flops),
    );
    Ok(())
}
