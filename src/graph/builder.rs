//! Builds a graph node by node; every shape is checked as it is added.

use super::op::{Op, TensorId, TensorSpec, WeightId, WeightKind, WeightSpec};
use super::{Graph, Node};
use crate::DType;
use crate::error::Result;

/// A graph under construction.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// An empty graph whose matrix inputs have type `matrix`.
    pub fn new(matrix: DType) -> Self {
        GraphBuilder {
            graph: Graph {
                matrix,
                tensors: Vec::new(),
                weights: Vec::new(),
                nodes: Vec::new(),
                layers: None,
            },
        }
    }

    /// Declares a matrix of `parts` (checkpoint tensor, rows) stacked by rows, each row `cols` long.
    pub fn matrix(&mut self, name: &str, parts: &[(String, usize)], cols: usize) -> WeightId {
        self.weight(name, parts, Some(cols), WeightKind::Matrix)
    }

    /// Declares a matrix whose rows are only gathered, never multiplied.
    pub fn table(&mut self, name: &str, tensor: String, rows: usize, cols: usize) -> WeightId {
        self.weight(name, &[(tensor, rows)], Some(cols), WeightKind::Table)
    }

    /// Declares a vector of `parts` (checkpoint tensor, elements) one after the other.
    pub fn vector(&mut self, name: &str, parts: &[(String, usize)]) -> WeightId {
        self.weight(name, parts, None, WeightKind::Vector)
    }

    /// Adds an op and returns its output.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        op: Op,
        inputs: &[TensorId],
    ) -> Result<TensorId> {
        let name = name.into();
        let specs: Vec<TensorSpec> = inputs.iter().map(|id| self.graph.tensors[id.0]).collect();
        let output = op.output(&name, &specs, &self.graph.weights, self.graph.matrix)?;
        let id = TensorId(self.graph.tensors.len());
        self.graph.tensors.push(output);
        self.graph.nodes.push(Node {
            name,
            op,
            inputs: inputs.to_vec(),
            output: id,
        });
        if let Op::RopeAppend { layer, heads, .. } = op {
            self.graph.layers = Some((layer + 1, heads));
        }
        Ok(id)
    }

    /// Adds a graph input that something outside the graph writes; used to run single ops.
    pub fn input(&mut self, spec: TensorSpec) -> TensorId {
        self.graph.tensors.push(spec);
        TensorId(self.graph.tensors.len() - 1)
    }

    /// The finished graph; its last node's output is its result.
    pub fn finish(self) -> Graph {
        self.graph
    }

    fn weight(
        &mut self,
        name: &str,
        parts: &[(String, usize)],
        cols: Option<usize>,
        kind: WeightKind,
    ) -> WeightId {
        let spec = WeightSpec {
            name: name.to_string(),
            parts: parts.to_vec(),
            cols,
            kind,
        };
        self.graph.weights.push(spec);
        WeightId(self.graph.weights.len() - 1)
    }
}
