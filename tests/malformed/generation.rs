//! `generation_config.json`: values of the wrong type, and settings that are not built.

use super::config::open_model;
use super::{Case, SINGLE, check, copy};

const FILE: &str = "generation_config.json";

#[test]
fn generation_configs_are_refused_by_field() {
    check(cases(), || copy(SINGLE), open_model);
}

/// Every row.
pub fn cases() -> Vec<Case> {
    let rows: [(&str, &[&str]); 19] = [
        (r#"{"num_beams": 4}"#, &["num_beams", "4", "1"]),
        (r#"{"num_beams": "4"}"#, &["num_beams", "a number"]),
        (r#"{"suppress_tokens": [7]}"#, &["suppress_tokens", "[7]"]),
        (
            r#"{"guidance_scale": 1.5}"#,
            &["guidance_scale", "1.5", "1"],
        ),
        (
            r#"{"no_repeat_ngram_size": 3}"#,
            &["no_repeat_ngram_size", "3"],
        ),
        (r#"{"typical_p": 0.9}"#, &["typical_p", "0.9"]),
        (r#"{"top_k": -1}"#, &["top_k", "-1"]),
        (r#"{"top_k": 2.5}"#, &["top_k", "2.5", "integer"]),
        (
            r#"{"top_k": 4294967296}"#,
            &["top_k", "4294967296", "32-bit"],
        ),
        (
            r#"{"temperature": "hot"}"#,
            &["temperature", "hot", "a number"],
        ),
        (r#"{"temperature": [0.7]}"#, &["temperature", "[0.7]"]),
        (r#"{"temperature": 1e300}"#, &["temperature", "32-bit"]),
        (r#"{"top_p": true}"#, &["top_p", "true"]),
        (
            r#"{"repetition_penalty": -1e39}"#,
            &["repetition_penalty", "32-bit"],
        ),
        (r#"{"do_sample": 1}"#, &["do_sample", "1", "true or false"]),
        (r#"{"eos_token_id": "2"}"#, &["eos_token_id", "token id"]),
        (r#"{"eos_token_id": [2, -1]}"#, &["eos_token_id", "-1"]),
        (r#"{"bos_token_id": 1.5}"#, &["bos_token_id", "1.5"]),
        ("{", &["line 1", "JSON"]),
    ];
    rows.map(|(text, mentions)| {
        let mut all = vec![FILE];
        all.extend(mentions);
        Case::content(text, FILE, text, &all)
    })
    .into()
}
