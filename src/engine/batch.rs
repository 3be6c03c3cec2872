//! From scheduled sequences to the inputs a device takes.

use std::sync::Arc;

use super::scheduler::Scheduled;
use super::sequence::{Request, Sequence};
use crate::backend::sampling::SampleRow;
use crate::backend::{SequenceSpan, StepInputs};

/// A step's inputs, and whose they are.
#[derive(Debug, Default)]
pub struct Batch {
    /// For the backend.
    pub inputs: StepInputs,
    /// `(running index, prompt position)` of each logits row that a caller asked for, by row.
    pub wanted_rows: Vec<(usize, usize, usize)>,
    /// Running index of each drawn token.
    pub drawn: Vec<usize>,
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
        let wants_token = end == sequence.tokens.len() && end < sequence.max_len(max_model_len);
        for position in item.start..end {
            inputs.token_ids.push(sequence.tokens[position]);
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
                    inputs
                        .samples
                        .push(sample_row(&sequence.request, row, &sequence.tokens));
                    self.drawn.push(item.running);
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

/// The draw of the token after `tokens`, from logits row `row`.
fn sample_row(request: &Request, row: usize, tokens: &Arc<Vec<u32>>) -> SampleRow {
    SampleRow {
        row,
        params: request.params,
        choice: request.choice,
        position: tokens.len() as u32,
        history: Arc::clone(tokens),
        prompt_len: request.prompt.len(),
        logit_bias: Arc::clone(&request.logit_bias),
    }
}
