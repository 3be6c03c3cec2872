//! `generation_config.json`: the defaults a model's authors chose for sampling, and its end-of-sequence tokens.

use std::path::Path;

use super::json::JsonFile;
use crate::error::{Error, Result};

/// Sampling defaults of a model folder. Absent fields are `None`: the caller's own default applies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationConfig {
    /// Tokens that end a sequence.
    pub eos_token_ids: Vec<u32>,
    /// Token that starts a sequence, if the model has one.
    pub bos_token_id: Option<u32>,
    /// `false` means greedy whatever the temperature says.
    pub do_sample: Option<bool>,
    /// Softmax temperature.
    pub temperature: Option<f32>,
    /// Nucleus mass.
    pub top_p: Option<f32>,
    /// Number of candidates.
    pub top_k: Option<u32>,
    /// Least probability, as a multiple of the largest.
    pub min_p: Option<f32>,
    /// CTRL-style penalty on tokens already present; 1 is off.
    pub repetition_penalty: Option<f32>,
    /// Penalty on tokens of the answer; 0 is off. Not a field of transformers, but some authors write it.
    pub presence_penalty: Option<f32>,
    /// The same for each time a token occurs.
    pub frequency_penalty: Option<f32>,
}

/// Fields that change a sampled answer and are not built; refused unless they hold their neutral value.
const NEUTRAL: &[(&str, f64)] = &[
    ("typical_p", 1.0),
    ("epsilon_cutoff", 0.0),
    ("eta_cutoff", 0.0),
    ("length_penalty", 1.0),
    ("no_repeat_ngram_size", 0.0),
    ("num_beams", 1.0),
    ("encoder_repetition_penalty", 1.0),
    ("min_new_tokens", 0.0),
    ("min_length", 0.0),
    ("num_beam_groups", 1.0),
    ("diversity_penalty", 0.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("guidance_scale", 1.0),
    ("penalty_alpha", 0.0),
];

/// Fields that change an answer whatever they hold; refused unless absent, null or an empty list.
const ABSENT: &[&str] = &[
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "sequence_bias",
    "exponential_decay_length_penalty",
    "stop_strings",
    "force_words_ids",
    "constraints",
    "watermarking_config",
    "dola_layers",
];

impl GenerationConfig {
    /// Reads `generation_config.json` of `folder`; an absent file gives no defaults, and the
    /// end-of-sequence tokens then come from `config.json`.
    pub fn read(folder: &Path, config_eos: &[u32]) -> Result<Self> {
        let path = folder.join("generation_config.json");
        if !path.exists() {
            return Ok(GenerationConfig {
                eos_token_ids: config_eos.to_vec(),
                ..Default::default()
            });
        }
        Self::from_json(&JsonFile::read(&path)?, config_eos)
    }

    /// Validates a `generation_config.json` that has been read.
    pub fn from_json(file: &JsonFile, config_eos: &[u32]) -> Result<Self> {
        let path = file.path();
        for &(key, neutral) in NEUTRAL {
            if let Some(value) = file.number(key)?
                && value != neutral
            {
                return Err(Error::unsupported(path, key, value, neutral));
            }
        }
        for &key in ABSENT {
            if let Some(value) = file.get(key)
                && value.as_array().is_none_or(|list| !list.is_empty())
            {
                return Err(Error::unsupported(path, key, value, "nothing"));
            }
        }
        let mut eos_token_ids = file.ids("eos_token_id")?;
        if eos_token_ids.is_empty() {
            eos_token_ids = config_eos.to_vec();
        }
        let narrow = |key: &str| match file.number(key)? {
            Some(value) if !(value as f32).is_finite() => {
                Err(Error::malformed(path, key, value, "a finite 32-bit number"))
            }
            value => Ok(value.map(|value| value as f32)),
        };
        let top_k = match file.integer("top_k")? {
            None => None,
            Some(value) => Some(
                u32::try_from(value)
                    .map_err(|_| Error::malformed(path, "top_k", value, "a 32-bit count"))?,
            ),
        };
        Ok(GenerationConfig {
            eos_token_ids,
            bos_token_id: file.ids("bos_token_id")?.first().copied(),
            do_sample: file.boolean("do_sample")?,
            temperature: narrow("temperature")?,
            top_p: narrow("top_p")?,
            top_k,
            min_p: narrow("min_p")?,
            repetition_penalty: narrow("repetition_penalty")?,
            presence_penalty: narrow("presence_penalty")?,
            frequency_penalty: narrow("frequency_penalty")?,
        })
    }
}
