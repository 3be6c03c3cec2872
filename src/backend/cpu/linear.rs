//! The linear op on threads: each thread multiplies its own columns of the output, for all tokens.

use std::marker::PhantomData;
use std::ops::Range;

use super::element::{Element, StoredFor};
use super::exec::Step;
use super::matmul::Matmul;
use super::packed::{pack, packed_len};
use super::pool::Worker;
use super::simd::{LANES, Path};
use crate::checkpoint::weights::Elements;
use crate::graph::{Node, Op, Plan, WeightId};

/// Tokens whose packed activations a thread keeps at hand while it walks its weight rows, which are read from memory once
/// for each block. A multiple of the register tile.
const TOKEN_BLOCK: usize = 128;
/// Weight rows that a thread walks for all tokens of a block at most: their results wait in scratch before they go to the
/// output.
const PANEL_ROWS: usize = 256;
/// Elements of those rows at most, so that they stay in its second-level cache; but never fewer than 16 rows.
const PANEL_ELEMENTS: usize = 256 << 10;
/// Tokens from which on it pays to copy a panel that does not start on a cache line: each load of it would touch two.
/// Measured on two cores of Cascade Lake, without the copy: 150 against 188 GFLOP/s at k = 896.
const COPY_TOKENS: usize = 16;
/// Bytes of a cache line.
const LINE: usize = 64;

/// Rows of a panel of a matrix with `k` columns.
fn panel_rows(k: usize) -> usize {
    (PANEL_ELEMENTS / k).clamp(LANES, PANEL_ROWS)
}

/// Floats of scratch a thread needs for the linear ops of `plan`: the packed activations of a token block, a panel of
/// results, and a copy of a panel of weights.
pub fn scratch_floats(plan: &Plan) -> usize {
    let linear = plan
        .steps()
        .iter()
        .filter(|node| matches!(node.op, Op::Linear { .. }));
    let need = linear.map(|node| {
        let spec = plan.graph.tensors[node.inputs[0].0];
        let tokens = TOKEN_BLOCK.min(plan.max_rows.of(spec.rows));
        tokens * (packed_len(spec.cols) + PANEL_ROWS) + copy_floats(plan, spec.cols)
    });
    need.max().unwrap_or(0)
}

/// Floats that hold a panel: stored weights are never wider than the type they are multiplied in.
fn copy_floats(plan: &Plan, k: usize) -> usize {
    (panel_rows(k) * k * plan.graph.matrix.bytes()).div_ceil(size_of::<f32>())
}

/// Which matrix type can read which stored weights; the three implementations are the table.
pub trait Run: Element + StoredFor<Self> {
    /// Multiplies with some rows of one stacked part of a matrix.
    fn multiply(elements: Elements<'_>, task: Product<'_>, path: Path);
}

/// A matrix product of a block of tokens with some rows of one weight part.
pub struct Product<'a> {
    /// Packed activations.
    x: &'a [f32],
    /// Tokens in `x`.
    tokens: usize,
    /// Row length.
    k: usize,
    /// Rows of the part.
    rows: Range<usize>,
    /// `(tokens, rows)`.
    out: &'a mut [f32],
    /// Room for a copy of the rows.
    copy: &'a mut [f32],
}

impl Product<'_> {
    fn run<C: Element, W: StoredFor<C>>(self, values: &[W], path: Path) {
        let Product {
            x,
            tokens,
            k,
            rows,
            out,
            copy,
        } = self;
        let mut w = &values[rows.start * k..rows.end * k];
        let whole_lines = (k * size_of::<W>()).is_multiple_of(LINE);
        let misaligned = whole_lines && !w.as_ptr().addr().is_multiple_of(LINE);
        if misaligned && tokens >= COPY_TOKENS {
            let copy: &mut [W] = &mut bytemuck::cast_slice_mut(copy)[..w.len()];
            copy.copy_from_slice(w);
            w = copy;
        }
        path.run(Matmul::<C, W> {
            x,
            tokens,
            w,
            k,
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
        let copy_len = copy_floats(self.plan, k);
        for first in (0..rows).step_by(TOKEN_BLOCK) {
            let count = TOKEN_BLOCK.min(rows - first);
            // SAFETY: the op's only scratch.
            let scratch = unsafe { self.scratch(worker, count * (packed + PANEL_ROWS) + copy_len) };
            let (x, rest) = scratch.split_at_mut(count * packed);
            let (results, copy) = rest.split_at_mut(count * PANEL_ROWS);
            let tokens = (first..first + count).map(|t| self.input::<C>(input, t));
            pack(tokens, k, x);
            let mut part_start = 0;
            for part in self.weights.matrix(weight) {
                let start = columns.start.clamp(part_start, part_start + part.rows);
                let end = columns.end.clamp(part_start, part_start + part.rows);
                for panel in (start..end).step_by(panel_rows(k)) {
                    let panel = panel..end.min(panel + panel_rows(k));
                    let rows = panel.start - part_start..panel.end - part_start;
                    let out = &mut results[..count * panel.len()];
                    let task = Product {
                        x,
                        tokens: count,
                        k,
                        rows,
                        out,
                        copy,
                    };
                    C::multiply(part.elements, task, self.path);
                    self.write_panel(node, first, panel, bias, out);
                }
                part_start += part.rows;
            }
        }
    }

    /// Stores `results (tokens, columns)` for the tokens from `first` on, with the bias and the residual added where there
    /// are any.
    fn write_panel(
        &self,
        node: &Node,
        first: usize,
        columns: Range<usize>,
        bias: Option<WeightId>,
        results: &mut [f32],
    ) {
        let bias = bias.map(|id| &self.weights.vector(id)[columns.clone()]);
        let residual = node.inputs.get(1).copied();
        let in_place = residual.is_some() && self.plan.aliases[node.output.0] == residual;
        for (t, row) in results.chunks_mut(columns.len()).enumerate() {
            if let Some(bias) = bias {
                row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
            }
            // SAFETY: columns are shared out among the threads.
            let out: &mut [f32] = unsafe { self.output(node.output, first + t, columns.clone()) };
            match residual {
                None => out.copy_from_slice(row),
                // The output's bytes are the residual's: read them through the output alone.
                Some(_) if in_place => out.iter_mut().zip(row).for_each(|(out, x)| *out += *x),
                Some(residual) => {
                    let residual = &self.input::<f32>(residual, first + t)[columns.clone()];
                    for ((out, x), old) in out.iter_mut().zip(row).zip(residual) {
                        *out = old + *x;
                    }
                }
            }
        }
    }
}
