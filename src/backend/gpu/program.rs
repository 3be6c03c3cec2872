//! What a plan is on a device: its stages, kernels, weights and buffers, from which the launches of any step follow.

use half::{bf16, f16};

use super::inputs::{Extent, Layout, Widths};
use super::kernels::Kernels;
use super::lower::Stage;
use super::step::{Buffers, Step};
use super::weights::DeviceWeights;
use crate::DType;
use crate::driver::{DevicePtr, DriverError, In, Launch};
use crate::graph::Plan;
use crate::shape::Rows;

/// A plan whose weights and buffers stand on a device.
#[derive(Debug)]
pub struct Program {
    /// What is computed.
    pub plan: Plan,
    /// The same as the kernels do it.
    pub stages: Vec<Stage>,
    /// The kernels.
    pub kernels: Kernels,
    /// The weights.
    pub weights: DeviceWeights,
    /// Everything else.
    pub buffers: Buffers,
    /// KV blocks.
    pub num_blocks: usize,
    /// Most positions of a sequence.
    pub max_model_len: usize,
    /// What the layout of a step's inputs depends on.
    pub widths: Widths,
}

impl Program {
    /// Where the inputs of a step stand.
    pub fn layout(&self, extent: Extent) -> Layout {
        Layout::new(extent, self.widths)
    }

    /// What makes the launches of a step.
    pub fn step(&self, extent: Extent) -> Step<'_> {
        Step {
            kernels: &self.kernels,
            plan: &self.plan,
            weights: &self.weights,
            buffers: &self.buffers,
            extent,
            layout: self.layout(extent),
            num_blocks: self.num_blocks,
        }
    }

    /// The launches of one stage of a step.
    pub fn stage(&self, extent: Extent, stage: &Stage) -> Result<Vec<Launch>, DriverError> {
        let step = self.step(extent);
        match self.plan.graph.matrix {
            DType::Bf16 => step.launches::<bf16>(stage),
            DType::F16 | DType::F32 => step.launches::<f16>(stage),
        }
    }

    /// `(rows, vocab)` and vocab, where the plan ends with logits.
    pub fn logits(&self, rows: usize) -> Option<(In<f32>, usize)> {
        let output = self.plan.graph.output()?;
        let spec = self.plan.graph.tensors[output.0];
        if (spec.rows, spec.dtype) != (Rows::Logits, DType::F32) {
            return None;
        }
        let at = self.buffers.arena.0 + self.plan.offsets[output.0] as u64;
        Some((In::new(DevicePtr(at), rows * spec.cols), spec.cols))
    }

    /// The name of the node that makes the logits.
    pub fn head(&self) -> String {
        let last = self.plan.steps().last();
        last.map_or_else(String::new, |node| node.name.clone())
    }
}
