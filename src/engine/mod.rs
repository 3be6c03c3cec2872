//! The engine: requests in, tokens out. One step is schedule, run, commit.

pub mod batch;
pub mod fit;
pub mod metrics;
pub mod open;
pub mod room;
pub mod scheduler;
pub mod sequence;
pub mod text;

pub use open::{OpenOptions, Opened, open, open_on};
pub use sequence::{FinishReason, Request, SequenceId};

use crate::backend::observe::FiniteCheck;
use crate::backend::sampling::check_logit_bias;
use crate::backend::{Backend, Ticket};
use crate::config::EngineConfig;
use crate::error::{Error, Result};
use batch::Batch;
use scheduler::Scheduler;
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

/// A submitted step whose results nobody has taken yet.
#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    /// Whose tokens it computes.
    ids: Vec<SequenceId>,
    /// Whose tokens it draws, in the order of its samples.
    drawn: Vec<SequenceId>,
    /// Who ends with it without a token.
    ended: Vec<SequenceId>,
    /// `(row, whose, position)` of logits that somebody asked for.
    wanted_rows: Vec<(usize, SequenceId, usize)>,
    /// Whether the next step can be submitted before its tokens are here.
    feeds: bool,
    bytes: u64,
}

/// A step that could not be submitted, and whose tokens it was to compute.
struct Unlaunched {
    ids: Vec<SequenceId>,
    error: Error,
}

/// Requests, their memory, and the backend that runs them.
pub struct Engine {
    config: EngineConfig,
    vocab_size: usize,
    scheduler: Scheduler,
    backend: Box<dyn Backend>,
    /// The step before the one that is submitted next, where that is submitted early.
    flight: Option<Flight>,
    /// Why the step behind it could not be submitted: told once its own results have been taken.
    refused: Option<Error>,
    run_ahead: bool,
    next_id: u64,
    step_bytes: u64,
    check_finite: bool,
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
            flight: None,
            refused: None,
            run_ahead: false,
            next_id: 0,
            step_bytes: 0,
            check_finite: false,
        })
    }

    /// Whether each step is submitted before the tokens of the one before are here, where the backend can feed it: for
    /// devices that would wait for the host otherwise. A token comes one call later then, and a sequence that ends at an
    /// end-of-sequence token is computed for one step more.
    pub fn set_run_ahead(&mut self, run_ahead: bool) {
        self.run_ahead = run_ahead;
    }

    /// From now on, looks for infinities and NaN in what every node of the plan writes; steps take longer, and none is
    /// submitted early.
    pub fn check_finite(&mut self) {
        self.check_finite = true;
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
        self.scheduler.is_idle() && self.refused.is_none()
    }

    /// Runs one step. Logits that requests asked for go to `on_logits`. After an error the sequences of that step are
    /// gone, and the engine can go on with the others.
    pub fn step(&mut self, on_logits: &mut dyn FnMut(PositionLogits<'_>)) -> Result<Vec<Event>> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        // What was computed early for sequences that have all ended since is of no use to anyone.
        let flight = self.flight.take();
        let waited_for = |flight: &Flight| flight.ids.iter().any(|id| self.runs(*id));
        let flight = match flight.filter(waited_for) {
            Some(flight) => flight,
            None => match self.launch() {
                Ok(Some(flight)) => flight,
                Ok(None) => return Ok(Vec::new()),
                Err(unlaunched) => {
                    self.drop_sequences(&unlaunched.ids);
                    return Err(unlaunched.error);
                }
            },
        };
        let ahead = self.run_ahead && !self.check_finite;
        let mut unlaunched = None;
        if ahead && flight.feeds && flight.wanted_rows.is_empty() {
            match self.launch() {
                Ok(next) => self.flight = next,
                Err(error) => unlaunched = Some(error),
            }
        }
        let settled = self.settle(&flight, on_logits);
        if settled.is_err() {
            // The same step would fail the same way for ever.
            self.drop_sequences(&flight.ids);
        }
        if let Some(unlaunched) = unlaunched {
            let Unlaunched { ids, error } = *unlaunched;
            // Only now: they had tokens to come.
            self.drop_sequences(&ids);
            self.refused = Some(error);
        }
        settled
    }

    fn runs(&self, id: SequenceId) -> bool {
        let mut running = self.scheduler.running().iter();
        running.any(|sequence| sequence.id == id)
    }

    /// Submits the next step; none where nothing is left to compute.
    fn launch(&mut self) -> std::result::Result<Option<Flight>, Box<Unlaunched>> {
        let scheduled = self.scheduler.schedule();
        if scheduled.is_empty() {
            return Ok(None);
        }
        let running = self.scheduler.running();
        let batch = Batch::new(&scheduled, running, self.config.max_model_len);
        let id = |running_index: usize| running[running_index].id;
        let wanted = batch.wanted_rows.iter();
        let mut flight = Flight {
            ticket: Ticket(0),
            ids: scheduled.iter().map(|item| id(item.running)).collect(),
            drawn: batch.drawn.iter().map(|(index, _)| id(*index)).collect(),
            ended: batch.ended.iter().map(|index| id(*index)).collect(),
            wanted_rows: wanted
                .map(|&(row, index, position)| (row, id(index), position))
                .collect(),
            feeds: self.backend.feeds(&batch.inputs.samples),
            bytes: 0,
        };
        let ran = match self.check_finite {
            false => self.backend.submit(&batch.inputs),
            true => self.backend.observe(&batch.inputs, &mut FiniteCheck),
        };
        flight.ticket = match ran {
            Ok(ticket) => ticket,
            Err(error) => {
                let ids = flight.ids;
                return Err(Box::new(Unlaunched { ids, error }));
            }
        };
        let cost = self.backend.step_cost(&batch.inputs);
        // A step that ran has no size that overflows.
        flight.bytes = cost.bytes().unwrap_or(0);
        self.scheduler.advance(&scheduled, &batch.drawn);
        Ok(Some(flight))
    }

    /// Takes a step's results.
    fn settle(
        &mut self,
        flight: &Flight,
        on_logits: &mut dyn FnMut(PositionLogits<'_>),
    ) -> Result<Vec<Event>> {
        self.step_bytes = flight.bytes;
        if !flight.wanted_rows.is_empty() {
            let wanted = flight.wanted_rows.iter();
            let wanted: Vec<_> = wanted.filter(|(_, id, _)| self.runs(*id)).collect();
            let logits = self.backend.logits(flight.ticket)?;
            for &(row, id, position) in wanted {
                on_logits(PositionLogits {
                    id,
                    position,
                    logits: &logits[row * self.vocab_size..(row + 1) * self.vocab_size],
                });
            }
        }
        let tokens = self.backend.tokens(flight.ticket)?;
        for (&id, &token) in flight.drawn.iter().zip(tokens) {
            self.scheduler.push_token(id, token);
        }
        Ok(self.commit(flight))
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

    /// See [`Backend::memory_gb_per_s`].
    pub fn memory_gb_per_s(&mut self) -> Result<Option<f64>> {
        self.backend.memory_gb_per_s()
    }

    fn drop_sequences(&mut self, ids: &[SequenceId]) {
        for id in ids {
            self.scheduler.remove(*id);
        }
    }

    /// What a step whose tokens have been appended did for each of its sequences.
    fn commit(&mut self, flight: &Flight) -> Vec<Event> {
        let mut events = Vec::new();
        for sequence in self.scheduler.running() {
            let drew = flight.drawn.contains(&sequence.id);
            if drew || flight.ended.contains(&sequence.id) {
                let token = sequence.tokens.last().copied().filter(|_| drew);
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
