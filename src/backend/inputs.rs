//! A step's inputs held against the plan and the cache, before anything runs: kernels and loops rely on it.

use super::{DRAWN, StepInputs};
use crate::config::engine::BLOCK_SIZE;
use crate::error::{Error, Result};
use crate::graph::{Op, Plan};
use crate::shape::MaxRows;

/// What inputs must stay within.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    max_rows: MaxRows,
    num_blocks: usize,
    /// Rows of the embedding, where the plan has one.
    vocab: Option<usize>,
}

fn same(field: &str, found: usize, expected: usize) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::argument(field, found, expected)),
    }
}

fn below(field: &str, found: Option<u64>, limit: usize) -> Result<()> {
    match found {
        Some(found) if found >= limit as u64 => {
            Err(Error::argument(field, found, format!("below {limit}")))
        }
        _ => Ok(()),
    }
}

fn largest(values: &[u32]) -> Option<u64> {
    values.iter().max().map(|&value| u64::from(value))
}

impl Limits {
    /// Those of a plan with `num_blocks` KV blocks.
    pub fn of(plan: &Plan, num_blocks: usize) -> Limits {
        let vocab = plan.steps().iter().find_map(|node| match node.op {
            Op::Embed { table } => Some(plan.graph.weights[table.0].rows()),
            _ => None,
        });
        Limits {
            max_rows: plan.max_rows,
            num_blocks,
            vocab,
        }
    }

    /// Refuses inputs that do not fit together or reach beyond a limit. Of the step before, `drawn` samples can be
    /// named.
    pub fn check(&self, inputs: &StepInputs, drawn: usize) -> Result<()> {
        let (tokens, max) = (inputs.token_ids.len(), self.max_rows);
        below("tokens of the step", Some(tokens as u64), max.tokens + 1)?;
        let rows = inputs.logit_rows.len();
        below("logit rows of the step", Some(rows as u64), max.logits + 1)?;
        same("positions", inputs.positions.len(), tokens)?;
        same("slot_mapping", inputs.slot_mapping.len(), tokens)?;
        let spans = inputs.sequences.iter();
        let in_spans = spans.map(|span| span.tokens).sum();
        same("tokens of all sequences", in_spans, tokens)?;
        if let Some(vocab) = self.vocab {
            let ids = inputs.token_ids.iter();
            let (rows, ids): (Vec<u32>, Vec<u32>) = ids.partition(|&id| id & DRAWN != 0);
            below("token id", largest(&ids), vocab)?;
            let rows: Vec<u32> = rows.into_iter().map(|row| row ^ DRAWN).collect();
            below("place of a drawn token", largest(&rows), drawn)?;
        }
        let slots = self.num_blocks * BLOCK_SIZE;
        below("slot", largest(&inputs.slot_mapping), slots)?;
        below("block", largest(&inputs.block_tables), self.num_blocks)?;
        below("logit row", largest(&inputs.logit_rows), tokens)?;
        for span in &inputs.sequences {
            let blocks = (span.cached + span.tokens).div_ceil(BLOCK_SIZE);
            let what = "keys of a sequence, in blocks";
            below(what, Some(blocks as u64), span.table_len + 1)?;
            let end = (span.table_start + span.table_len) as u64;
            below("block table end", Some(end), inputs.block_tables.len() + 1)?;
        }
        for row in &inputs.samples {
            below("sample row", Some(row.row as u64), rows)?;
        }
        Ok(())
    }
}
