//! What the nodes of a step wrote, read from the arena and the cache between them, and how long each took.

use std::time::Instant;

use half::{bf16, f16};

use super::CpuBackend;
use super::element::Element;
use crate::DType;
use crate::backend::observe::{After, NodeOutput, NodeTimes, Observer, cols};
use crate::backend::{Backend, StepInputs};
use crate::error::Result;
use crate::graph::Op;
use crate::shape::{Heads, Rows};

impl CpuBackend {
    /// Shows what `node` wrote, and takes what `observer` puts in its place.
    pub(super) fn show(
        &mut self,
        node: usize,
        inputs: &StepInputs,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let (op, output) = (self.plan.steps()[node].op, self.plan.steps()[node].output);
        let rows = match self.plan.graph.tensors[output.0].rows {
            Rows::Tokens => inputs.token_ids.len(),
            Rows::Logits => inputs.logit_rows.len(),
        };
        if rows == 0 {
            return Ok(());
        }
        let mut own = self.read(output, rows);
        let wide = cols(&self.plan, node);
        let mut values = match op {
            Op::RopeAppend { layer, heads, .. } => {
                let mut values = vec![0.0; rows * wide];
                for (row, q) in values.chunks_mut(wide).zip(own.chunks(heads.q_dim())) {
                    row[..q.len()].copy_from_slice(q);
                }
                self.appended(layer, heads, inputs, Way::Out, &mut values);
                values
            }
            _ => std::mem::take(&mut own),
        };
        let shown = NodeOutput {
            plan: &self.plan,
            node,
            cols: wide,
            values: &mut values,
        };
        if observer.after(shown)? == After::Keep {
            return Ok(());
        }
        if let Op::RopeAppend { layer, heads, .. } = op {
            self.appended(layer, heads, inputs, Way::In, &mut values);
            for (row, q) in values.chunks(wide).zip(own.chunks_mut(heads.q_dim())) {
                q.copy_from_slice(&row[..q.len()]);
            }
            return self.write(output, &own);
        }
        self.write(output, &values)
    }

    /// Brings the keys and values that the step appended into `values`, behind each row's query, or puts them back.
    fn appended(
        &mut self,
        layer: usize,
        heads: Heads,
        inputs: &StepInputs,
        way: Way,
        values: &mut [f32],
    ) {
        match self.plan.graph.matrix {
            DType::Bf16 => self.appended_as::<bf16>(layer, heads, inputs, way, values),
            DType::F16 => self.appended_as::<f16>(layer, heads, inputs, way, values),
            DType::F32 => self.appended_as::<f32>(layer, heads, inputs, way, values),
        }
    }

    fn appended_as<C: Element>(
        &mut self,
        layer: usize,
        heads: Heads,
        inputs: &StepInputs,
        way: Way,
        values: &mut [f32],
    ) {
        let wide = heads.q_dim() + 2 * heads.kv_dim();
        for (row, &slot) in values.chunks_mut(wide).zip(&inputs.slot_mapping) {
            let (keys, values) = row[heads.q_dim()..].split_at_mut(heads.kv_dim());
            let each = keys.chunks_mut(heads.dim).zip(values.chunks_mut(heads.dim));
            for (head, (key, value)) in each.enumerate() {
                let slot = slot as usize;
                match way {
                    Way::Out => self.cache.get::<C>(layer, slot, head, key, value),
                    Way::In => self.cache.set::<C>(layer, slot, head, key, value),
                }
            }
        }
    }

    /// The wall time of each node, by itself on all threads.
    pub(super) fn timed(
        &mut self,
        inputs: &StepInputs,
        repetitions: usize,
    ) -> Result<Vec<NodeTimes>> {
        let nodes = 0..self.plan.steps().len();
        let mut times: Vec<NodeTimes> = nodes
            .map(|node| NodeTimes {
                first: node,
                last: node,
                ms: Vec::new(),
            })
            .collect();
        for _ in 0..repetitions {
            for (node, times) in times.iter_mut().enumerate() {
                let started = Instant::now();
                self.run(inputs, node..node + 1)?;
                times.ms.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
        Ok(times)
    }
}

/// From the cache, or into it.
#[derive(Clone, Copy)]
enum Way {
    Out,
    In,
}
