//! A model on a device without an engine: every step's tokens and every sequence's blocks are the caller's choice.

use std::path::Path;

use qwarp::backend::gpu::GpuBackend;
use qwarp::backend::{Backend, SequenceSpan, StepInputs};
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::config::engine::Utilization;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::driver::Target;
use qwarp::engine::open::open_backend_on;
use qwarp::{DType, Result};

use super::visits::{Counting, Visits};

/// How a model is opened.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// The generation that the emulator stands for.
    pub target: Target,
    /// Type of matrix inputs and of the cache.
    pub dtype: DType,
    /// Whether the emulator looks for races and unwritten memory.
    pub checks: bool,
    /// Host threads.
    pub threads: usize,
    /// Most tokens of a step.
    pub max_tokens: usize,
    /// Most sequences of a step.
    pub max_sequences: usize,
    /// Most positions of a sequence: the cache has the blocks of `max_sequences` of that many.
    pub max_len: usize,
}

/// Tokens of one sequence in a step.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The whole sequence, as far as it is known.
    pub sequence: &'a [u32],
    /// How many of them earlier steps have run.
    pub cached: usize,
    /// How many this step runs.
    pub count: usize,
    /// Its blocks.
    pub table: &'a [u32],
}

/// An opened model.
#[derive(Debug)]
pub struct ByHand {
    backend: GpuBackend,
    vocab: usize,
    /// What ran.
    pub visits: Visits,
}

impl ByHand {
    /// Opens the checkpoint in `folder` on an emulator.
    pub fn open(folder: &Path, how: How) -> Result<ByHand> {
        let driver = Counting::new(how.target, how.threads, how.checks);
        ByHand::open_on(driver, folder, how)
    }

    /// Opens it on a device, which settles what `how` says of the emulator.
    pub fn open_on(driver: Counting, folder: &Path, how: How) -> Result<ByHand> {
        let config = ModelConfig::read(folder)?;
        let visits = driver.visits();
        let limits = EngineConfig {
            dtype: how.dtype,
            threads: how.threads,
            max_num_seqs: how.max_sequences,
            max_batched_tokens: how.max_tokens,
            max_logit_rows: how.max_tokens,
            max_model_len: how.max_len,
        };
        Ok(ByHand {
            backend: open_backend_on(
                Box::new(driver),
                Utilization::default(),
                folder,
                &config,
                limits,
            )?
            .backend,
            vocab: config.vocab_size,
            visits,
        })
    }

    /// Runs a step: the logits of each part's tokens, part by part.
    pub fn step(&mut self, parts: &[Part<'_>]) -> Result<Vec<Vec<Vec<f32>>>> {
        let ticket = self.backend.submit(&inputs(parts))?;
        let mut rows = self.backend.logits(ticket)?.chunks(self.vocab);
        let own = |part: &Part<'_>| {
            rows.by_ref()
                .take(part.count)
                .map(<[f32]>::to_vec)
                .collect()
        };
        Ok(parts.iter().map(own).collect())
    }

    /// Runs the `range` of one sequence as one step; the logits of its tokens.
    pub fn run(
        &mut self,
        sequence: &[u32],
        range: std::ops::Range<usize>,
        table: &[u32],
    ) -> Result<Vec<Vec<f32>>> {
        let part = Part {
            sequence,
            cached: range.start,
            count: range.len(),
            table,
        };
        Ok(self.step(&[part])?.swap_remove(0))
    }
}

fn inputs(parts: &[Part<'_>]) -> StepInputs {
    let mut inputs = StepInputs::default();
    for part in parts {
        for position in part.cached..part.cached + part.count {
            let block = part.table[position / BLOCK_SIZE] as usize;
            let slot = block * BLOCK_SIZE + position % BLOCK_SIZE;
            inputs.logit_rows.push(inputs.token_ids.len() as u32);
            inputs.token_ids.push(part.sequence[position]);
            inputs.positions.push(position as u32);
            inputs.slot_mapping.push(slot as u32);
        }
        inputs.sequences.push(SequenceSpan {
            tokens: part.count,
            cached: part.cached,
            table_start: inputs.block_tables.len(),
            table_len: part.table.len(),
        });
        inputs.block_tables.extend_from_slice(part.table);
    }
    inputs
}
