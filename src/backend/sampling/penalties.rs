//! Logit bias and the three penalties: what changes logits before any of them is dropped.

use std::borrow::Cow;

use super::SampleRow;

/// `logits` after bias and penalties. Without any it is the same memory, so plain greedy reads the row once.
pub fn penalised<'a>(logits: &'a [f32], row: &SampleRow) -> Cow<'a, [f32]> {
    let params = &row.params;
    let repetition = params.repetition_penalty != 1.0;
    let counted = params.presence_penalty != 0.0 || params.frequency_penalty != 0.0;
    if row.logit_bias.is_empty() && !repetition && !counted {
        return Cow::Borrowed(logits);
    }
    let mut changed = logits.to_vec();
    for &(id, bias) in row.logit_bias.iter() {
        if let Some(logit) = changed.get_mut(id as usize) {
            *logit += bias;
        }
    }
    if repetition {
        for_each_token(&row.history, &mut changed, |logit, _| {
            if *logit > 0.0 {
                *logit /= params.repetition_penalty;
            } else {
                *logit *= params.repetition_penalty;
            }
        });
    }
    if counted {
        let answer = row.history.get(row.prompt_len..).unwrap_or_default();
        for_each_token(answer, &mut changed, |logit, count| {
            *logit -= count as f32 * params.frequency_penalty;
            *logit -= params.presence_penalty;
        });
    }
    Cow::Owned(changed)
}

/// Calls `change` once for each distinct token, with how often it occurs.
fn for_each_token(tokens: &[u32], logits: &mut [f32], mut change: impl FnMut(&mut f32, u32)) {
    let mut counts = vec![0u32; logits.len()];
    for &token in tokens {
        if let Some(count) = counts.get_mut(token as usize) {
            *count = count.saturating_add(1);
        }
    }
    for &token in tokens {
        let id = token as usize;
        if let (Some(logit), Some(count)) = (logits.get_mut(id), counts.get_mut(id)) {
            // Taken at the token's first occurrence; the later ones find 0.
            let count = std::mem::take(count);
            if count > 0 {
                change(logit, count);
            }
        }
    }
}
