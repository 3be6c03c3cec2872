//! Proof obligations of a plan, checked each time one is made: values are written before they are read, and
//! two tensors share bytes only where one takes over from the other.

use super::op::TensorId;
use super::plan::Plan;
use crate::error::{Error, Result};

/// Checks `plan`; an error is a defect of the planner or of a graph builder, found before anything runs.
pub fn verify(plan: &Plan) -> Result<()> {
    let graph = &plan.graph;
    let mut written: Vec<bool> = vec![true; graph.tensors.len()];
    for node in &graph.nodes {
        written[node.output.0] = false;
    }
    for node in &graph.nodes {
        if let Some(input) = node.inputs.iter().find(|input| !written[input.0]) {
            return Err(fault(
                &node.name,
                format!("tensor {}", input.0),
                "read before it is written",
                "written first",
            ));
        }
        written[node.output.0] = true;
    }
    for a in 0..graph.tensors.len() {
        for b in a + 1..graph.tensors.len() {
            check_pair(plan, TensorId(a), TensorId(b))?;
        }
    }
    Ok(())
}

fn check_pair(plan: &Plan, a: TensorId, b: TensorId) -> Result<()> {
    let (life_a, life_b) = (plan.lifetimes[a.0], plan.lifetimes[b.0]);
    let (start_a, start_b) = (plan.offsets[a.0], plan.offsets[b.0]);
    let disjoint = start_a + life_a.bytes <= start_b || start_b + life_b.bytes <= start_a;
    if disjoint || !life_a.overlaps(&life_b) || hands_over(plan, a, b) || hands_over(plan, b, a) {
        return Ok(());
    }
    Err(fault(
        &format!("tensors {} and {}", a.0, b.0),
        "arena bytes".to_string(),
        format!("{start_a}+{} and {start_b}+{}", life_a.bytes, life_b.bytes),
        "disjoint ranges while both are live",
    ))
}

/// `later` is written in place of `earlier` at the very step that reads `earlier` last.
fn hands_over(plan: &Plan, earlier: TensorId, later: TensorId) -> bool {
    plan.aliases[later.0] == Some(earlier)
        && plan.lifetimes[earlier.0].last == plan.lifetimes[later.0].first
        && plan.offsets[earlier.0] == plan.offsets[later.0]
}

fn fault(op: &str, dim: String, found: impl ToString, expected: &str) -> Error {
    Error::Shape {
        op: op.to_string(),
        dim,
        found: found.to_string(),
        expected: expected.to_string(),
    }
}
