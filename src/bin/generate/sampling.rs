//! How this run picks tokens: the command line, else the model's own defaults, else neutral values.

use qwarp::backend::sampling::SamplingParams;
use qwarp::config::GenerationConfig;

use crate::args::SamplingArgs;

/// The settings of a run.
pub fn params(args: &SamplingArgs, model: &GenerationConfig) -> SamplingParams {
    let neutral = SamplingParams::GREEDY;
    let default_temperature = if model.do_sample == Some(true) {
        model.temperature.unwrap_or(1.0)
    } else {
        0.0
    };
    let pick = |given: Option<f32>, default: Option<f32>, neutral: f32| {
        given.or(default).unwrap_or(neutral)
    };
    SamplingParams {
        temperature: args.temperature.unwrap_or(default_temperature),
        top_k: args.top_k.or(model.top_k).unwrap_or(neutral.top_k),
        top_p: pick(args.top_p, model.top_p, neutral.top_p),
        min_p: pick(args.min_p, model.min_p, neutral.min_p),
        repetition_penalty: pick(
            args.repetition_penalty,
            model.repetition_penalty,
            neutral.repetition_penalty,
        ),
        presence_penalty: pick(
            args.presence_penalty,
            model.presence_penalty,
            neutral.presence_penalty,
        ),
        frequency_penalty: pick(
            args.frequency_penalty,
            model.frequency_penalty,
            neutral.frequency_penalty,
        ),
        seed: args.seed,
    }
}

/// The settings in words, for the table.
pub fn describe(params: &SamplingParams, logit_bias: &[(u32, f32)]) -> String {
    let neutral = SamplingParams::GREEDY;
    let mut parts = if params.temperature == 0.0 {
        vec!["greedy (temperature 0)".to_string()]
    } else {
        vec![
            format!("temperature {}", params.temperature),
            format!("top-k {}", params.top_k),
            format!("top-p {}", params.top_p),
            format!("min-p {}", params.min_p),
            format!("seed {}", params.seed),
        ]
    };
    for (name, value, off) in [
        (
            "repetition",
            params.repetition_penalty,
            neutral.repetition_penalty,
        ),
        (
            "presence",
            params.presence_penalty,
            neutral.presence_penalty,
        ),
        (
            "frequency",
            params.frequency_penalty,
            neutral.frequency_penalty,
        ),
    ] {
        if value != off {
            parts.push(format!("{name} penalty {value}"));
        }
    }
    if !logit_bias.is_empty() {
        let shown: Vec<String> = logit_bias
            .iter()
            .take(4)
            .map(|(id, bias)| format!("{id}:{bias}"))
            .collect();
        let more = logit_bias.len() - shown.len();
        let rest = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        parts.push(format!("logit bias {}{rest}", shown.join(",")));
    }
    parts.join(", ")
}
