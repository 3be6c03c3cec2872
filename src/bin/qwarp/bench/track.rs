//! One sequence on a backend, which can go back to an earlier position: a depth is computed once and serves every
//! repetition of every test behind it.
//!
//! Steps are made by the engine's own `Batch`; what an engine adds to them is its choice of who runs next, and with one
//! sequence there is none.

use std::path::Path;
use std::slice;
use std::sync::Arc;
use std::time::Instant;

use qwarp::Result;
use qwarp::backend::Backend;
use qwarp::backend::cpu::CpuBackend;
use qwarp::backend::rng::philox;
use qwarp::config::ModelConfig;
use qwarp::engine::batch::Batch;
use qwarp::engine::open::open_backend;
use qwarp::engine::scheduler::Scheduled;
use qwarp::engine::sequence::Sequence;
use qwarp::engine::{OpenOptions, Request, SequenceId};
use qwarp::graph::cost::Cost;
use qwarp::kv::BlockTable;

/// A backend and the sequence it runs.
pub struct Track {
    pub backend: CpuBackend,
    sequence: Sequence,
    max_model_len: usize,
    /// The prompt of every test: random and always the same.
    prompt: Vec<u32>,
    /// Positions from the start whose keys and values are those of `prompt`.
    known: usize,
}

/// A step that ran.
pub struct Step {
    /// From the list of its tokens to the token it drew.
    pub ns: u64,
    pub cost: Cost,
}

impl Track {
    /// Opens `folder` for sequences of up to `longest` tokens.
    pub fn open(
        folder: &Path,
        config: &ModelConfig,
        options: OpenOptions,
        longest: usize,
    ) -> Result<Self> {
        let backend = open_backend(folder, config, options)?.backend;
        let vocab = config.vocab_size as u32;
        let prompt: Vec<u32> = (0..longest as u32)
            .map(|index| philox([index, 0, 0, 0], [0, 0])[0] % vocab)
            .collect();
        let mut sequence = Sequence::new(SequenceId(0), Request::new(Vec::new(), usize::MAX));
        sequence.block_table = BlockTable::new((0..options.engine.num_blocks() as u32).collect());
        Ok(Track {
            backend,
            sequence,
            max_model_len: options.engine.max_model_len,
            prompt,
            known: 0,
        })
    }

    /// Puts the sequence at `depth` with the prompt's tokens up to `end` still to compute. Returns how many tokens before
    /// `depth` have to be computed first.
    pub fn go_to(&mut self, depth: usize, end: usize) -> usize {
        self.sequence.computed = self.known.min(depth);
        self.sequence.tokens = Arc::new(self.prompt[..end].to_vec());
        depth - self.sequence.computed
    }

    /// Computes the next `count` tokens and appends the one drawn behind the last, if that was the last.
    pub fn step(&mut self, count: usize) -> Result<Step> {
        let started = Instant::now();
        let start = self.sequence.computed;
        let scheduled = Scheduled {
            running: 0,
            start,
            count,
        };
        let running = slice::from_ref(&self.sequence);
        let Batch { inputs, .. } = Batch::new(&[scheduled], running, self.max_model_len);
        let ticket = self.backend.submit(&inputs)?;
        let drawn = self.backend.tokens(ticket)?.first().copied();
        let ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let cost = self.backend.step_cost(&inputs);
        // Gives the tokens back, so that appending to them copies nothing.
        drop(inputs);
        self.sequence.computed += count;
        if start <= self.known {
            let end = self.sequence.computed;
            let same = self.sequence.tokens[start..end] == self.prompt[start..end];
            self.known = if same { self.known.max(end) } else { start };
        }
        if let Some(token) = drawn {
            Arc::make_mut(&mut self.sequence.tokens).push(token);
        }
        Ok(Step { ns, cost })
    }
}
