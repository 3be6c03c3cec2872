//! Who runs now. Pure: no device, no clock.
//!
//! Running sequences decode first, then prompts are prefilled in arrival order until the step's token budget is spent.
//! A sequence is admitted when the pool has every block it can ever need, so a running sequence never has to be stopped.

use std::collections::VecDeque;
use std::sync::Arc;

use super::sequence::{Sequence, SequenceId};
use crate::config::EngineConfig;
use crate::kv::{BlockPool, BlockTable};

/// Tokens of one sequence that run in this step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduled {
    /// Index in `Scheduler::running`.
    pub running: usize,
    /// First token.
    pub start: usize,
    /// Number of tokens.
    pub count: usize,
}

/// Waiting and running sequences.
#[derive(Debug)]
pub struct Scheduler {
    config: EngineConfig,
    pool: BlockPool,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
}

impl Scheduler {
    /// An idle scheduler with `config.num_blocks()` free blocks.
    pub fn new(config: EngineConfig) -> Self {
        Scheduler {
            pool: BlockPool::new(config.num_blocks()),
            config,
            waiting: VecDeque::new(),
            running: Vec::new(),
        }
    }

    /// Queues a sequence.
    pub fn add(&mut self, sequence: Sequence) {
        self.waiting.push_back(sequence);
    }

    /// Sequences with blocks, in the order of their admission.
    pub fn running(&self) -> &[Sequence] {
        &self.running
    }

    /// Whether nothing waits or runs.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Picks the tokens of the next step, decodes first; empty when idle.
    pub fn schedule(&mut self) -> Vec<Scheduled> {
        self.admit();
        let mut tokens = self.config.max_batched_tokens;
        let mut logit_rows = self.config.max_logit_rows;
        let mut batch = Vec::new();
        let left = |sequence: &Sequence| sequence.left(self.config.max_model_len);
        for decoding in [true, false] {
            for (running, sequence) in self.running.iter().enumerate() {
                let waits = left(sequence) > 0 && (left(sequence) == 1) == decoding;
                if !waits || tokens == 0 || logit_rows == 0 {
                    continue;
                }
                let wanted = &sequence.request.wanted_logits;
                let mut count = left(sequence).min(tokens);
                if wanted.start < sequence.computed + count && sequence.computed < wanted.end {
                    // Every token of the chunk may want its logits.
                    count = count.min(logit_rows);
                    logit_rows -= count;
                } else {
                    logit_rows -= 1;
                }
                tokens -= count;
                batch.push(Scheduled {
                    running,
                    start: sequence.computed,
                    count,
                });
            }
        }
        batch
    }

    /// Marks the scheduled tokens as computed, and those that their step draws, each `(running, which draw of the step)`, as pending.
    pub fn advance(&mut self, batch: &[Scheduled], drawn: &[(usize, u32)]) {
        for scheduled in batch {
            self.running[scheduled.running].computed += scheduled.count;
        }
        for &(running, draw) in drawn {
            self.running[running].pending += 1;
            self.running[running].pending_draw = draw;
        }
    }

    /// Appends a drawn token; a sequence that is gone by now needs none.
    pub fn push_token(&mut self, id: SequenceId, token: u32) {
        // Sequences run in the order of their arrival, which is that of their ids.
        let found = self.running.binary_search_by_key(&id, |running| running.id);
        if let Some(sequence) = found.ok().and_then(|index| self.running.get_mut(index)) {
            // Copies only while a backend still holds the tokens of a step.
            Arc::make_mut(&mut sequence.tokens).push(token);
            sequence.pending -= 1;
        }
    }

    /// Removes a sequence, wherever it is, and frees its blocks.
    pub fn remove(&mut self, id: SequenceId) -> Option<Sequence> {
        if let Some(index) = self.waiting.iter().position(|sequence| sequence.id == id) {
            return self.waiting.remove(index);
        }
        let index = self.running.iter().position(|sequence| sequence.id == id)?;
        let mut sequence = self.running.remove(index);
        self.pool
            .release(std::mem::take(&mut sequence.block_table).into_blocks());
        Some(sequence)
    }

    fn admit(&mut self) {
        while self.running.len() < self.config.max_num_seqs {
            let Some(next) = self.waiting.front() else {
                return;
            };
            let blocks = BlockTable::blocks_for(next.max_len(self.config.max_model_len));
            let Some(blocks) = self.pool.allocate(blocks) else {
                return;
            };
            if let Some(mut sequence) = self.waiting.pop_front() {
                sequence.block_table = BlockTable::new(blocks);
                self.running.push(sequence);
            }
        }
    }
}
