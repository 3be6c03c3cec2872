//! From scheduled sequences to the inputs a device takes.

use std::sync::Arc;

use super::scheduler::Scheduled;
use super::sequence::Sequence;
use crate::backend::sampling::SampleRow;
use crate::backend::{DRAWN, SequenceSpan, StepInputs};

/// A step's inputs, and whose they are.
#[derive(Debug, Default)]
pub struct Batch {
    /// For the backend.
    pub inputs: StepInputs,
    /// `(row, running index, position)` of each logits row that a caller asked for.
    pub wanted_rows: Vec<(usize, usize, usize)>,
    /// `(running index, which draw of the step)` of each drawn token.
    pub drawn: Vec<(usize, u32)>,
    /// Running indices of those that end here without a token: they wanted none.
    pub ended: Vec<usize>,
}

impl Batch {
    /// Collects the tokens of `scheduled`.
    pub fn new(scheduled: &[Scheduled], running: &[Sequence], max_model_len: usize) -> Self {
        let mut batch = Batch::default();
        for item in scheduled {
            batch.add(*item, &running[item.running], max_model_len);
        }
        batch
    }

    fn add(&mut self, item: Scheduled, sequence: &Sequence, max_model_len: usize) {
        let inputs = &mut self.inputs;
        let first_row = inputs.token_ids.len();
        let end = item.start + item.count;
        let at_end = end == sequence.len_ahead();
        let wants_token = at_end && end < sequence.max_len(max_model_len);
        if at_end && !wants_token {
            self.ended.push(item.running);
        }
        for position in item.start..end {
            // What the host has not seen is what the step before draws.
            let token = sequence.tokens.get(position).copied();
            let token = token.unwrap_or(DRAWN | sequence.pending_draw);
            inputs.token_ids.push(token);
            inputs.positions.push(position as u32);
            // The table covers max_len, so every position below it has a slot.
            inputs
                .slot_mapping
                .push(sequence.block_table.slot(position).unwrap_or(u32::MAX));
            let wanted = sequence.request.wanted_logits.contains(&position);
            let drawn = wants_token && position + 1 == end;
            if wanted || drawn {
                let row = inputs.logit_rows.len();
                inputs
                    .logit_rows
                    .push((first_row + position - item.start) as u32);
                if wanted {
                    self.wanted_rows.push((row, item.running, position));
                }
                if drawn {
                    inputs.samples.push(sample_row(sequence, row));
                    let draw = self.drawn.len() as u32;
                    self.drawn.push((item.running, draw));
                }
            }
        }
        inputs.sequences.push(SequenceSpan {
            tokens: item.count,
            cached: item.start,
            table_start: inputs.block_tables.len(),
            table_len: sequence.block_table.blocks().len(),
        });
        inputs
            .block_tables
            .extend_from_slice(sequence.block_table.blocks());
    }
}

/// The draw of the token after all that `sequence` has, from logits row `row`.
fn sample_row(sequence: &Sequence, row: usize) -> SampleRow {
    let request = &sequence.request;
    SampleRow {
        row,
        params: request.params,
        choice: request.choice,
        position: sequence.len_ahead() as u32,
        history: Arc::clone(&sequence.tokens),
        prompt_len: request.prompt.len(),
        logit_bias: Arc::clone(&request.logit_bias),
    }
}
