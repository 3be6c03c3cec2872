//! Running a plan on a GPU, or on the emulator, which takes the same images and launches.

pub mod copy_rate;
pub mod decode;
pub mod draw;
pub mod footprint;
pub mod inputs;
pub mod kernels;
pub mod launch;
pub mod lower;
pub mod memory;
mod observe;
pub mod pack;
mod pipeline;
pub mod program;
pub mod step;
mod times;
pub mod upload;
pub mod weights;

use std::panic::resume_unwind;

use super::cpu::elementwise::first_unfit;
use super::cpu::rope::RopeTable;
use super::inputs::Limits;
use super::observe::{NodeTimes, Observer, StepTimes};
use super::sampling::SampleRow;
use super::{Backend, StepInputs, Ticket};
use crate::DType;
use crate::checkpoint::Weights;
use crate::driver::{Driver, DriverError, Launch};
use crate::error::{Error, Result};
use crate::graph::cost::{Cost, StepShape};
use crate::graph::{Op, Plan, TensorId};
use crate::shape::MaxRows;
use decode::Decode;
use draw::Draws;
use footprint::{allocate, widths};
use inputs::Extent;
use kernels::Kernels;
use lower::lower;
use memory::Memory;
use program::Program;
use times::{Busy, Events};
use upload::Bands;
use weights::DeviceWeights;

/// What a GPU backend is opened with.
#[derive(Debug, Clone, Copy)]
pub struct GpuOptions {
    /// Physical KV blocks.
    pub num_blocks: usize,
    /// Most sequences of a step.
    pub max_num_seqs: usize,
    /// Most positions of a sequence.
    pub max_model_len: usize,
}

/// A plan on a device.
#[derive(Debug)]
pub struct GpuBackend {
    program: Program,
    memory: Memory,
    decode: Decode,
    draws: Draws,
    /// Bytes of each weight as a step reads it.
    read_bytes: Vec<u64>,
    rope: RopeTable,
    /// The inputs of the step, as they go to the device.
    words: Vec<u32>,
    submitted: u64,
    /// Rows of the latest step's logits, and tokens that it draws.
    logit_rows: usize,
    drawn: usize,
    /// Those logits, once somebody has asked for them.
    logits: Option<Vec<f32>>,
    tokens: Vec<u32>,
    /// What times are taken with, once somebody has asked for them.
    events: Events,
    busy: Option<Busy>,
}

impl GpuBackend {
    /// Loads the kernels while `read` reads the weights on another thread, brings those to the device, with up to `threads`
    /// threads, and allocates everything that steps of `plan` need; no later call allocates on the device.
    pub fn open(
        plan: Plan,
        read: impl FnOnce(&Plan) -> Result<Weights> + Send,
        threads: usize,
        options: GpuOptions,
        driver: Box<dyn Driver>,
    ) -> Result<GpuBackend> {
        if plan.graph.matrix == DType::F32 {
            return Err(Error::argument("dtype", "f32", "f16 or bf16 on a GPU"));
        }
        let stages = lower(&plan)?;
        check_in_place(&plan)?;
        let (kernels, weights) = std::thread::scope(|scope| {
            let reading = scope.spawn(|| read(&plan));
            let kernels = Kernels::load(driver.as_ref());
            (
                kernels,
                reading.join().unwrap_or_else(|panic| resume_unwind(panic)),
            )
        });
        let (kernels, weights) = (kernels?, weights?);
        let mut memory = Memory::new(driver);
        let bands = Bands::on(threads);
        let widths = widths(&plan, options);
        let program = Program {
            weights: DeviceWeights::upload(&mut memory, &plan, &stages, &weights, bands)?,
            buffers: allocate(&mut memory, &plan, options)?,
            plan,
            stages,
            kernels,
            num_blocks: options.num_blocks,
            max_model_len: options.max_model_len,
            widths,
        };
        let graph = &program.plan.graph;
        let MaxRows { tokens, logits } = program.plan.max_rows;
        let draws = Draws::new(&mut memory, logits, widths)?;
        // Only a whole model takes tokens and gives logits.
        let whole = graph.layers.is_some() && program.logits(1).is_some();
        let sequences = options.max_num_seqs.min(tokens).min(logits);
        let decode = Decode::new(
            memory.driver(),
            if whole { sequences } else { 0 },
            options,
            &|extent| launches(&program, &draws, extent),
        )?;
        memory.seal();
        let theta = program.plan.steps().iter().find_map(|node| match node.op {
            Op::RopeAppend { theta, .. } => Some(theta),
            _ => None,
        });
        let ids = (0..graph.weights.len()).map(crate::graph::WeightId);
        Ok(GpuBackend {
            read_bytes: ids.map(|id| weights.read_bytes(id)).collect(),
            rope: RopeTable::new(widths.dim, theta.unwrap_or(1.0), tokens),
            program,
            memory,
            decode,
            draws,
            words: Vec::new(),
            submitted: 0,
            logit_rows: 0,
            drawn: 0,
            logits: None,
            tokens: Vec::new(),
            events: Events::default(),
            busy: None,
        })
    }

    /// Bytes that the backend holds on the device.
    pub fn device_bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// Holds a step's inputs against the limits and brings them to the device, for launches of `extent`.
    fn begin(&mut self, inputs: &StepInputs, extent: Extent) -> Result<()> {
        let limits = Limits::of(&self.program.plan, self.program.num_blocks);
        limits.check(inputs, self.drawn)?;
        let (context, most) = (Extent::of(inputs).context, self.program.max_model_len);
        if context > most {
            let what = "positions of a sequence";
            return Err(Error::argument(what, context, format!("at most {most}")));
        }
        self.logits = None;
        self.rope.fill(&inputs.positions);
        let layout = self.program.layout(extent);
        let changes = layout.fill(inputs, &self.rope, &mut self.words)?;
        let (driver, program, draws) = (self.memory.driver(), &self.program, &self.draws);
        driver.copy_in(program.buffers.inputs, bytemuck::cast_slice(&self.words))?;
        if !changes.is_empty() {
            draws.upload(driver, &changes)?;
        }
        Ok(())
    }

    /// Queues the launches of a step that has begun.
    fn run(&mut self, extent: Extent, replay: bool) -> std::result::Result<(), DriverError> {
        let (driver, program, draws) = (self.memory.driver(), &self.program, &self.draws);
        let all = |extent| launches(program, draws, extent);
        if let Some(busy) = &mut self.busy {
            busy.begin(driver)?;
        }
        if replay {
            self.decode.replay(driver, extent, &all)?;
        } else {
            let all = all(extent)?;
            all.iter().try_for_each(|launch| driver.launch(launch))?;
        }
        self.busy.as_mut().map_or(Ok(()), |busy| busy.end(driver))
    }

    /// Queues what brings the tokens of a step back, whose launches are queued.
    fn finish(&mut self, inputs: &StepInputs) -> Result<Ticket> {
        let ticket = Ticket(self.submitted + 1);
        let drawn = inputs.samples.len();
        let (driver, from) = (self.memory.driver(), self.program.buffers.drawn);
        self.draws.queue(driver, from, ticket, drawn)?;
        self.submitted = ticket.0;
        self.logit_rows = inputs.logit_rows.len();
        self.drawn = drawn;
        Ok(ticket)
    }

    /// What no token can be drawn from.
    fn unfit(&self, row: usize, column: Option<usize>, value: f32) -> Error {
        let matrix = self.program.plan.graph.matrix;
        Error::Range {
            op: self.program.head(),
            row,
            column,
            value,
            dtype: matrix.name(),
            hint: super::range_hint(matrix),
        }
    }

    /// The latest step's logits, which no later step may have overwritten.
    fn fetch_logits(&mut self) -> Result<&[f32]> {
        let found = match self.logits.take() {
            Some(logits) => logits,
            None => {
                let Some((at, cols)) = self.program.logits(self.logit_rows) else {
                    return Ok(&[]);
                };
                let mut logits = vec![0.0; at.len];
                let bytes = bytemuck::cast_slice_mut(&mut logits);
                self.memory.driver().copy_out(at.ptr, bytes)?;
                if let Some((index, value)) = first_unfit::<f32>(&logits) {
                    return Err(self.unfit(index / cols, Some(index % cols), value));
                }
                logits
            }
        };
        Ok(self.logits.insert(found))
    }
}

/// What a step launches up to its logits.
fn stage_launches(
    program: &Program,
    extent: Extent,
) -> std::result::Result<Vec<Launch>, DriverError> {
    let mut all = Vec::new();
    for stage in &program.stages {
        all.extend(program.stage(extent, stage)?);
    }
    Ok(all)
}

/// Everything that a step launches: its stages, then what draws from its logits.
fn launches(
    program: &Program,
    draws: &Draws,
    extent: Extent,
) -> std::result::Result<Vec<Launch>, DriverError> {
    let mut all = stage_launches(program, extent)?;
    all.extend(draws.launches(program, extent)?);
    Ok(all)
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

impl Backend for GpuBackend {
    fn submit(&mut self, inputs: &StepInputs) -> Result<Ticket> {
        let asked = Extent::of(inputs);
        let fixed = self.decode.extent(asked);
        let extent = fixed.unwrap_or(asked);
        self.begin(inputs, extent)?;
        self.run(extent, fixed.is_some())?;
        self.finish(inputs)
    }

    /// Launched stage by stage, also where `submit` would replay a fixed sequence.
    fn observe(&mut self, inputs: &StepInputs, observer: &mut dyn Observer) -> Result<Ticket> {
        let extent = Extent::of(inputs);
        self.begin(inputs, extent)?;
        self.run_observed(inputs, extent, observer)?;
        self.finish(inputs)
    }

    fn time_nodes(&mut self, inputs: &StepInputs, repetitions: usize) -> Result<Vec<NodeTimes>> {
        let extent = Extent::of(inputs);
        self.begin(inputs, extent)?;
        self.logit_rows = 0;
        self.run_timed(extent, repetitions)
    }

    fn time_step(&mut self, inputs: &StepInputs, repetitions: usize) -> Result<Option<StepTimes>> {
        let asked = Extent::of(inputs);
        let fixed = self.decode.extent(asked);
        let extent = fixed.unwrap_or(asked);
        self.begin(inputs, extent)?;
        (self.logit_rows, self.drawn) = (0, 0);
        Ok(Some(self.run_step_timed(
            extent,
            fixed.is_some(),
            repetitions,
        )?))
    }

    fn take_busy_ms(&mut self) -> Result<Option<f64>> {
        let driver = self.memory.driver();
        let busy = match &mut self.busy {
            Some(busy) => busy,
            None => {
                driver.synchronize()?;
                self.busy.insert(Busy::new(driver)?)
            }
        };
        Ok(Some(busy.take(driver)?))
    }

    fn plan(&self) -> &Plan {
        &self.program.plan
    }

    /// A penalty needs every token so far, the one that the device is drawing among them.
    fn feeds(&self, samples: &[SampleRow]) -> bool {
        !samples.iter().any(|sample| sample.params.penalises())
    }

    fn tokens(&mut self, ticket: Ticket) -> Result<&[u32]> {
        ticket.check_recent(self.submitted)?;
        let driver = self.memory.driver();
        if let Err(place) = self.draws.take(driver, ticket, &mut self.tokens)? {
            if ticket.0 == self.submitted {
                // They have not been overwritten, and say more.
                self.fetch_logits()?;
            }
            return Err(self.unfit(place, None, f32::NAN));
        }
        Ok(&self.tokens)
    }

    fn logits(&mut self, ticket: Ticket) -> Result<&[f32]> {
        ticket.check(self.submitted)?;
        self.fetch_logits()
    }

    fn write(&mut self, tensor: TensorId, values: &[f32]) -> Result<()> {
        let plan = &self.program.plan;
        let spec = plan.graph.tensors[tensor.0];
        let room = plan.max_bytes(tensor) / spec.dtype.bytes();
        if values.len() > room {
            let expected = format!("at most {room}");
            return Err(Error::argument("values", values.len(), expected));
        }
        let at = self.program.buffers.arena.0 + plan.offsets[tensor.0] as u64;
        let bytes = observe::encode(spec.dtype, values);
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
        self.program
            .plan
            .graph
            .step_cost(&shape, &weight)
            .unwrap_or_default()
    }

    /// The only memory that is taken after the start, and given back at once.
    fn memory_gb_per_s(&mut self) -> Result<Option<f64>> {
        let driver = self.memory.driver();
        let events = self.events.first(driver, 2)?;
        let sizes = [copy_rate::LEAST_BYTES, copy_rate::MOST_BYTES];
        Ok(copy_rate::gb_per_s(driver, [events[0], events[1]], sizes)?)
    }

    /// It would take a kernel that no plan has.
    fn peak_tflop_per_s(&mut self) -> Option<f64> {
        None
    }
}
