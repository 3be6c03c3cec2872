//! How to pick a token, and the range of each setting.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::error::{Error, Result};

/// What OpenAI accepts as a bias: enough to force or to ban a token.
const BIAS: RangeInclusive<f32> = -100.0..=100.0;
/// What OpenAI accepts as a presence or frequency penalty.
const PENALTY: RangeInclusive<f32> = -2.0..=2.0;
/// Logits are divided by it: less would make infinities of some.
const REPETITION: RangeInclusive<f32> = 0.01..=100.0;
/// Most biases of a request: devices have room for so many.
pub const MOST_BIASES: usize = 1024;

/// How to pick a token; the module says in which order the settings act.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits; 0 takes the largest.
    pub temperature: f32,
    /// Keeps the k largest logits; 0 keeps all.
    pub top_k: u32,
    /// Keeps the most probable tokens up to this share, the one that crosses it included; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens at least this many times as probable as the most probable; 0 keeps all.
    pub min_p: f32,
    /// Divides positive and multiplies other logits of tokens in the prompt or the answer; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens in the answer; 0 is off.
    pub presence_penalty: f32,
    /// Subtracted from the logits of tokens in the answer as often as they occur; 0 is off.
    pub frequency_penalty: f32,
    /// Key of the random draws.
    pub seed: u64,
}

impl SamplingParams {
    /// The largest logit, always.
    pub const GREEDY: SamplingParams = SamplingParams {
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repetition_penalty: 1.0,
        presence_penalty: 0.0,
        frequency_penalty: 0.0,
        seed: 0,
    };

    /// Whether logits depend on the tokens so far.
    pub fn penalises(&self) -> bool {
        self.repetition_penalty != 1.0
            || self.presence_penalty != 0.0
            || self.frequency_penalty != 0.0
    }

    /// Refuses values outside their ranges, NaN included.
    pub fn validate(&self) -> Result<()> {
        within("temperature", self.temperature, 0.0..=100.0)?;
        above_zero("top_p", self.top_p, 1.0)?;
        within("min_p", self.min_p, 0.0..=1.0)?;
        within("repetition_penalty", self.repetition_penalty, REPETITION)?;
        within("presence_penalty", self.presence_penalty, PENALTY)?;
        within("frequency_penalty", self.frequency_penalty, PENALTY)
    }
}

impl Default for SamplingParams {
    fn default() -> Self {
        SamplingParams::GREEDY
    }
}

/// Refuses biases outside their range, of tokens outside the vocabulary, or two for one token.
pub fn check_logit_bias(biases: &[(u32, f32)], vocab: usize) -> Result<()> {
    if biases.len() > MOST_BIASES {
        let expected = format!("at most {MOST_BIASES}");
        return Err(Error::argument("logit_bias count", biases.len(), expected));
    }
    for &(id, bias) in biases {
        if id as usize >= vocab {
            let expected = format!("below the vocabulary size {vocab}");
            return Err(Error::argument("logit_bias token id", id, expected));
        }
        within(format!("logit_bias of token {id}"), bias, BIAS)?;
    }
    let mut sorted = biases.to_vec();
    sorted.sort_by_key(|&(id, _)| id);
    match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(&[(id, first), (_, second)]) => Err(Error::argument(
            format!("logit_bias of token {id}"),
            format!("{first} and {second}"),
            "one bias for each token",
        )),
        _ => Ok(()),
    }
}

fn within(field: impl Into<String>, value: f32, range: RangeInclusive<f32>) -> Result<()> {
    let expected = format!("{} to {}", range.start(), range.end());
    accept(field, value, range.contains(&value), expected)
}

fn above_zero(field: &str, value: f32, most: f32) -> Result<()> {
    let expected = format!("above 0, at most {most}");
    accept(field, value, value > 0.0 && value <= most, expected)
}

fn accept(field: impl Into<String>, value: f32, valid: bool, expected: impl Display) -> Result<()> {
    if valid {
        Ok(())
    } else {
        Err(Error::argument(field, value, expected))
    }
}
