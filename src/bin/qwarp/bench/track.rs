//! Sequences on a backend, which can go back to an earlier position: a depth is computed once and serves every repetition
//! of every test behind it.
//!
//! Steps are made by the engine's own `Batch`; what an engine adds to them is its choice of who runs next, and here all
//! that take part run in every step.

use std::sync::Arc;
use std::time::Instant;

use qwarp::Result;
use qwarp::backend::observe::StepTimes;
use qwarp::backend::rng::philox;
use qwarp::backend::{Backend, Ticket};
use qwarp::config::EngineConfig;
use qwarp::engine::batch::Batch;
use qwarp::engine::scheduler::Scheduled;
use qwarp::engine::sequence::Sequence;
use qwarp::engine::{Request, SequenceId};
use qwarp::graph::cost::Cost;
use qwarp::kv::BlockTable;

/// A backend and the sequences it runs.
pub struct Track {
    pub backend: Box<dyn Backend>,
    /// All that the backend has blocks for; a test runs the first of them.
    sequences: Vec<Sequence>,
    /// How many take part.
    active: usize,
    max_model_len: usize,
    /// The prompt of each, in every test: random and always the same.
    prompts: Vec<Vec<u32>>,
    /// Positions from the start of each whose keys and values are those of its prompt.
    known: Vec<usize>,
}

/// A step that was submitted.
pub struct Flight {
    ticket: Ticket,
    /// Whose tokens it draws.
    drawn: Vec<usize>,
    cost: Cost,
    /// From the list of its tokens to the end of its submission.
    ns: u64,
}

/// A step that ran.
pub struct Step {
    /// From the list of its tokens to the tokens it drew; one that was queued ahead is not waited for.
    pub ns: u64,
    pub cost: Cost,
    /// The tokens, of one sequence after the other.
    pub drawn: Vec<u32>,
}

impl Track {
    /// Sequences of up to `longest` tokens on a backend that was opened with `engine`.
    pub fn new(
        backend: Box<dyn Backend>,
        engine: EngineConfig,
        vocab_size: usize,
        longest: usize,
    ) -> Self {
        let vocab = vocab_size as u32;
        let token = |index, number| philox([index, number, 0, 0], [0, 0])[0] % vocab;
        let count = engine.max_num_seqs as u32;
        let blocks = (engine.num_blocks() / engine.max_num_seqs.max(1)) as u32;
        let sequences = (0..count).map(|number| {
            let request = Request::new(Vec::new(), usize::MAX);
            let mut sequence = Sequence::new(SequenceId(number.into()), request);
            let first = number * blocks;
            sequence.block_table = BlockTable::new((first..first + blocks).collect());
            sequence
        });
        let prompt = |number| {
            (0..longest as u32)
                .map(|index| token(index, number))
                .collect()
        };
        Track {
            backend,
            sequences: sequences.collect(),
            active: 0,
            max_model_len: engine.max_model_len,
            prompts: (0..count).map(prompt).collect(),
            known: vec![0; engine.max_num_seqs],
        }
    }

    /// Puts the first `count` sequences at `depth`, each with its prompt's tokens up to `end` still to compute. Returns how
    /// many tokens before `depth` have to be computed first.
    pub fn go_to(&mut self, count: usize, depth: usize, end: usize) -> usize {
        self.active = count.min(self.sequences.len());
        let active = self.sequences[..self.active].iter_mut();
        let places = active.zip(self.prompts.iter().zip(&self.known));
        let missing = places.map(|(sequence, (prompt, known))| {
            sequence.computed = depth.min(*known);
            sequence.pending = 0;
            sequence.tokens = Arc::new(prompt[..end].to_vec());
            depth - sequence.computed
        });
        missing.sum()
    }

    /// Computes up to `count` tokens of a sequence that is not yet at `depth`. Returns how many that were.
    pub fn fill(&mut self, depth: usize, count: usize) -> Result<usize> {
        let active = self.sequences[..self.active].iter();
        let mut places = active.map(|sequence| sequence.computed).enumerate();
        let Some((running, start)) = places.find(|(_, computed)| *computed < depth) else {
            return Ok(0);
        };
        let count = count.min(depth - start);
        let flight = self.submit(&[Scheduled {
            running,
            start,
            count,
        }])?;
        self.settle(flight)?;
        Ok(count)
    }

    /// Computes the next `count` tokens of every sequence and appends those drawn behind their last.
    pub fn step(&mut self, count: usize) -> Result<Step> {
        let flight = self.launch(count)?;
        self.settle(flight)
    }

    /// The same without waiting for the tokens: the next step may be launched before [`Track::settle`], where the backend
    /// feeds it.
    pub fn launch(&mut self, count: usize) -> Result<Flight> {
        let active = self.sequences[..self.active].iter().enumerate();
        let scheduled = active.map(|(running, sequence)| Scheduled {
            running,
            start: sequence.computed,
            count,
        });
        self.submit(&scheduled.collect::<Vec<_>>())
    }

    fn submit(&mut self, scheduled: &[Scheduled]) -> Result<Flight> {
        let started = Instant::now();
        let batch = Batch::new(scheduled, &self.sequences, self.max_model_len);
        let ticket = self.backend.submit(&batch.inputs)?;
        let ns = ns(started);
        let cost = self.backend.step_cost(&batch.inputs);
        // Gives the tokens back, so that appending to them copies nothing.
        let Batch { inputs, drawn, .. } = batch;
        drop(inputs);
        scheduled.iter().for_each(|item| self.advance(*item));
        for &(running, draw) in &drawn {
            self.sequences[running].pending += 1;
            self.sequences[running].pending_draw = draw;
        }
        Ok(Flight {
            ticket,
            drawn: drawn.iter().map(|(running, _)| *running).collect(),
            cost,
            ns,
        })
    }

    /// Takes a step's tokens.
    pub fn settle(&mut self, flight: Flight) -> Result<Step> {
        let started = Instant::now();
        let tokens = self.backend.tokens(flight.ticket)?.to_vec();
        let ns = flight.ns + ns(started);
        for (&running, &token) in flight.drawn.iter().zip(&tokens) {
            let sequence = &mut self.sequences[running];
            Arc::make_mut(&mut sequence.tokens).push(token);
            sequence.pending -= 1;
        }
        Ok(Step {
            ns,
            cost: flight.cost,
            drawn: tokens,
        })
    }

    /// The device's times for the step over the tokens from `start` to `stop`, which has run, of every sequence, and its cost.
    /// Tokens from `end` on are forgotten. None where there is no device.
    pub fn time(
        &mut self,
        [start, stop, end]: [usize; 3],
        repetitions: usize,
    ) -> Result<Option<(StepTimes, Cost)>> {
        let mut scheduled = Vec::with_capacity(self.active);
        for (running, sequence) in self.sequences[..self.active].iter_mut().enumerate() {
            Arc::make_mut(&mut sequence.tokens).truncate(end);
            let count = stop - start;
            scheduled.push(Scheduled {
                running,
                start,
                count,
            });
        }
        let batch = Batch::new(&scheduled, &self.sequences, self.max_model_len);
        let times = self.backend.time_step(&batch.inputs, repetitions)?;
        let cost = self.backend.step_cost(&batch.inputs);
        Ok(times.map(|times| (times, cost)))
    }

    /// Notes what a step over `item` leaves in the cache.
    fn advance(&mut self, item: Scheduled) {
        let (start, end) = (item.start, item.start + item.count);
        let sequence = &mut self.sequences[item.running];
        sequence.computed = end;
        let known = &mut self.known[item.running];
        if start <= *known {
            // A token that nobody has seen yet is not there to compare.
            let own = sequence.tokens.get(start..end);
            let same = own.is_some() && own == self.prompts[item.running].get(start..end);
            *known = if same { end.max(*known) } else { start };
        }
    }
}

fn ns(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
