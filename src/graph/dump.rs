//! A plan as text: one line a step, with shapes, arena ranges and lifetimes.

use std::fmt::Write;

use super::op::{Op, TensorId};
use super::plan::Plan;

/// The whole plan. Stable, so that it can be compared between versions.
pub fn dump(plan: &Plan) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "plan: {} steps, T <= {}, R <= {}, matrix inputs {}, arena {} bytes",
        plan.steps().len(),
        plan.max_rows.tokens,
        plan.max_rows.logits,
        plan.graph.matrix,
        plan.arena_bytes
    );
    for (step, node) in plan.steps().iter().enumerate() {
        let inputs: Vec<String> = node.inputs.iter().map(|id| tensor(plan, *id)).collect();
        let _ = writeln!(
            text,
            "{step:4}  {:<24} {:<12} {}{} -> {}",
            node.name,
            node.op.name(),
            inputs.join(", "),
            weight(plan, &node.op),
            tensor(plan, node.output)
        );
    }
    text
}

fn tensor(plan: &Plan, id: TensorId) -> String {
    let spec = &plan.graph.tensors[id.0];
    let start = plan.offsets[id.0];
    format!(
        "t{}({}, {}) {} @{start}..{}",
        id.0,
        spec.rows,
        spec.cols,
        spec.dtype,
        start + plan.max_bytes(id)
    )
}

fn weight(plan: &Plan, op: &Op) -> String {
    let name = |id: &super::WeightId| {
        let spec = &plan.graph.weights[id.0];
        match spec.cols {
            Some(cols) => format!(" {}({}, {cols})", spec.name, spec.rows()),
            None => format!(" {}({})", spec.name, spec.rows()),
        }
    };
    match op {
        Op::Embed { table } => name(table),
        Op::RmsNorm { weight, eps } => format!("{} eps {eps:e}", name(weight)),
        Op::Linear { weight, bias } => name(weight) + &bias.as_ref().map(name).unwrap_or_default(),
        Op::RopeAppend { .. } | Op::Attention { .. } | Op::SiluMul | Op::SelectRows => {
            String::new()
        }
    }
}
