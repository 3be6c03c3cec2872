//! Running a plan. `Backend` is the seam between the engine and whatever computes: CPU threads today, a GPU later.

pub mod bound;
pub mod cpu;
pub mod gpu;
mod inputs;
pub mod observe;
pub mod sampling;

use crate::DType;
use crate::error::{Error, Result};
use crate::graph::cost::Cost;
use crate::graph::{Plan, TensorId};
pub use crate::rng;
use observe::{NodeTimes, Observer, StepTimes};
use sampling::SampleRow;

/// Marks a token id that the host has not seen: the other bits say which of the samples of the step before it is.
pub const DRAWN: u32 = 1 << 31;

/// The tokens of one step, ready for a device.
#[derive(Debug, Clone, Default)]
pub struct StepInputs {
    /// `(T)`: token ids, or [`DRAWN`] with the place of a sample in the step before.
    pub token_ids: Vec<u32>,
    /// `(T)`: the position each token is rotated by.
    pub positions: Vec<u32>,
    /// `(T)`: block * 16 + offset, where each token's key and value go.
    pub slot_mapping: Vec<u32>,
    /// The sequences the tokens belong to; together they cover 0..T in order.
    pub sequences: Vec<SequenceSpan>,
    /// The block tables of all sequences, one after the other.
    pub block_tables: Vec<u32>,
    /// `(R)`: the tokens whose logits are wanted, ascending.
    pub logit_rows: Vec<u32>,
    /// What to draw from those logits.
    pub samples: Vec<SampleRow>,
}

/// One sequence's tokens in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceSpan {
    /// Tokens in this step.
    pub tokens: usize,
    /// Keys already in the cache; token i of the span sees `cached + i + 1` keys.
    pub cached: usize,
    /// Where its block table starts in `block_tables`.
    pub table_start: usize,
    /// Blocks in it.
    pub table_len: usize,
}

/// A submitted step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub u64);

impl Ticket {
    /// Refuses a ticket that is not the latest of `submitted` steps.
    fn check(self, submitted: u64) -> Result<()> {
        if self.0 == submitted && submitted > 0 {
            return Ok(());
        }
        let expected = format!("{submitted}, the latest step");
        Err(Error::argument("ticket", self.0, expected))
    }

    /// Refuses a ticket that is neither the latest nor the one before.
    fn check_recent(self, submitted: u64) -> Result<()> {
        match self.0 + 1 == submitted && self.0 > 0 {
            true => Ok(()),
            false => self.check(submitted),
        }
    }
}

/// What runs steps of the plan it was opened with. Steps finish in the order in which they were submitted; a backend may
/// still be running one when `submit` returns, and asking for a ticket's results waits for it.
pub trait Backend {
    /// Starts a step.
    fn submit(&mut self, inputs: &StepInputs) -> Result<Ticket>;

    /// Whether the next step may name tokens drawn by this one as [`DRAWN`], so that it can be submitted before anybody
    /// has asked for them.
    fn feeds(&self, samples: &[SampleRow]) -> bool;

    /// Runs a step node by node and shows each output to `observer`. The results are those of `submit`, unless `observer`
    /// replaced something.
    fn observe(&mut self, inputs: &StepInputs, observer: &mut dyn Observer) -> Result<Ticket>;

    /// Runs a step `repetitions` times and takes the time of every node. It draws no tokens, and the logits of the step
    /// before are gone.
    fn time_nodes(&mut self, inputs: &StepInputs, repetitions: usize) -> Result<Vec<NodeTimes>>;

    /// Queues a step `repetitions` times and once before, and takes the device's times. Its tokens go nowhere, and the logits of
    /// the step before are gone. None where there is no device that could wait for the host.
    fn time_step(&mut self, inputs: &StepInputs, repetitions: usize) -> Result<Option<StepTimes>>;

    /// Milliseconds in which the device ran the steps that were submitted since the last call, which are waited for. The first
    /// call gives 0: from then on times are kept. None where there is no device that could wait for the host.
    fn take_busy_ms(&mut self) -> Result<Option<f64>>;

    /// The plan whose nodes are run.
    fn plan(&self) -> &Plan;

    /// The drawn tokens, one for each of the step's `samples`. The latest two tickets' are kept where steps feed each
    /// other, otherwise the latest ticket's.
    fn tokens(&mut self, ticket: Ticket) -> Result<&[u32]>;

    /// The logits `(R, vocab)` of the latest ticket.
    fn logits(&mut self, ticket: Ticket) -> Result<&[f32]>;

    /// Overwrites a graph input with `values`, rounded to its type. Graphs of a model have none; single ops do.
    fn write(&mut self, tensor: TensorId, values: &[f32]) -> Result<()>;

    /// What one step has to move and compute at least.
    fn step_cost(&self, inputs: &StepInputs) -> Cost;

    /// GB/s of memory while nothing else is done, measured now: CPU threads read their own weights once; a GPU copies, and what
    /// it reads and what it writes both count. None where there is no room for that.
    fn memory_gb_per_s(&mut self) -> Result<Option<f64>>;

    /// TFLOP/s of multiply-adds that load nothing, of f32 on the CPU, measured now. None where nobody has measured it.
    fn peak_tflop_per_s(&mut self) -> Option<f64>;
}

/// What to do about a value that does not fit, in a run with matrix inputs of type `matrix`.
fn range_hint(matrix: DType) -> &'static str {
    match matrix {
        DType::F16 => "run with --dtype bf16",
        DType::Bf16 | DType::F32 => "the checkpoint or the input is damaged",
    }
}
