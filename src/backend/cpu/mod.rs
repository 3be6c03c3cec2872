//! The CPU backend: the plan's ops on worker threads, each op by one written definition (`element`, `attention`, `exp`)
//! that every SIMD path computes bit for bit. `reference` is the same semantics in scalar f64.

pub mod attention;
pub mod bandwidth;
pub mod element;
pub mod elementwise;
pub mod exec;
pub mod exp;
pub mod footprint;
pub mod kv_cache;
pub mod linear;
pub mod matmul;
pub mod memory;
mod observe;
pub mod packed;
pub mod peak;
pub mod pool;
pub mod reference;
pub mod rope;
pub mod simd;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};

use super::inputs::Limits;
use super::observe::{NodeTimes, Observer, StepTimes};
use super::sampling::{SampleRow, sample};
use super::{Backend, StepInputs, Ticket};
use crate::DType;
use crate::checkpoint::Weights;
use crate::error::{Error, Result};
use crate::graph::cost::{Cost, StepShape};
use crate::graph::{Op, Plan, TensorId};
use crate::shape::MaxRows;
use element::Element;
use exec::{Fault, Step};
use footprint::{Footprint, cached_layers, scratch_bytes};
use kv_cache::KvCache;
use memory::Shared;
use pool::Pool;
use rope::RopeTable;
use simd::Path;

/// A plan on CPU threads.
#[derive(Debug)]
pub struct CpuBackend {
    plan: Plan,
    weights: Weights,
    arena: Shared,
    cache: KvCache,
    scratch: Vec<Shared>,
    rope: RopeTable,
    pool: Pool,
    path: Path,
    num_blocks: usize,
    submitted: u64,
    logit_rows: usize,
    tokens: Vec<u32>,
}

/// What a CPU backend is opened with.
#[derive(Debug, Clone, Copy)]
pub struct CpuOptions {
    /// Worker threads, the calling one included.
    pub threads: usize,
    /// Physical KV blocks.
    pub num_blocks: usize,
    /// Instructions to use.
    pub path: Path,
}

impl CpuBackend {
    /// Allocates everything that steps of `plan` need; no later call allocates for the model.
    pub fn open(plan: Plan, weights: Weights, options: CpuOptions) -> Result<Self> {
        let matrix = plan.graph.matrix;
        let (layers, heads) = cached_layers(&plan);
        let theta = plan.steps().iter().find_map(|node| match node.op {
            Op::RopeAppend { theta, .. } => Some(theta),
            _ => None,
        });
        let scratch_bytes = scratch_bytes(&plan)?;
        let pool =
            Pool::new(options.threads).map_err(|e| Error::io("worker threads", "start", e))?;
        Ok(CpuBackend {
            arena: Shared::zeroed(plan.arena_bytes, "activations")?,
            cache: KvCache::new(layers, heads, options.num_blocks, matrix.bytes())?,
            scratch: (0..options.threads)
                .map(|_| Shared::zeroed(scratch_bytes, "scratch"))
                .collect::<Result<_>>()?,
            rope: RopeTable::new(heads.dim, theta.unwrap_or(1.0), plan.max_rows.tokens),
            pool,
            path: options.path,
            num_blocks: options.num_blocks,
            submitted: 0,
            logit_rows: 0,
            tokens: Vec::new(),
            plan,
            weights,
        })
    }

    /// The bytes that this backend really holds.
    pub fn memory(&self) -> Footprint {
        Footprint {
            weights: self.weights.bytes(),
            arena: self.arena.allocated(),
            kv_cache: self.cache.allocated(),
            scratch: self.scratch.iter().map(Shared::allocated).sum(),
            rope_table: self.rope.allocated(),
        }
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// A tensor's first `rows` rows, widened to f32. Meaningful for the plan's output, and after a plan of one op.
    pub fn read(&self, tensor: TensorId, rows: usize) -> Vec<f32> {
        fn wide<T: Element>(arena: &Shared, offset: usize, len: usize) -> Vec<f32> {
            // SAFETY: no step runs while the backend is borrowed.
            unsafe { arena.read::<T>(offset / size_of::<T>(), len) }
                .iter()
                .map(|value| value.widen())
                .collect()
        }
        let spec = self.plan.graph.tensors[tensor.0];
        let (offset, len) = (self.plan.offsets[tensor.0], rows * spec.cols);
        match spec.dtype {
            DType::Bf16 => wide::<bf16>(&self.arena, offset, len),
            DType::F16 => wide::<f16>(&self.arena, offset, len),
            DType::F32 => wide::<f32>(&self.arena, offset, len),
        }
    }

    fn output_rows(&self) -> &[f32] {
        let Some(output) = self.plan.graph.output() else {
            return &[];
        };
        let cols = self.plan.graph.tensors[output.0].cols;
        // SAFETY: no step runs while the backend is borrowed.
        unsafe {
            self.arena.read(
                self.plan.offsets[output.0] / size_of::<f32>(),
                self.logit_rows * cols,
            )
        }
    }

    fn fault_error(&self, fault: Fault) -> Error {
        let matrix = self.plan.graph.matrix;
        let hint = match matrix {
            DType::F16 => "run with --dtype bf16 or f32",
            DType::Bf16 | DType::F32 => super::range_hint(matrix),
        };
        let op = self.plan.steps()[fault.step].name.clone();
        Error::Range {
            op,
            row: fault.row,
            column: Some(fault.column),
            value: fault.value,
            dtype: matrix.name(),
            hint,
        }
    }
}

impl CpuBackend {
    /// Holds a step's inputs against the limits and computes its angles.
    fn begin(&mut self, inputs: &StepInputs) -> Result<()> {
        Limits::of(&self.plan, self.num_blocks).check(inputs, 0)?;
        self.rope.fill(&inputs.positions);
        Ok(())
    }

    /// Runs `nodes` of the plan on every thread.
    fn run(&mut self, inputs: &StepInputs, nodes: Range<usize>) -> Result<()> {
        let fault = Mutex::new(None);
        let step = Step {
            plan: &self.plan,
            nodes,
            weights: &self.weights,
            arena: &self.arena,
            cache: &self.cache,
            scratch: &self.scratch,
            inputs,
            rope: &self.rope,
            path: self.path,
            fault: &fault,
        };
        match self.plan.graph.matrix {
            DType::Bf16 => self.pool.run(&|worker| step.run::<bf16>(worker)),
            DType::F16 => self.pool.run(&|worker| step.run::<f16>(worker)),
            DType::F32 => self.pool.run(&|worker| step.run::<f32>(worker)),
        }
        match fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(fault) => Err(self.fault_error(fault)),
        }
    }

    /// Checks the logits of a step that ran, and draws its tokens.
    fn finish(&mut self, inputs: &StepInputs) -> Result<Ticket> {
        self.logit_rows = inputs.logit_rows.len();
        let logits = self.output_rows();
        let cols = logits.len().checked_div(self.logit_rows).unwrap_or(0);
        if let Some((index, value)) = elementwise::first_unfit::<f32>(logits) {
            let (step, row) = (self.plan.steps().len() - 1, index / cols);
            return Err(self.fault_error(Fault {
                step,
                row,
                column: index % cols,
                value,
            }));
        }
        self.tokens = inputs
            .samples
            .iter()
            .map(|row| sample(&logits[row.row * cols..(row.row + 1) * cols], row))
            .collect::<Result<_>>()?;
        self.submitted += 1;
        Ok(Ticket(self.submitted))
    }
}

impl Backend for CpuBackend {
    fn submit(&mut self, inputs: &StepInputs) -> Result<Ticket> {
        self.begin(inputs)?;
        self.run(inputs, 0..self.plan.steps().len())?;
        self.finish(inputs)
    }

    fn observe(&mut self, inputs: &StepInputs, observer: &mut dyn Observer) -> Result<Ticket> {
        self.begin(inputs)?;
        for node in 0..self.plan.steps().len() {
            self.run(inputs, node..node + 1)?;
            self.show(node, inputs, observer)?;
        }
        self.finish(inputs)
    }

    fn time_nodes(&mut self, inputs: &StepInputs, repetitions: usize) -> Result<Vec<NodeTimes>> {
        self.begin(inputs)?;
        self.timed(inputs, repetitions)
    }

    fn time_step(&mut self, _: &StepInputs, _: usize) -> Result<Option<StepTimes>> {
        Ok(None)
    }

    fn take_busy_ms(&mut self) -> Result<Option<f64>> {
        Ok(None)
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A step is over when its submission returns, so nothing is gained.
    fn feeds(&self, _: &[SampleRow]) -> bool {
        false
    }

    fn tokens(&mut self, ticket: Ticket) -> Result<&[u32]> {
        ticket.check(self.submitted)?;
        Ok(&self.tokens)
    }

    fn logits(&mut self, ticket: Ticket) -> Result<&[f32]> {
        ticket.check(self.submitted)?;
        Ok(self.output_rows())
    }

    fn write(&mut self, tensor: TensorId, values: &[f32]) -> Result<()> {
        fn narrow<T: Element>(arena: &Shared, offset: usize, values: &[f32]) {
            // SAFETY: no step runs while the backend is borrowed exclusively.
            let out = unsafe { arena.write::<T>(offset / size_of::<T>(), values.len()) };
            for (value, out) in values.iter().zip(out) {
                *out = T::round(*value);
            }
        }
        let spec = self.plan.graph.tensors[tensor.0];
        let room = self.plan.max_bytes(tensor) / spec.dtype.bytes();
        if values.len() > room {
            return Err(Error::argument(
                "values",
                values.len(),
                format!("at most {room}"),
            ));
        }
        let offset = self.plan.offsets[tensor.0];
        match spec.dtype {
            DType::Bf16 => narrow::<bf16>(&self.arena, offset, values),
            DType::F16 => narrow::<f16>(&self.arena, offset, values),
            DType::F32 => narrow::<f32>(&self.arena, offset, values),
        }
        Ok(())
    }

    fn step_cost(&self, inputs: &StepInputs) -> Cost {
        let spans = inputs.sequences.iter();
        let shape = StepShape {
            rows: MaxRows {
                tokens: inputs.token_ids.len(),
                logits: inputs.logit_rows.len(),
            },
            sequences: spans.map(|span| (span.tokens, span.cached)).collect(),
        };
        let weight = |id| Ok(self.weights.read_bytes(id));
        // A step that ran has no size that overflows.
        self.plan
            .graph
            .step_cost(&shape, &weight)
            .unwrap_or_default()
    }

    fn memory_gb_per_s(&mut self) -> Result<Option<f64>> {
        let (plan, weights) = (&self.plan, &self.weights);
        let rate = bandwidth::read_gb_per_s(plan, weights, &mut self.pool, self.path);
        Ok(Some(rate))
    }

    fn peak_tflop_per_s(&mut self) -> Option<f64> {
        Some(peak::tflop_per_s(&mut self.pool, self.path))
    }
}
