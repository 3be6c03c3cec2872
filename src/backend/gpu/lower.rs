//! From the plan's ops to what the kernels do: a product that the plan fuses with SiLU times up becomes one stage with it.

use crate::graph::{Node, Op, Plan, TensorId, WeightId};
use crate::shape::Heads;

/// What one or two launches do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Work {
    /// `out[t] = table[token_ids[t]]`.
    Embed {
        /// `(vocab, hidden)`.
        table: WeightId,
    },
    /// RMSNorm of `x`.
    RmsNorm {
        /// `(rows, n)`.
        x: TensorId,
        /// `(n)`.
        weight: WeightId,
        /// Added to the mean square.
        eps: f32,
    },
    /// `out = x W^T + bias`, onto what stands in `out` where there is a residual.
    Linear {
        /// `(rows, k)`.
        x: TensorId,
        /// `(n, k)`.
        weight: WeightId,
        /// `(n)`.
        bias: Option<WeightId>,
        /// Whether the product is added to what stands in the output.
        add: bool,
    },
    /// `out = silu(x G^T) * (x U^T)`.
    LinearSiluMul {
        /// `(rows, k)`.
        x: TensorId,
        /// `(2 n, k)`: G, then U.
        weight: WeightId,
    },
    /// Rotation and append to the cache.
    RopeAppend {
        /// `(T, q + 2 kv)`.
        qkv: TensorId,
        /// Which layer's cache.
        layer: usize,
        /// Head layout.
        heads: Heads,
    },
    /// Attention over the cache.
    Attention {
        /// `(T, q)`.
        q: TensorId,
        /// Which layer's cache.
        layer: usize,
        /// Head layout.
        heads: Heads,
    },
    /// `out = silu(gate) * up`.
    SiluMul {
        /// `(rows, 2 n)`.
        gate_up: TensorId,
    },
    /// The rows of `x` whose logits are wanted.
    SelectRows {
        /// `(T, n)`.
        x: TensorId,
    },
}

/// A stage of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// The node of the plan that it ends with: what errors and profiles name.
    pub node: usize,
    /// What it does.
    pub work: Work,
    /// What it writes.
    pub output: TensorId,
}

/// The stages of a plan, in order.
pub fn lower(plan: &Plan) -> Vec<Stage> {
    let steps = plan.steps();
    let mut stages = Vec::with_capacity(steps.len());
    let mut index = 0;
    while let Some(node) = steps.get(index) {
        let next = steps.get(index + 1).filter(|_| plan.fused.contains(&index));
        if let (Some(next), Op::Linear { weight, .. }) = (next, node.op) {
            index += 1;
            stages.push(Stage {
                node: index,
                work: Work::LinearSiluMul {
                    x: node.inputs[0],
                    weight,
                },
                output: next.output,
            });
        } else {
            stages.push(Stage {
                node: index,
                work: work(node),
                output: node.output,
            });
        }
        index += 1;
    }
    stages
}

fn work(node: &Node) -> Work {
    let input = |index: usize| node.inputs.get(index).copied().unwrap_or(node.output);
    match node.op {
        Op::Embed { table } => Work::Embed { table },
        Op::RmsNorm { weight, eps } => Work::RmsNorm {
            x: input(0),
            weight,
            eps,
        },
        Op::Linear { weight, bias } => Work::Linear {
            x: input(0),
            weight,
            bias,
            add: node.inputs.len() == 2,
        },
        Op::RopeAppend { layer, heads, .. } => Work::RopeAppend {
            qkv: input(0),
            layer,
            heads,
        },
        Op::Attention { layer, heads } => Work::Attention {
            q: input(0),
            layer,
            heads,
        },
        Op::SiluMul => Work::SiluMul { gate_up: input(0) },
        Op::SelectRows => Work::SelectRows { x: input(0) },
    }
}
