//! From the plan's ops to what the kernels do: a product that the plan fuses with the op behind it becomes one stage with it.

use crate::error::{Error, Result};
use crate::graph::{Node, Op, Plan, TensorId, WeightId};
use crate::shape::Heads;

/// An RMSNorm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// `(rows, n)`.
    pub x: TensorId,
    /// `(n)`.
    pub weight: WeightId,
    /// Added to the mean square.
    pub eps: f32,
}

/// What one or two launches do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Work {
    /// `out[t] = table[token_ids[t]]`.
    Embed {
        /// `(vocab, hidden)`.
        table: WeightId,
    },
    /// RMSNorm.
    RmsNorm(Norm),
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
        /// What makes x, if it belongs to the stage.
        norm: Option<Norm>,
        /// `(rows, k)`.
        x: TensorId,
        /// `(2 n, k)`: G, then U.
        weight: WeightId,
    },
    /// q, k and v of x; rotation, and append to the cache.
    LinearRopeAppend {
        /// What makes x, if it belongs to the stage.
        norm: Option<Norm>,
        /// `(T, k)`.
        x: TensorId,
        /// `(q + 2 kv, k)`.
        weight: WeightId,
        /// `(q + 2 kv)`.
        bias: Option<WeightId>,
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

/// The stages of a plan, in order. Refuses a rotation that the plan does not fuse with a product: there is no kernel for it.
pub fn lower(plan: &Plan) -> Result<Vec<Stage>> {
    let steps = plan.steps();
    let mut stages = Vec::with_capacity(steps.len());
    let mut index = 0;
    while let Some(node) = steps.get(index) {
        // A norm that may run with the product behind it is a part of that product's stage.
        let before = norm(node).filter(|_| plan.normed.contains(&(index + 1)));
        index += usize::from(before.is_some());
        let product = plan.fused.contains(&index);
        let (work, output) = match (steps.get(index), steps.get(index + 1)) {
            (Some(node), Some(next)) if product => (fused(before, node, next)?, next.output),
            _ => (work(node)?, node.output),
        };
        index += usize::from(product);
        stages.push(Stage {
            node: index,
            work,
            output,
        });
        index += 1;
    }
    Ok(stages)
}

fn norm(node: &Node) -> Option<Norm> {
    match node.op {
        Op::RmsNorm { weight, eps } => Some(Norm {
            x: input(node, 0),
            weight,
            eps,
        }),
        _ => None,
    }
}

fn unknown(node: &Node, found: &str) -> Error {
    Error::Shape {
        op: node.name.clone(),
        dim: "what there is a kernel for".into(),
        found: found.into(),
        expected: "a product that the plan fuses with it before it".into(),
    }
}

fn input(node: &Node, index: usize) -> TensorId {
    node.inputs.get(index).copied().unwrap_or(node.output)
}

/// A product, the op behind it, and the norm before it if that is a part.
fn fused(norm: Option<Norm>, node: &Node, next: &Node) -> Result<Work> {
    let x = input(node, 0);
    match (node.op, next.op) {
        (Op::Linear { weight, .. }, Op::SiluMul) => Ok(Work::LinearSiluMul { norm, x, weight }),
        (Op::Linear { weight, bias }, Op::RopeAppend { layer, heads, .. }) => {
            Ok(Work::LinearRopeAppend {
                norm,
                x,
                weight,
                bias,
                layer,
                heads,
            })
        }
        _ => Err(unknown(next, node.op.name())),
    }
}

fn work(node: &Node) -> Result<Work> {
    Ok(match node.op {
        Op::Embed { table } => Work::Embed { table },
        Op::RmsNorm { weight, eps } => Work::RmsNorm(Norm {
            x: input(node, 0),
            weight,
            eps,
        }),
        Op::Linear { weight, bias } => Work::Linear {
            x: input(node, 0),
            weight,
            bias,
            add: node.inputs.len() == 2,
        },
        Op::RopeAppend { .. } => return Err(unknown(node, "a tensor of its own")),
        Op::Attention { layer, heads } => Work::Attention {
            q: input(node, 0),
            layer,
            heads,
        },
        Op::SiluMul => Work::SiluMul {
            gate_up: input(node, 0),
        },
        Op::SelectRows => Work::SelectRows { x: input(node, 0) },
    })
}
