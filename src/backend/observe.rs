//! Looking at a step while it runs: what each node of the plan wrote, and how long it took. A step that nobody looks at
//! (`Backend::submit`) pays nothing for it.

use crate::error::{Error, Result};
use crate::graph::{Node, Op, Plan};

/// What a node wrote.
#[derive(Debug)]
pub struct NodeOutput<'a> {
    /// The plan that it belongs to.
    pub plan: &'a Plan,
    /// Its index in the plan.
    pub node: usize,
    /// Elements of a row.
    pub cols: usize,
    /// `(rows, cols)`, widened to f32. A row of an op that appends to the cache ends with the key and the value that it
    /// appended.
    pub values: &'a mut [f32],
}

/// What becomes of a node's output once it has been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It stays.
    Keep,
    /// `values`, as they are now, take its place, rounded to its type; later nodes read them.
    Replace,
}

/// Looks at the nodes of a step, in order. A node whose product runs as one with the next has no output of its own and is
/// not shown; neither is one without rows.
pub trait Observer {
    /// Called when a node has run. An error ends the step.
    fn after(&mut self, output: NodeOutput<'_>) -> Result<After>;
}

/// How long a node took.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeTimes {
    /// The first node of the plan that it is for.
    pub first: usize,
    /// The last one: more than `first` where several run as one.
    pub last: usize,
    /// Of each repetition, in milliseconds.
    pub ms: Vec<f64>,
}

/// How long a device took for a whole step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTimes {
    /// For the launches up to the logits, of each repetition, in milliseconds.
    pub logits_ms: Vec<f64>,
    /// For those and what draws the tokens.
    pub tokens_ms: Vec<f64>,
}

impl NodeOutput<'_> {
    /// The node.
    pub fn what(&self) -> &Node {
        &self.plan.steps()[self.node]
    }
}

/// Elements of a row of node `node` as observers see it.
pub(super) fn cols(plan: &Plan, node: usize) -> usize {
    let node = &plan.steps()[node];
    match node.op {
        Op::RopeAppend { heads, .. } => heads.q_dim() + 2 * heads.kv_dim(),
        _ => plan.graph.tensors[node.output.0].cols,
    }
}

/// Ends a step at the first value that is infinite or not a number, which would otherwise come out as a token that means
/// nothing.
#[derive(Debug, Clone, Copy)]
pub struct FiniteCheck;

impl Observer for FiniteCheck {
    fn after(&mut self, output: NodeOutput<'_>) -> Result<After> {
        let found = output.values.iter().position(|value| !value.is_finite());
        let Some(index) = found else {
            return Ok(After::Keep);
        };
        let node = output.what();
        let dtype = output.plan.graph.tensors[node.output.0].dtype;
        Err(Error::Range {
            op: node.name.clone(),
            row: index / output.cols,
            column: Some(index % output.cols),
            value: output.values[index],
            dtype: dtype.name(),
            hint: super::range_hint(output.plan.graph.matrix),
        })
    }
}
