//! The engine: requests in, tokens out. One step is schedule, run, commit.

pub mod batch;
pub mod fit;
pub mod metrics;
pub mod open;
pub mod scheduler;
pub mod sequence;
pub mod text;

pub use open::{OpenOptions, Opened, open, open_on};
pub use sequence::{FinishReason, Request, SequenceId};

use crate::backend::Backend;
use crate::backend::sampling::check_logit_bias;
use crate::config::EngineConfig;
use crate::error::{Error, Result};
use batch::Batch;
use scheduler::{Scheduled, Scheduler};
use sequence::Sequence;

/// What a step did for one sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The sequence.
    pub id: SequenceId,
    /// The token it drew; an end-of-sequence token is reported too.
    pub token: Option<u32>,
    /// Set when the sequence is over; it is gone from the engine then.
    pub finish: Option<FinishReason>,
}

/// The logits after one position.
#[derive(Debug, Clone, Copy)]
pub struct PositionLogits<'a> {
    /// The sequence.
    pub id: SequenceId,
    /// Position in the sequence.
    pub position: usize,
    /// `(vocab)`.
    pub logits: &'a [f32],
}

/// Requests, their memory, and the backend that runs them.
pub struct Engine {
    config: EngineConfig,
    vocab_size: usize,
    scheduler: Scheduler,
    backend: Box<dyn Backend>,
    next_id: u64,
    step_bytes: u64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over an opened backend for a model of `vocab_size` tokens.
    pub fn new(config: EngineConfig, vocab_size: usize, backend: Box<dyn Backend>) -> Result<Self> {
        config.validate()?;
        let scheduler = Scheduler::new(config);
        Ok(Engine {
            config,
            vocab_size,
            scheduler,
            backend,
            next_id: 0,
            step_bytes: 0,
        })
    }

    /// Queues a request.
    pub fn submit(&mut self, request: Request) -> Result<SequenceId> {
        request.params.validate()?;
        check_logit_bias(&request.logit_bias, self.vocab_size)?;
        if request.prompt.is_empty() {
            return Err(Error::argument("prompt", "no tokens", "at least one token"));
        }
        if let Some(id) = request
            .prompt
            .iter()
            .find(|&&id| id as usize >= self.vocab_size)
        {
            return Err(Error::argument(
                "prompt token id",
                id,
                format!("below the vocabulary size {}", self.vocab_size),
            ));
        }
        let limit = self.config.max_model_len;
        if request.prompt.len() > limit {
            return Err(Error::argument(
                "prompt length",
                request.prompt.len(),
                format!("at most {limit} tokens"),
            ));
        }
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        self.scheduler.add(Sequence::new(id, request));
        Ok(id)
    }

    /// Drops a request and frees its memory; returns whether it was still there.
    pub fn cancel(&mut self, id: SequenceId) -> bool {
        self.scheduler.remove(id).is_some()
    }

    /// Whether nothing is left to do.
    pub fn is_idle(&self) -> bool {
        self.scheduler.is_idle()
    }

    /// Runs one step. Logits that requests asked for go to `on_logits`. After an error the sequences of that step are
    /// gone, and the engine can go on with the others.
    pub fn step(&mut self, on_logits: &mut dyn FnMut(PositionLogits<'_>)) -> Result<Vec<Event>> {
        let scheduled = self.scheduler.schedule();
        if scheduled.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::new(
            &scheduled,
            self.scheduler.running(),
            self.config.max_model_len,
        );
        let ticket = match self.backend.submit(&batch.inputs) {
            Ok(ticket) => ticket,
            Err(error) => {
                self.drop_step(&scheduled);
                return Err(error);
            }
        };
        let cost = self.backend.step_cost(&batch.inputs);
        // A step that ran has no size that overflows.
        self.step_bytes = cost.bytes().unwrap_or(0);
        if !batch.wanted_rows.is_empty() {
            let logits = self.backend.logits(ticket)?;
            for &(row, running, position) in &batch.wanted_rows {
                let id = self.scheduler.running()[running].id;
                let logits = &logits[row * self.vocab_size..(row + 1) * self.vocab_size];
                on_logits(PositionLogits {
                    id,
                    position,
                    logits,
                });
            }
        }
        let tokens = self.backend.tokens(ticket)?.to_vec();
        self.scheduler.advance(&scheduled);
        let Batch { inputs, drawn, .. } = batch;
        // Gives the sequences their tokens back, so that appending to them copies nothing.
        drop(inputs);
        Ok(self.commit(&drawn, &tokens))
    }

    /// Tokens of a running request whose keys and values are in the cache.
    pub fn computed(&self, id: SequenceId) -> Option<usize> {
        let sequence = self
            .scheduler
            .running()
            .iter()
            .find(|sequence| sequence.id == id)?;
        Some(sequence.computed)
    }

    /// Bytes that the last step had to move at least.
    pub fn last_step_bytes(&self) -> u64 {
        self.step_bytes
    }

    /// GB/s of one pass in which the backend reads its weights and does nothing else, measured now.
    pub fn read_gb_per_s(&mut self) -> f64 {
        self.backend.read_gb_per_s()
    }

    /// The same step would fail the same way for ever.
    fn drop_step(&mut self, scheduled: &[Scheduled]) {
        let running = self.scheduler.running();
        let ids: Vec<SequenceId> = scheduled
            .iter()
            .map(|item| running[item.running].id)
            .collect();
        for id in ids {
            self.scheduler.remove(id);
        }
    }

    fn commit(&mut self, drawn: &[usize], tokens: &[u32]) -> Vec<Event> {
        for (&running, &token) in drawn.iter().zip(tokens) {
            self.scheduler.push_token(running, token);
        }
        let mut events = Vec::new();
        for (running, sequence) in self.scheduler.running().iter().enumerate() {
            let token = drawn
                .iter()
                .position(|&index| index == running)
                .map(|index| tokens[index]);
            let no_room = sequence.computed == sequence.tokens.len();
            if token.is_some() || no_room {
                let finish = sequence.finish_reason(token, self.config.max_model_len);
                events.push(Event {
                    id: sequence.id,
                    token,
                    finish,
                });
            }
        }
        for event in events.iter().filter(|event| event.finish.is_some()) {
            self.scheduler.remove(event.id);
        }
        events
    }
}
