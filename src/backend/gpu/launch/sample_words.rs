//! What the sampling kernels read of a step's draws, as words: settings, and the logits that bias and penalties change.

use super::SampleRows;
use crate::backend::sampling::{SampleRow, check_logit_bias};
use crate::error::{Error, Result};

/// Words of a row's settings (`Setting` of `cuda/common/sample_row.cuh`).
pub(super) const SETTINGS: usize = 12;
/// Words of a change (`Change`).
pub(super) const CHANGE: usize = 4;
/// Logits of a part (`PART`).
const PART: u32 = 2048;
/// In place of a row's number, where no token is wanted (`UNUSED`).
const UNUSED: u32 = u32::MAX;

/// The device's view of a step's draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleWords {
    /// `(rows, 12)`.
    pub settings: Vec<u32>,
    /// `(rows, parts + 1)`: which changes each part of a row has.
    pub starts: Vec<u32>,
    /// `(changes, 4)`: token, times it stands in prompt and answer, times it stands in the answer, bias.
    pub changes: Vec<u32>,
}

/// Limits of a step.
#[derive(Debug, Clone, Copy)]
pub struct SampleLimits {
    /// Rows of the launches; those past the draws are unused.
    pub rows: usize,
    /// Rows of the logits.
    pub logit_rows: usize,
    /// Logits of a row.
    pub vocab: usize,
    /// Changed logits of all rows together.
    pub changes: usize,
}

/// A token whose logit is changed.
#[derive(Debug, Clone, Copy)]
struct Change {
    token: u32,
    seen: u32,
    answered: u32,
    bias: f32,
}

impl SampleWords {
    /// The words of `draws`. Refuses more than the limits hold, settings outside their ranges, and two biases for one token.
    pub fn new(draws: &[SampleRow], limits: &SampleLimits) -> Result<SampleWords> {
        if draws.len() > limits.rows {
            let expected = format!("at most {}, the rows of the launches", limits.rows);
            return Err(Error::argument("draws of a step", draws.len(), expected));
        }
        let parts = SampleRows::parts(limits.vocab);
        let mut words = SampleWords {
            settings: Vec::with_capacity(limits.rows.saturating_mul(SETTINGS)),
            starts: Vec::with_capacity(limits.rows.saturating_mul(parts + 1)),
            changes: Vec::new(),
        };
        for draw in draws {
            words.settings.extend(settings(draw, limits)?);
            let changes = changes(draw, limits)?;
            words.add(&changes, parts, limits)?;
        }
        for _ in draws.len()..limits.rows {
            words.settings.push(UNUSED);
            words.settings.extend([0; SETTINGS - 1]);
            words.add(&[], parts, limits)?;
        }
        Ok(words)
    }

    /// Appends a row's changes, which rise by token, and where each part's start.
    fn add(&mut self, changes: &[Change], parts: usize, limits: &SampleLimits) -> Result<()> {
        let first = self.changes.len() / CHANGE;
        let count = first.saturating_add(changes.len());
        let most = limits.changes;
        if count > most || u32::try_from(count).is_err() {
            let expected = format!("at most {most}; raise the room for changed logits");
            return Err(Error::argument(
                "logits changed by bias and penalties",
                count,
                expected,
            ));
        }
        for part in 0..parts {
            let before = |change: &Change| ((change.token / PART) as usize) < part;
            let start = first + changes.partition_point(before);
            // Below `count`, which fits.
            self.starts.push(start as u32);
        }
        self.starts.push(count as u32);
        for change in changes {
            let bias = change.bias.to_bits();
            self.changes
                .extend([change.token, change.seen, change.answered, bias]);
        }
        Ok(())
    }
}

/// A row's settings, in the kernel's order.
fn settings(draw: &SampleRow, limits: &SampleLimits) -> Result<[u32; SETTINGS]> {
    let params = &draw.params;
    params.validate()?;
    let row = match u32::try_from(draw.row) {
        Ok(row) if draw.row < limits.logit_rows => row,
        _ => {
            let expected = format!("below the {} rows of logits", limits.logit_rows);
            return Err(Error::argument("row of a draw", draw.row, expected));
        }
    };
    Ok([
        row,
        params.temperature.to_bits(),
        params.top_k,
        params.top_p.to_bits(),
        params.min_p.to_bits(),
        params.repetition_penalty.to_bits(),
        params.presence_penalty.to_bits(),
        params.frequency_penalty.to_bits(),
        params.seed as u32,
        (params.seed >> 32) as u32,
        draw.choice,
        draw.position,
    ])
}

/// The tokens whose logits a row changes, ascending: those with a bias, and those that a penalty which is on has seen.
fn changes(draw: &SampleRow, limits: &SampleLimits) -> Result<Vec<Change>> {
    let params = &draw.params;
    check_logit_bias(&draw.logit_bias, limits.vocab)?;
    let of = |(token, bias)| Change {
        token,
        seen: 0,
        answered: 0,
        bias,
    };
    let mut changes: Vec<Change> = draw.logit_bias.iter().copied().map(of).collect();
    let repetition = params.repetition_penalty != 1.0;
    let counted = params.presence_penalty != 0.0 || params.frequency_penalty != 0.0;
    let known = |token: &&u32| (**token as usize) < limits.vocab;
    if repetition {
        let seen = draw.history.iter().filter(known);
        changes.extend(seen.map(|&token| Change {
            seen: 1,
            ..of((token, 0.0))
        }));
    }
    if counted {
        let answer = draw.history.get(draw.prompt_len..).unwrap_or_default();
        changes.extend(answer.iter().filter(known).map(|&token| Change {
            answered: 1,
            ..of((token, 0.0))
        }));
    }
    changes.sort_unstable_by_key(|change| change.token);
    // At most one of a token has a bias, so adding zeros to it is exact.
    changes.dedup_by(|next, kept| {
        let same = next.token == kept.token;
        if same {
            kept.seen = kept.seen.saturating_add(next.seen);
            kept.answered = kept.answered.saturating_add(next.answered);
            kept.bias += next.bias;
        }
        same
    });
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::sampling::SamplingParams;

    const LIMITS: SampleLimits = SampleLimits {
        rows: 2,
        logit_rows: 3,
        vocab: 4100,
        changes: 3,
    };

    fn draw() -> SampleRow {
        SampleRow {
            row: 2,
            params: SamplingParams {
                temperature: 0.5,
                frequency_penalty: 0.25,
                seed: 7 << 32 | 9,
                ..SamplingParams::GREEDY
            },
            choice: 11,
            position: 13,
            // 4100 is no token of the vocabulary.
            history: Arc::new(vec![5, 77, 9, 2100, 9, 4100]),
            prompt_len: 2,
            logit_bias: vec![(9, 1.5), (8, -2.0)].into(),
        }
    }

    fn refused(draws: &[SampleRow], limits: SampleLimits, expected: &str) {
        let found = SampleWords::new(draws, &limits).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn a_step_becomes_settings_and_changes_by_part() -> Result<()> {
        let words = SampleWords::new(&[draw()], &LIMITS)?;
        let bits = f32::to_bits;
        let (row, off) = ([2, bits(0.5), 0, bits(1.0), 0, bits(1.0)], UNUSED);
        assert_eq!(words.settings[..6], row);
        assert_eq!(words.settings[6..12], [0, bits(0.25), 9, 7, 11, 13]);
        assert_eq!(words.settings[12..], [off, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // Three parts a row: tokens 8 and 9 in the first, 2100 in the second.
        assert_eq!(words.starts, [0, 2, 3, 3, 3, 3, 3, 3]);
        let changes = [8, 0, 0, bits(-2.0), 9, 0, 2, bits(1.5), 2100, 0, 1, 0];
        assert_eq!(words.changes, changes);
        // A penalty on what the prompt has too.
        let mut all = draw();
        all.params.repetition_penalty = 1.5;
        let words = SampleWords::new(
            &[all],
            &SampleLimits {
                changes: 5,
                ..LIMITS
            },
        )?;
        assert_eq!(words.changes[..4], [5, 1, 0, 0]);
        assert_eq!(words.changes[8..12], [9, 2, 2, bits(1.5)]);
        assert_eq!(words.changes.len(), 5 * CHANGE);
        Ok(())
    }

    #[test]
    fn what_the_launches_have_no_room_for_is_refused() {
        let three = [draw(), draw(), draw()];
        refused(&three, LIMITS, "draws of a step");
        let narrow = SampleLimits {
            changes: 2,
            ..LIMITS
        };
        refused(&[draw()], narrow, "logits changed by bias and penalties");
        let short = SampleLimits {
            logit_rows: 2,
            ..LIMITS
        };
        refused(&[draw()], short, "row of a draw");
        let mut twice = draw();
        twice.logit_bias = vec![(9, 1.5), (9, 1.5)].into();
        refused(&[twice], LIMITS, "logit_bias of token 9");
        let mut hot = draw();
        hot.params.temperature = f32::NAN;
        refused(&[hot], LIMITS, "temperature");
    }
}
