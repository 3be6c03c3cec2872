//! Settings, model defaults and logits that are refused, by name and with both values.

use std::process::{Command, Output};

use qwarp::backend::sampling::{SampleRow, SamplingParams, check_logit_bias, kept, sample};
use qwarp::config::GenerationConfig;

use crate::support::real_model;

fn names(error: impl ToString, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn settings_outside_their_range_are_refused() {
    type Set = fn(&mut SamplingParams, f32);
    let fields: [(&str, Set, &[f32], &[f32]); 6] = [
        (
            "temperature",
            |p, x| p.temperature = x,
            &[-0.1, 101.0],
            &[0.0, 100.0],
        ),
        ("top_p", |p, x| p.top_p = x, &[0.0, -1.0, 1.1], &[1e-9, 1.0]),
        ("min_p", |p, x| p.min_p = x, &[-0.1, 1.1], &[0.0, 1.0]),
        (
            "repetition_penalty",
            |p, x| p.repetition_penalty = x,
            &[0.0, -1.0, 101.0],
            &[0.5, 100.0],
        ),
        (
            "presence_penalty",
            |p, x| p.presence_penalty = x,
            &[-2.1, 2.1],
            &[-2.0, 2.0],
        ),
        (
            "frequency_penalty",
            |p, x| p.frequency_penalty = x,
            &[-2.1, 2.1],
            &[-2.0, 2.0],
        ),
    ];
    for (name, set, bad, good) in fields {
        for &value in bad.iter().chain(&[f32::NAN, f32::INFINITY]) {
            let mut params = SamplingParams::GREEDY;
            set(&mut params, value);
            names(params.validate().unwrap_err(), &[name, &value.to_string()]);
        }
        for &value in good {
            let mut params = SamplingParams::GREEDY;
            set(&mut params, value);
            params.validate().unwrap();
        }
    }
}

#[test]
fn biases_are_refused_by_token() {
    check_logit_bias(&[(3, 100.0), (0, -100.0)], 4).unwrap();
    let refused = |biases: &[(u32, f32)], parts: &[&str]| {
        names(check_logit_bias(biases, 4).unwrap_err(), parts);
    };
    refused(
        &[(4, 1.0)],
        &["logit_bias", "4", "below the vocabulary size 4"],
    );
    refused(&[(2, 100.5)], &["token 2", "100.5", "-100 to 100"]);
    refused(&[(2, f32::NAN)], &["token 2", "NaN"]);
    refused(&[(2, 1.0), (1, 0.0), (2, 3.0)], &["token 2", "1 and 3"]);
    refused(&[(0, 1.0); 1025], &["count", "1025", "at most 1024"]);
    let most: Vec<(u32, f32)> = (0..1024).map(|id| (id, 0.5)).collect();
    check_logit_bias(&most, 1024).unwrap();
}

#[test]
fn logits_that_no_model_gives_are_refused_by_position_and_token() {
    let mut row = SampleRow {
        position: 41,
        ..SampleRow::default()
    };
    for temperature in [0.0, 0.7] {
        row.params.temperature = temperature;
        for value in [f32::NAN, f32::INFINITY] {
            let logits = [1.0, 2.0, value, 0.5];
            let parts = ["token 2", "position 41", &value.to_string()];
            names(sample(&logits, &row).unwrap_err(), &parts);
            names(kept(&logits, &row).unwrap_err(), &parts);
        }
        let none = sample(&[f32::NEG_INFINITY; 3], &row).unwrap_err();
        names(none, &["position 41", "-inf", "at least one finite logit"]);
        assert!(sample(&[], &row).is_err());
    }
    // A penalty can push a sound logit out of range.
    row.params.repetition_penalty = 1e-3;
    row.history = vec![1].into();
    names(
        sample(&[1.0, 1e37], &row).unwrap_err(),
        &["token 1", "penalty"],
    );
}

#[test]
fn the_models_own_settings_are_its_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"do_sample": true, "min_p": 0.05, "repetition_penalty": 1.1, "presence_penalty": 0.5,
                   "frequency_penalty": -0.25, "top_k": 20}"#;
    std::fs::write(folder.path().join("generation_config.json"), text).unwrap();
    let config = GenerationConfig::read(folder.path(), &[]).unwrap();
    assert_eq!(config.min_p, Some(0.05));
    assert_eq!(config.repetition_penalty, Some(1.1));
    assert_eq!(config.presence_penalty, Some(0.5));
    assert_eq!(config.frequency_penalty, Some(-0.25));
    assert_eq!(config.top_k, Some(20));
}

fn generate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_generate"))
        .arg("--model")
        .arg(real_model())
        // Not the cache of whoever runs the tests.
        .args(["--no-cache", "--token-ids", "9707,11", "--max-tokens", "3"])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn the_command_line_reaches_the_draw_and_the_table() {
    let output = generate(&[
        "--no-stream",
        "--temperature",
        "0.7",
        "--min-p",
        "0.1",
        "--repetition-penalty",
        "1.1",
        "--presence-penalty",
        "0.5",
        "--frequency-penalty",
        "-0.25",
        "--logit-bias",
        "100:100,7:-5",
        "--logit-bias",
        "8:-5",
    ]);
    let table = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{table}");
    names(
        table,
        &[
            "min-p 0.1",
            "repetition penalty 1.1",
            "presence penalty 0.5",
            "frequency penalty -0.25",
            "logit bias 100:100,7:-5,8:-5",
        ],
    );
    for (arguments, parts) in [
        (["--min-p", "1.5"], ["min_p", "1.5"]),
        (["--presence-penalty", "-3"], ["presence_penalty", "-3"]),
        (["--logit-bias", "100"], ["ID:BIAS", "100"]),
        (
            ["--logit-bias", "4000000000:1"],
            ["4000000000", "vocabulary"],
        ),
    ] {
        let output = generate(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        names(String::from_utf8(output.stderr).unwrap(), &parts);
    }
}

#[test]
fn a_bias_of_100_forces_a_token() {
    let output = generate(&["--json", "--logit-bias", "100:100"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["token_ids"], serde_json::json!([100, 100, 100]));
}
