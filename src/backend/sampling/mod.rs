//! From a row of logits to a token. Exact: no approximate top-k, ties go to the lower id, and sums over the vocabulary
//! are integers, so they do not depend on the order in which they are added.
//!
//! The order, written down here once; each step sees what the one before it left:
//!
//! 1. **Logit bias** is added to the raw logits (as OpenAI and vLLM do).
//! 2. **Repetition penalty**, for tokens of the prompt or the answer: a positive logit is divided by it, any other
//!    multiplied (CTRL, arXiv 1909.05858; counted as vLLM does).
//! 3. **Frequency and presence penalty**, for tokens of the answer: `logit - count * frequency - presence` (OpenAI).
//! 4. **Temperature** divides. 0 ends here: the lowest id among the largest logits.
//! 5. **Top-k** keeps the k largest.
//! 6. **Top-p** keeps the shortest head, most probable first, that holds the share p of what top-k left.
//! 7. **Min-p** keeps tokens at least p times as probable as the most probable one.
//! 8. One **draw**, keyed by (seed, choice, position), walks what is left in ascending id.
//!
//! Steps 1 to 3 are f32, each operation rounded once; 4 to 7 are f64 (`weight.rs`). A token whose logit is -inf is never
//! kept. NaN and +inf are errors: a model that gives them is damaged, and every other answer would hide it.

mod draw;
mod filters;
mod largest;
mod params;
mod penalties;
mod weight;

use std::sync::Arc;

use super::rng::uniform;
use crate::error::Result;
pub use params::{MOST_BIASES, SamplingParams, check_logit_bias};
pub use penalties::penalised;

/// One draw of a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampleRow {
    /// Row of the step's logits.
    pub row: usize,
    /// How to pick.
    pub params: SamplingParams,
    /// Which of the answers to one prompt this is; each has its own draws.
    pub choice: u32,
    /// Position in the sequence of the token to be drawn.
    pub position: u32,
    /// Prompt and answer so far, shared with the sequence; only penalties read it.
    pub history: Arc<Vec<u32>>,
    /// Tokens of `history` that are the prompt.
    pub prompt_len: usize,
    /// Added to the logits of these tokens.
    pub logit_bias: Arc<[(u32, f32)]>,
}

/// Draws a token from `logits (vocab)`.
pub fn sample(logits: &[f32], row: &SampleRow) -> Result<u32> {
    let logits = penalised(logits, row);
    let best = largest::largest(&logits, row.position)?;
    if row.params.temperature == 0.0 {
        return Ok(best);
    }
    let kept = filters::keep(&logits, logits[best as usize], &row.params);
    let uniform = uniform(row.params.seed, row.choice, row.position);
    Ok(draw::draw(&kept, uniform))
}

/// The tokens that `sample` chooses from, ascending.
pub fn kept(logits: &[f32], row: &SampleRow) -> Result<Vec<u32>> {
    let logits = penalised(logits, row);
    let best = largest::largest(&logits, row.position)?;
    if row.params.temperature == 0.0 {
        return Ok(vec![best]);
    }
    let kept = filters::keep(&logits, logits[best as usize], &row.params);
    Ok(kept.iter().map(|candidate| candidate.id()).collect())
}
