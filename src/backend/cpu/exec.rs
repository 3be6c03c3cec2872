//! One step on every worker thread: each op's rows or columns are split among the threads, with a barrier after each op.
//!
//! How an op is split never shows in its bits: threads share outputs, not sums.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::attention::{Attention, Query, TILE};
use super::element::Element;
use super::elementwise::{RmsNorm, SiluMul, first_unfit, rotate, round_row};
use super::kv_cache::KvCache;
use super::linear::Run;
use super::memory::Shared;
use super::pool::Worker;
use super::rope::RopeTable;
use super::simd::{LANES, Path};
use crate::backend::{SequenceSpan, StepInputs};
use crate::checkpoint::Weights;
use crate::checkpoint::weights::Elements;
use crate::graph::{Node, Op, Plan, TensorId, WeightId};
use crate::shape::{Heads, Rows};

/// Everything a step reads and writes.
pub struct Step<'a> {
    /// What to run.
    pub plan: &'a Plan,
    /// Which of its nodes.
    pub nodes: Range<usize>,
    /// Its weights.
    pub weights: &'a Weights,
    /// Activations.
    pub arena: &'a Shared,
    /// Keys and values.
    pub cache: &'a KvCache,
    /// One scratch memory a thread.
    pub scratch: &'a [Shared],
    /// The step's tokens.
    pub inputs: &'a StepInputs,
    /// Angles of the step's positions.
    pub rope: &'a RopeTable,
    /// Instructions to use.
    pub path: Path,
    /// The first value that left its type's range.
    pub fault: &'a Mutex<Option<Fault>>,
}

/// A value that does not fit the matrix type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// Step of the plan.
    pub step: usize,
    /// Row of the op's output.
    pub row: usize,
    /// Column of the op's output (of its input for keys and values).
    pub column: usize,
    /// The value.
    pub value: f32,
}

impl Step<'_> {
    /// Runs the nodes on this worker.
    pub fn run<C: Run>(&self, worker: Worker<'_>) {
        for index in self.nodes.clone() {
            let node = &self.plan.steps()[index];
            match node.op {
                Op::Embed { table } => self.embed(worker, node, table),
                Op::RmsNorm { weight, eps } => self.rms_norm::<C>(worker, index, node, weight, eps),
                Op::Linear { weight, bias } => self.linear::<C>(worker, node, weight, bias),
                Op::RopeAppend { layer, heads, .. } => {
                    self.rope_append::<C>(worker, index, node, layer, heads)
                }
                Op::Attention { layer, heads } => {
                    self.attention::<C>(worker, index, node, layer, heads)
                }
                Op::SiluMul => self.silu_mul::<C>(worker, index, node),
                Op::SelectRows => self.select_rows(worker, node),
            }
            worker.barrier();
        }
    }

    pub(super) fn rows(&self, id: TensorId) -> usize {
        match self.plan.graph.tensors[id.0].rows {
            Rows::Tokens => self.inputs.token_ids.len(),
            Rows::Logits => self.inputs.logit_rows.len(),
        }
    }

    pub(super) fn cols(&self, id: TensorId) -> usize {
        self.plan.graph.tensors[id.0].cols
    }

    /// A row of a tensor that this op reads.
    pub(super) fn input<T: bytemuck::Pod>(&self, id: TensorId, row: usize) -> &[T] {
        let cols = self.cols(id);
        // SAFETY: an op's inputs were written before the last barrier, and the plan's verified arena gives them bytes that
        // its output does not have, except in place, where `linear` reads and writes through the output alone.
        unsafe {
            self.arena
                .read(self.plan.offsets[id.0] / size_of::<T>() + row * cols, cols)
        }
    }

    /// Columns of a row of the tensor that this op writes.
    ///
    /// # Safety
    /// No other thread touches these columns of this row before the next barrier.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn output<T: bytemuck::Pod>(
        &self,
        id: TensorId,
        row: usize,
        columns: Range<usize>,
    ) -> &mut [T] {
        let start = self.plan.offsets[id.0] / size_of::<T>() + row * self.cols(id);
        // SAFETY: passed on to the caller.
        unsafe { self.arena.write(start + columns.start, columns.len()) }
    }

    /// This thread's scratch, as `len` floats.
    ///
    /// # Safety
    /// The thread holds no other slice of it.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn scratch(&self, worker: Worker<'_>, len: usize) -> &mut [f32] {
        // SAFETY: only this thread uses this memory; once at a time by the caller's promise.
        unsafe { self.scratch[worker.index].write(0, len) }
    }

    /// Records a value that does not fit: the one at `found.0` of the columns from `first` on.
    fn note(&self, step: usize, row: usize, first: usize, found: Option<(usize, f32)>) {
        let Some((index, value)) = found else { return };
        let column = first + index;
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        // The earliest, so that the report does not depend on the threads.
        let earlier = |known: Fault| (step, row, column) < (known.step, known.row, known.column);
        if fault.is_none_or(earlier) {
            *fault = Some(Fault {
                step,
                row,
                column,
                value,
            });
        }
    }

    fn embed(&self, worker: Worker<'_>, node: &Node, table: WeightId) {
        let cols = self.cols(node.output);
        let Some(part) = self.weights.matrix(table).next() else {
            return;
        };
        for t in worker.share(self.inputs.token_ids.len(), 1) {
            let start = self.inputs.token_ids[t] as usize * cols;
            // SAFETY: rows are shared out among the threads.
            let out: &mut [f32] = unsafe { self.output(node.output, t, 0..cols) };
            match part.elements {
                Elements::Bf16(values) => widen(&values[start..start + cols], out),
                Elements::F16(values) => widen(&values[start..start + cols], out),
                Elements::F32(values) => widen(&values[start..start + cols], out),
            }
        }
    }

    fn rms_norm<C: Run>(
        &self,
        worker: Worker<'_>,
        step: usize,
        node: &Node,
        weight: WeightId,
        eps: f32,
    ) {
        let cols = self.cols(node.output);
        // SAFETY: the op's only scratch.
        let normed = unsafe { self.scratch(worker, cols) };
        for row in worker.share(self.rows(node.output), 1) {
            let x = self.input(node.inputs[0], row);
            self.path.run(RmsNorm {
                x,
                weight: self.weights.vector(weight),
                eps,
                out: normed,
            });
            // SAFETY: rows are shared out among the threads.
            let out: &mut [C] = unsafe { self.output(node.output, row, 0..cols) };
            self.note(step, row, 0, round_row(normed, out));
        }
    }

    fn rope_append<C: Run>(
        &self,
        worker: Worker<'_>,
        step: usize,
        node: &Node,
        layer: usize,
        heads: Heads,
    ) {
        let (dim, tokens) = (heads.dim, self.rows(node.output));
        // SAFETY: the op's only scratch.
        let row = unsafe { self.scratch(worker, heads.q_dim()) };
        for t in worker.share(tokens, 1) {
            let (cos, sin) = self.rope.angles(t);
            row.copy_from_slice(&self.input::<f32>(node.inputs[0], t)[..heads.q_dim()]);
            for head in row.chunks_mut(dim) {
                rotate(head, cos, sin);
            }
            // SAFETY: tokens are shared out among the threads.
            let out: &mut [C] = unsafe { self.output(node.output, t, 0..heads.q_dim()) };
            self.note(step, t, 0, round_row(row, out));
        }
        for head in worker.share(heads.kv, 1) {
            for t in 0..tokens {
                let (cos, sin) = self.rope.angles(t);
                let qkv = &self.input::<f32>(node.inputs[0], t)[heads.q_dim()..];
                let (keys, values) = qkv.split_at(heads.kv_dim());
                let key = &mut row[..dim];
                key.copy_from_slice(&keys[head * dim..(head + 1) * dim]);
                rotate(key, cos, sin);
                let value = &values[head * dim..(head + 1) * dim];
                let column = heads.q_dim() + head * dim;
                self.note(step, t, column, first_unfit::<C>(key));
                self.note(step, t, column + heads.kv_dim(), first_unfit::<C>(value));
                // SAFETY: heads are shared out among the threads, and a tile belongs to one head.
                unsafe {
                    self.cache.append::<C>(
                        layer,
                        self.inputs.slot_mapping[t] as usize,
                        head,
                        key,
                        value,
                    )
                };
            }
        }
    }

    fn attention<C: Run>(
        &self,
        worker: Worker<'_>,
        step: usize,
        node: &Node,
        layer: usize,
        heads: Heads,
    ) {
        let mut unit = 0;
        let mut first_token = 0;
        for span in &self.inputs.sequences {
            // A row of work is one (token, query head of the group); tiles take TILE of them in order.
            let rows = span.tokens * heads.group();
            for head in 0..heads.kv {
                for first in (0..rows).step_by(TILE) {
                    // Round robin: later tiles see more keys, so neighbours go to different threads.
                    if unit % worker.count == worker.index {
                        let count = TILE.min(rows - first);
                        self.attention_tile::<C>(
                            worker,
                            step,
                            node,
                            layer,
                            heads,
                            head,
                            *span,
                            first_token,
                            first..first + count,
                        );
                    }
                    unit += 1;
                }
            }
            first_token += span.tokens;
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn attention_tile<C: Run>(
        &self,
        worker: Worker<'_>,
        step: usize,
        node: &Node,
        layer: usize,
        heads: Heads,
        head: usize,
        span: SequenceSpan,
        first_token: usize,
        rows: Range<usize>,
    ) {
        let (dim, group) = (heads.dim, heads.group());
        let place = |row: usize| (row / group, (head * group + row % group) * dim);
        let query = |r: usize| {
            let (token, column) = place(r);
            let q = &self.input::<C>(node.inputs[0], first_token + token)[column..column + dim];
            Query {
                q,
                visible: span.cached + token + 1,
            }
        };
        let mut queries = [query(rows.start); TILE];
        for (query_slot, row) in queries.iter_mut().zip(rows.clone()) {
            *query_slot = query(row);
        }
        let sink = |r: usize, values: &[f32]| {
            let (token, column) = place(rows.start + r);
            // SAFETY: each (token, head) belongs to one tile, and each tile to one thread.
            let out: &mut [C] =
                unsafe { self.output(node.output, first_token + token, column..column + dim) };
            self.note(step, first_token + token, column, round_row(values, out));
        };
        // SAFETY: the op's only scratch.
        let scratch = unsafe { self.scratch(worker, super::attention::scratch_len(dim)) };
        self.path.run(Attention {
            queries: &queries[..rows.len()],
            cache: self.cache,
            block_table: &self.inputs.block_tables
                [span.table_start..span.table_start + span.table_len],
            layer,
            head,
            dim,
            scratch,
            sink,
        });
    }

    fn silu_mul<C: Run>(&self, worker: Worker<'_>, step: usize, node: &Node) {
        let cols = self.cols(node.output);
        let columns = worker.share(cols, LANES);
        // SAFETY: the op's only scratch.
        let products = unsafe { self.scratch(worker, columns.len()) };
        for row in 0..self.rows(node.output) {
            let gate_up = self.input::<f32>(node.inputs[0], row);
            let (gate, up) = (
                &gate_up[columns.clone()],
                &gate_up[cols + columns.start..cols + columns.end],
            );
            self.path.run(SiluMul {
                gate,
                up,
                out: products,
            });
            // SAFETY: columns are shared out among the threads.
            let out: &mut [C] = unsafe { self.output(node.output, row, columns.clone()) };
            self.note(step, row, columns.start, round_row(products, out));
        }
    }

    fn select_rows(&self, worker: Worker<'_>, node: &Node) {
        let cols = self.cols(node.output);
        for r in worker.share(self.inputs.logit_rows.len(), 1) {
            // SAFETY: rows are shared out among the threads.
            let out: &mut [f32] = unsafe { self.output(node.output, r, 0..cols) };
            out.copy_from_slice(self.input(node.inputs[0], self.inputs.logit_rows[r] as usize));
        }
    }
}

fn widen<T: Element>(row: &[T], out: &mut [f32]) {
    for (value, out) in row.iter().zip(out) {
        *out = value.widen();
    }
}
