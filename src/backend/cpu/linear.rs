//! The linear op on threads: each thread multiplies its own columns of the output, for all tokens.

use std::marker::PhantomData;
use std::ops::Range;

use super::element::{Element, StoredFor, pack, packed_len};
use super::exec::Step;
use super::matmul::Matmul;
use super::pool::Worker;
use super::simd::{LANES, Path};
use crate::checkpoint::weights::Elements;
use crate::graph::{Node, Op, Plan, WeightId};

/// Tokens whose packed activations a thread keeps at hand while it walks its weight rows.
const TOKEN_BLOCK: usize = 32;
/// Weight rows whose results wait in scratch before they go to the output.
const ROW_PANEL: usize = 256;

/// Floats of scratch a thread needs for the linear ops of `plan`: the packed activations of a token block, and a panel of
/// results.
pub fn scratch_floats(plan: &Plan) -> usize {
    let linear = plan
        .steps()
        .iter()
        .filter(|node| matches!(node.op, Op::Linear { .. }));
    let need = linear.map(|node| {
        let spec = plan.graph.tensors[node.inputs[0].0];
        TOKEN_BLOCK.min(plan.max_rows.of(spec.rows)) * (packed_len(spec.cols) + ROW_PANEL)
    });
    need.max().unwrap_or(0)
}

/// Which matrix type can read which stored weights; the three implementations are the table.
pub trait Run: Element + StoredFor<Self> {
    /// Multiplies with some rows of one stacked part of a matrix.
    fn multiply(elements: Elements<'_>, task: Product<'_>, path: Path);
}

/// A matrix product of a block of tokens with some rows of one weight part.
pub struct Product<'a> {
    /// Packed activations, one row a token.
    x: &'a [f32],
    /// Row length.
    k: usize,
    /// Rows of the part.
    rows: Range<usize>,
    /// One value a row.
    bias: Option<&'a [f32]>,
    /// `(tokens, rows)`.
    out: &'a mut [f32],
}

impl Product<'_> {
    fn run<C: Element, W: StoredFor<C>>(self, values: &[W], path: Path) {
        let Product {
            x,
            k,
            rows,
            bias,
            out,
        } = self;
        let w = &values[rows.start * k..rows.end * k];
        path.run(Matmul::<C, W> {
            x,
            w,
            k,
            bias,
            out,
            element: PhantomData,
        });
    }
}

impl Run for half::bf16 {
    fn multiply(elements: Elements<'_>, task: Product<'_>, path: Path) {
        match elements {
            Elements::Bf16(values) => task.run::<Self, _>(values, path),
            Elements::F16(_) | Elements::F32(_) => {
                unreachable!("weights are loaded in the matrix type")
            }
        }
    }
}

impl Run for half::f16 {
    fn multiply(elements: Elements<'_>, task: Product<'_>, path: Path) {
        match elements {
            Elements::F16(values) => task.run::<Self, _>(values, path),
            Elements::Bf16(_) | Elements::F32(_) => {
                unreachable!("weights are loaded in the matrix type")
            }
        }
    }
}

impl Run for f32 {
    fn multiply(elements: Elements<'_>, task: Product<'_>, path: Path) {
        match elements {
            Elements::Bf16(values) => task.run::<Self, _>(values, path),
            Elements::F16(values) => task.run::<Self, _>(values, path),
            Elements::F32(values) => task.run::<Self, _>(values, path),
        }
    }
}

impl Step<'_> {
    /// `out = x W^T + bias`, or `out = residual + (x W^T + bias)`.
    pub(super) fn linear<C: Run>(
        &self,
        worker: Worker<'_>,
        node: &Node,
        weight: WeightId,
        bias: Option<WeightId>,
    ) {
        let (input, k) = (node.inputs[0], self.cols(node.inputs[0]));
        let columns = worker.share(self.cols(node.output), LANES);
        let (rows, packed) = (self.rows(node.output), packed_len(k));
        for first in (0..rows).step_by(TOKEN_BLOCK) {
            let count = TOKEN_BLOCK.min(rows - first);
            // SAFETY: the op's only scratch.
            let scratch = unsafe { self.scratch(worker, count * (packed + ROW_PANEL)) };
            let (x, results) = scratch.split_at_mut(count * packed);
            for (t, out) in x.chunks_mut(packed).enumerate() {
                pack(self.input::<C>(input, first + t), out);
            }
            let mut part_start = 0;
            for part in self.weights.matrix(weight) {
                let start = columns.start.clamp(part_start, part_start + part.rows);
                let end = columns.end.clamp(part_start, part_start + part.rows);
                for panel in (start..end).step_by(ROW_PANEL) {
                    let panel = panel..end.min(panel + ROW_PANEL);
                    let rows = panel.start - part_start..panel.end - part_start;
                    let bias = bias.map(|id| &self.weights.vector(id)[panel.clone()]);
                    let out = &mut results[..count * panel.len()];
                    C::multiply(
                        part.elements,
                        Product {
                            x,
                            k,
                            rows,
                            bias,
                            out,
                        },
                        self.path,
                    );
                    self.write_panel(node, first, panel, out);
                }
                part_start += part.rows;
            }
        }
    }

    /// Stores `results (tokens, columns)` for the tokens from `first` on, with the residual added if there is one.
    fn write_panel(&self, node: &Node, first: usize, columns: Range<usize>, results: &[f32]) {
        let residual = node.inputs.get(1).copied();
        let in_place = residual.is_some() && self.plan.aliases[node.output.0] == residual;
        for (t, row) in results.chunks(columns.len()).enumerate() {
            // SAFETY: columns are shared out among the threads.
            let out: &mut [f32] = unsafe { self.output(node.output, first + t, columns.clone()) };
            match residual {
                None => out.copy_from_slice(row),
                // The output's bytes are the residual's: read them through the output alone.
                Some(_) if in_place => out.iter_mut().zip(row).for_each(|(out, x)| *out += x),
                Some(residual) => {
                    let residual = &self.input::<f32>(residual, first + t)[columns.clone()];
                    for ((out, x), old) in out.iter_mut().zip(row).zip(residual) {
                        *out = old + x;
                    }
                }
            }
        }
    }
}
