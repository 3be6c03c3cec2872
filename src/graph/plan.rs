//! A graph with every buffer placed for the largest step. Made from shapes alone: no weight is read.

use super::arena::{Lifetime, place};
use super::op::{Op, TensorId};
use super::verify::verify;
use super::{Graph, Node};
use crate::error::Result;
use crate::limits::Size;
use crate::shape::MaxRows;

/// Order and byte offsets, fixed at start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is computed; its nodes are the steps, in order.
    pub graph: Graph,
    /// The largest step.
    pub max_rows: MaxRows,
    /// Byte offset of each tensor in the arena, by `TensorId`.
    pub offsets: Vec<usize>,
    /// Steps at which each tensor holds a value, by `TensorId`.
    pub lifetimes: Vec<Lifetime>,
    /// Tensors that stand on another tensor's bytes because their op works in place, by `TensorId`.
    pub aliases: Vec<Option<TensorId>>,
    /// Products that run as one with the op behind them, ascending: their own outputs are never written.
    pub fused: Vec<usize>,
    /// Those of them that may run as one with the RMSNorm before them too, ascending.
    pub normed: Vec<usize>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
}

impl Plan {
    /// Places the tensors of `graph` for steps of at most `max_rows`.
    pub fn new(graph: Graph, max_rows: MaxRows) -> Result<Self> {
        Self::placed(graph, max_rows, Vec::new())
    }

    /// The same for a backend that computes SiLU times up, and rotation with the append, together with the product before it,
    /// and in some steps with the norm before that.
    pub fn fused(graph: Graph, max_rows: MaxRows) -> Result<Self> {
        let fits = |&index: &usize| fuses(&graph.nodes, index);
        let fused = (0..graph.nodes.len()).filter(fits).collect();
        Self::placed(graph, max_rows, fused)
    }

    fn placed(graph: Graph, max_rows: MaxRows, fused: Vec<usize>) -> Result<Self> {
        let mut lifetimes = lifetimes(&graph, max_rows)?;
        let normed = |&index: &usize| norm_before(&graph.nodes, index).is_some();
        let normed: Vec<usize> = fused.iter().copied().filter(normed).collect();
        for &index in &fused {
            let node = &graph.nodes[index];
            // What the product reads, or the norm before it, is read while the op behind it writes.
            let norm = norm_before(&graph.nodes, index);
            for input in [Some(node), norm].into_iter().flatten() {
                let x = &mut lifetimes[input.inputs[0].0];
                x.last = x.last.max(index + 1);
            }
            lifetimes[node.output.0].bytes = 0;
        }
        let aliases = aliases(&graph, &lifetimes);
        // An aliased chain is placed once, over the union of its members' lifetimes.
        let mut owners: Vec<Option<Lifetime>> = lifetimes.iter().copied().map(Some).collect();
        for index in (0..lifetimes.len()).rev() {
            if let (Some(target), Some(member)) = (
                aliases[index],
                owners[index].take_if(|_| aliases[index].is_some()),
            ) && let Some(owner) = &mut owners[target.0]
            {
                owner.last = owner.last.max(member.last);
                owner.bytes = owner.bytes.max(member.bytes);
            }
        }
        let kept: Vec<usize> = (0..owners.len())
            .filter(|&index| owners[index].is_some())
            .collect();
        let spans: Vec<Lifetime> = owners.iter().flatten().copied().collect();
        let (placed, arena_bytes) = place(&spans);
        let mut offsets = vec![0; lifetimes.len()];
        for (&index, offset) in kept.iter().zip(placed) {
            offsets[index] = offset;
        }
        for index in 0..offsets.len() {
            // An alias points at a tensor made earlier, so its offset is already final.
            if let Some(target) = aliases[index] {
                offsets[index] = offsets[target.0];
            }
        }
        let plan = Plan {
            graph,
            max_rows,
            offsets,
            lifetimes,
            aliases,
            fused,
            normed,
            arena_bytes,
        };
        verify(&plan)?;
        Ok(plan)
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Node] {
        &self.graph.nodes
    }

    /// Bytes of `id` at the largest step.
    pub fn max_bytes(&self, id: TensorId) -> usize {
        self.lifetimes[id.0].bytes
    }
}

/// Whether node `index` is a product onto nothing and the next, which alone reads it, can finish it: SiLU times up where it has
/// no bias, or rotation and append.
fn fuses(nodes: &[Node], index: usize) -> bool {
    let (node, Some(next)) = (&nodes[index], nodes.get(index + 1)) else {
        return false;
    };
    let Op::Linear { bias, .. } = node.op else {
        return false;
    };
    let finishes = match next.op {
        Op::SiluMul => bias.is_none(),
        Op::RopeAppend { .. } => true,
        _ => false,
    };
    finishes && node.inputs.len() == 1 && next.inputs == [node.output] && read_once(nodes, node)
}

/// The RMSNorm before product `index`, where nothing but the product reads it.
fn norm_before(nodes: &[Node], index: usize) -> Option<&Node> {
    let norm = nodes.get(index.checked_sub(1)?)?;
    let normed = matches!(norm.op, Op::RmsNorm { .. }) && nodes[index].inputs == [norm.output];
    (normed && read_once(nodes, norm)).then_some(norm)
}

fn read_once(nodes: &[Node], node: &Node) -> bool {
    let readers = nodes.iter().filter(|n| n.inputs.contains(&node.output));
    readers.count() == 1
}

fn lifetimes(graph: &Graph, max_rows: MaxRows) -> Result<Vec<Lifetime>> {
    let mut lifetimes = Vec::with_capacity(graph.tensors.len());
    for spec in &graph.tensors {
        let rows = Size::new(max_rows.of(spec.rows) as u64);
        let bytes = rows
            .times(spec.row_bytes() as u64, "arena tensor")?
            .to_usize("arena tensor")?;
        lifetimes.push(Lifetime {
            first: 0,
            last: 0,
            bytes,
        });
    }
    for (step, node) in graph.nodes.iter().enumerate() {
        lifetimes[node.output.0].first = step;
        lifetimes[node.output.0].last = step;
        for input in &node.inputs {
            lifetimes[input.0].last = step;
        }
    }
    if let Some(output) = graph.output() {
        lifetimes[output.0].last = graph.nodes.len();
    }
    Ok(lifetimes)
}

/// An output takes over its in-place input's bytes when nothing reads that input afterwards.
fn aliases(graph: &Graph, lifetimes: &[Lifetime]) -> Vec<Option<TensorId>> {
    let mut aliases = vec![None; graph.tensors.len()];
    for (step, node) in graph.nodes.iter().enumerate() {
        let Some(&input) = node
            .op
            .in_place_input()
            .and_then(|index| node.inputs.get(index))
        else {
            continue;
        };
        let same_size = lifetimes[input.0].bytes == lifetimes[node.output.0].bytes;
        let read_once = node.inputs.iter().filter(|other| **other == input).count() == 1;
        if same_size && read_once && lifetimes[input.0].last == step {
            aliases[node.output.0] = Some(input);
        }
    }
    aliases
}
