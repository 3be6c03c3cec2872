//! Running a plan on a GPU, or on the emulator, which takes the same images and launches.

pub mod kernels;
pub mod launch;
pub mod lower;
pub mod memory;
pub mod pack;
pub mod step;
pub mod weights;

use half::{bf16, f16};

use super::cpu::elementwise::first_unfit;
use super::cpu::rope::RopeTable;
use super::inputs::Limits;
use super::sampling::sample;
use super::{Backend, StepInputs, Ticket};
use crate::DType;
use crate::checkpoint::Weights;
use crate::config::engine::BLOCK_SIZE;
use crate::driver::{Driver, DriverError};
use crate::error::{Error, Result};
use crate::graph::cost::{Cost, StepShape};
use crate::graph::{Op, Plan, TensorId};
use crate::limits::Size;
use crate::shape::MaxRows;
use kernels::Kernels;
use launch::{MatrixType, PagedAttention, span_words};
use lower::{Stage, lower};
use memory::Memory;
use step::{Buffers, Step};
use weights::DeviceWeights;

/// Most tokens of a step whose attention is split over the chunks of the context.
const SPLIT_TOKENS: usize = 32;

/// What a GPU backend is opened with.
#[derive(Debug, Clone, Copy)]
pub struct GpuOptions {
    /// Physical KV blocks.
    pub num_blocks: usize,
    /// Most sequences of a step.
    pub max_num_seqs: usize,
}

/// A plan on a device.
#[derive(Debug)]
pub struct GpuBackend {
    plan: Plan,
    stages: Vec<Stage>,
    memory: Memory,
    kernels: Kernels,
    weights: DeviceWeights,
    /// Bytes of each weight as a step reads it.
    read_bytes: Vec<u64>,
    buffers: Buffers,
    rope: RopeTable,
    options: GpuOptions,
    submitted: u64,
    logits: Vec<f32>,
    tokens: Vec<u32>,
}

fn product(dims: &[usize], what: &str) -> Result<usize> {
    let dims: Vec<u64> = dims.iter().map(|&dim| dim as u64).collect();
    Size::product(&dims, what)?.to_usize(what)
}

impl GpuBackend {
    /// Loads the kernels, brings the weights to the device and allocates everything that steps of `plan` need; no later
    /// call allocates on the device.
    pub fn open(
        plan: Plan,
        weights: &Weights,
        options: GpuOptions,
        driver: Box<dyn Driver>,
    ) -> Result<GpuBackend> {
        match plan.graph.matrix {
            DType::F16 => Self::open_as::<f16>(plan, weights, options, driver),
            DType::Bf16 => Self::open_as::<bf16>(plan, weights, options, driver),
            DType::F32 => Err(Error::argument("dtype", "f32", "f16 or bf16 on a GPU")),
        }
    }

    fn open_as<T: MatrixType>(
        plan: Plan,
        weights: &Weights,
        options: GpuOptions,
        driver: Box<dyn Driver>,
    ) -> Result<GpuBackend> {
        let kernels = Kernels::load(driver.as_ref())?;
        let stages = lower(&plan);
        check_in_place(&plan)?;
        let mut memory = Memory::new(driver);
        let device_weights = DeviceWeights::upload::<T>(&mut memory, &plan, &stages, weights)?;
        let buffers = allocate::<T>(&mut memory, &plan, options)?;
        let theta = plan.steps().iter().find_map(|node| match node.op {
            Op::RopeAppend { theta, .. } => Some(theta),
            _ => None,
        });
        let dim = plan.graph.layers.map_or(2, |(_, heads)| heads.dim);
        let ids = (0..plan.graph.weights.len()).map(crate::graph::WeightId);
        Ok(GpuBackend {
            read_bytes: ids.map(|id| weights.read_bytes(id)).collect(),
            rope: RopeTable::new(dim, theta.unwrap_or(1.0), plan.max_rows.tokens),
            plan,
            stages,
            memory,
            kernels,
            weights: device_weights,
            buffers,
            options,
            submitted: 0,
            logits: Vec::new(),
            tokens: Vec::new(),
        })
    }

    /// Bytes that the backend holds on the device.
    pub fn device_bytes(&self) -> u64 {
        self.memory.bytes()
    }

    fn run<T: MatrixType>(&self, inputs: &StepInputs) -> std::result::Result<(), DriverError> {
        let driver = self.memory.driver();
        let step = Step {
            kernels: &self.kernels,
            plan: &self.plan,
            weights: &self.weights,
            buffers: &self.buffers,
            inputs,
            num_blocks: self.options.num_blocks,
        };
        for stage in &self.stages {
            for launch in step.launches::<T>(stage)? {
                driver.launch(&launch)?;
            }
        }
        Ok(())
    }

    /// Brings a step's inputs to the device.
    fn upload(&mut self, inputs: &StepInputs) -> std::result::Result<(), DriverError> {
        let driver = self.memory.driver();
        self.rope.fill(&inputs.positions);
        let angles = (0..inputs.positions.len()).flat_map(|t| {
            let (cos, sin) = self.rope.angles(t);
            [cos, sin]
        });
        let cos_sin: Vec<f32> = angles.flatten().copied().collect();
        let spans = span_words(&inputs.sequences)?;
        driver.copy_in(self.buffers.cos_sin, bytemuck::cast_slice(&cos_sin))?;
        for (to, words) in [
            (self.buffers.token_ids, &inputs.token_ids),
            (self.buffers.slot_mapping, &inputs.slot_mapping),
            (self.buffers.spans, &spans),
            (self.buffers.block_tables, &inputs.block_tables),
            (self.buffers.logit_rows, &inputs.logit_rows),
        ] {
            driver.copy_in(to, bytemuck::cast_slice(words))?;
        }
        Ok(())
    }

    /// Copies the step's logits to the host and refuses what no token can be drawn from.
    fn fetch_logits(&mut self, rows: usize) -> Result<()> {
        let Some(output) = self.plan.graph.output() else {
            return Ok(());
        };
        let cols = self.plan.graph.tensors[output.0].cols;
        self.logits.resize(rows * cols, 0.0);
        let at = self.buffers.arena.0 + self.plan.offsets[output.0] as u64;
        let bytes = bytemuck::cast_slice_mut(&mut self.logits);
        let driver = self.memory.driver();
        driver.copy_out(crate::driver::DevicePtr(at), bytes)?;
        match first_unfit::<f32>(&self.logits) {
            None => Ok(()),
            Some((index, value)) => Err(Error::Range {
                op: self
                    .plan
                    .steps()
                    .last()
                    .map_or_else(String::new, |node| node.name.clone()),
                row: index / cols,
                value,
                dtype: self.plan.graph.matrix.name(),
                hint: match self.plan.graph.matrix {
                    DType::F16 => "run with --dtype bf16",
                    DType::Bf16 | DType::F32 => "the checkpoint or the input is damaged",
                },
            }),
        }
    }
}

/// Kernels add to what stands in the output, so a residual must stand there.
fn check_in_place(plan: &Plan) -> Result<()> {
    for node in plan.steps() {
        let residual = matches!(node.op, Op::Linear { .. })
            .then(|| node.inputs.get(1))
            .flatten();
        let apart = |id: &TensorId| plan.offsets[id.0] != plan.offsets[node.output.0];
        if residual.is_some_and(apart) {
            return Err(Error::Shape {
                op: node.name.clone(),
                dim: "place of the residual".into(),
                found: "a tensor that is read again later".into(),
                expected: "the output's".into(),
            });
        }
    }
    Ok(())
}

fn allocate<T: MatrixType>(
    memory: &mut Memory,
    plan: &Plan,
    options: GpuOptions,
) -> Result<Buffers> {
    let GpuOptions {
        num_blocks,
        max_num_seqs,
    } = options;
    let MaxRows { tokens, logits } = plan.max_rows;
    let (layers, heads) = super::cpu::footprint::cached_layers(plan);
    let cache = [
        2 * layers,
        num_blocks,
        BLOCK_SIZE,
        heads.kv_dim(),
        size_of::<T>(),
    ];
    let context = num_blocks * BLOCK_SIZE;
    let split = tokens.min(SPLIT_TOKENS);
    let chunks = PagedAttention::<T>::chunks(context);
    let partial_len = product(
        &[split, heads.query, chunks, heads.dim + 2],
        "partial results of attention",
    )?;
    let words = |count: usize| product(&[count, 4], "inputs of a step");
    Ok(Buffers {
        arena: memory.alloc(plan.arena_bytes)?,
        cache: memory.alloc(product(&cache, "KV cache")?)?,
        partial: memory.alloc(product(&[partial_len, 4], "partial results of attention")?)?,
        partial_len,
        token_ids: memory.alloc(words(tokens)?)?,
        cos_sin: memory.alloc(words(product(&[tokens, heads.dim], "angles")?)?)?,
        slot_mapping: memory.alloc(words(tokens)?)?,
        spans: memory.alloc(words(product(&[max_num_seqs, 4], "spans")?)?)?,
        block_tables: memory.alloc(words(num_blocks * max_num_seqs)?)?,
        logit_rows: memory.alloc(words(logits)?)?,
    })
}

impl Backend for GpuBackend {
    fn submit(&mut self, inputs: &StepInputs) -> Result<Ticket> {
        Limits::of(&self.plan, self.options.num_blocks).check(inputs)?;
        self.upload(inputs)?;
        match self.plan.graph.matrix {
            DType::Bf16 => self.run::<bf16>(inputs)?,
            _ => self.run::<f16>(inputs)?,
        }
        self.fetch_logits(inputs.logit_rows.len())?;
        let cols = self.logits.len().checked_div(inputs.logit_rows.len());
        let cols = cols.unwrap_or(0);
        let draw = |row: &super::sampling::SampleRow| {
            sample(&self.logits[row.row * cols..(row.row + 1) * cols], row)
        };
        self.tokens = inputs.samples.iter().map(draw).collect::<Result<_>>()?;
        self.submitted += 1;
        Ok(Ticket(self.submitted))
    }

    fn tokens(&mut self, ticket: Ticket) -> Result<&[u32]> {
        ticket.check(self.submitted)?;
        Ok(&self.tokens)
    }

    fn logits(&mut self, ticket: Ticket) -> Result<&[f32]> {
        ticket.check(self.submitted)?;
        Ok(&self.logits)
    }

    fn write(&mut self, tensor: TensorId, values: &[f32]) -> Result<()> {
        let spec = self.plan.graph.tensors[tensor.0];
        let room = self.plan.max_bytes(tensor) / spec.dtype.bytes();
        if values.len() > room {
            let expected = format!("at most {room}");
            return Err(Error::argument("values", values.len(), expected));
        }
        let at = self.buffers.arena.0 + self.plan.offsets[tensor.0] as u64;
        let bytes: Vec<u8> = match spec.dtype {
            DType::F32 => bytemuck::cast_slice(values).to_vec(),
            DType::F16 => values
                .iter()
                .flat_map(|x| f16::from_f32(*x).to_le_bytes())
                .collect(),
            DType::Bf16 => values
                .iter()
                .flat_map(|x| bf16::from_f32(*x).to_le_bytes())
                .collect(),
        };
        let driver = self.memory.driver();
        Ok(driver.copy_in(crate::driver::DevicePtr(at), &bytes)?)
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
        let weight = |id: crate::graph::WeightId| Ok(self.read_bytes[id.0]);
        // A step that ran has no size that overflows.
        self.plan
            .graph
            .step_cost(&shape, &weight)
            .unwrap_or_default()
    }

    fn read_gb_per_s(&mut self) -> f64 {
        0.0
    }

    fn peak_tflop_per_s(&mut self) -> f64 {
        0.0
    }
}
