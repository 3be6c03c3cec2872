//! What to compute (`Graph`), and in which order and at which bytes (`Plan`).

pub mod arena;
pub mod builder;
pub mod cost;
pub mod op;
pub mod plan;
pub mod verify;

pub use builder::GraphBuilder;
pub use op::{Op, TensorId, TensorSpec, WeightId, WeightKind, WeightSpec};
pub use plan::Plan;

use crate::DType;
use crate::shape::Heads;

/// One operation of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name in plans and errors, such as `layer 3 qkv`.
    pub name: String,
    /// The operation.
    pub op: Op,
    /// Tensors it reads.
    pub inputs: Vec<TensorId>,
    /// The tensor it writes.
    pub output: TensorId,
}

/// What to compute, in an order that is already executable.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Type of matrix inputs and of the KV cache.
    pub matrix: DType,
    /// All tensors, by `TensorId`.
    pub tensors: Vec<TensorSpec>,
    /// All weights, by `WeightId`.
    pub weights: Vec<WeightSpec>,
    /// The operations.
    pub nodes: Vec<Node>,
    /// Layers with a KV cache and their head layout, if the graph has any.
    pub layers: Option<(usize, Heads)>,
}

impl Graph {
    /// The tensor that the last node writes.
    pub fn output(&self) -> Option<TensorId> {
        self.nodes.last().map(|node| node.output)
    }
}
