//! `generate` end to end: a tiny checkpoint, a hand-made tokenizer, the binary, its output and its exit code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/byte_tokenizer.rs"]
mod byte_tokenizer;

use std::path::Path;
use std::process::{Command, Output};

use qwarp::backend::cpu::simd;
use qwarp::tokenizer::{Specials, Tokenizer};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;

const PROMPT: &str =
    "A prompt of more than sixty-four tokens, so that its logits come in two chunks.";

/// A copy of a tiny checkpoint with a tokenizer; ids above the model's 131 are bytes that no prompt here has.
fn model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny/tied-gqa7-bf16");
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    let mut tokenizer = byte_tokenizer::tokenizer_json();
    tokenizer["model"]["merges"] = json!([]);
    let path = folder.path().join("tokenizer.json");
    std::fs::write(path, tokenizer.to_string()).unwrap();
    folder
}

fn edit(folder: &TempDir, name: &str, change: impl Fn(&mut Value)) {
    let path = folder.path().join(name);
    let mut value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

fn generate(folder: &TempDir, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_generate"))
        .arg("--model")
        .arg(folder.path())
        .args(args)
        // Not the cache of whoever runs the tests.
        .env("QWARP_CACHE_DIR", folder.path().join("cache"))
        .output()
        .unwrap()
}

fn json_of(folder: &TempDir, args: &[&str]) -> Value {
    let output = generate(folder, &[&["--json"], args].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    assert_eq!(stderr, "", "--json says nothing beside its object");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value["token_ids"].as_array().unwrap();
    ids.iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn logits(path: &Path) -> (Vec<usize>, Vec<f32>, Vec<i64>) {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("logits").unwrap();
    let rows = view.data().chunks_exact(4);
    let values = rows
        .map(|x| f32::from_le_bytes(x.try_into().unwrap()))
        .collect();
    let tokens = file.tensor("token_ids").unwrap();
    let tokens = tokens.data().chunks_exact(8);
    let tokens = tokens
        .map(|x| i64::from_le_bytes(x.try_into().unwrap()))
        .collect();
    (view.shape().to_vec(), values, tokens)
}

#[test]
fn the_tokenizer_comes_from_the_cache_the_second_time_unless_told_otherwise() {
    let folder = model();
    let run = |more: &[&str]| {
        let args = ["--prompt", PROMPT, "--max-tokens", "2", "--ignore-eos"];
        let report = json_of(&folder, &[&args, more].concat());
        (report["tokenizer_from_cache"].clone(), ids(&report))
    };
    let (from_cache, tokens) = run(&["--no-cache"]);
    assert_eq!(from_cache, false);
    assert!(!folder.path().join("cache").exists());
    assert_eq!(run(&[]), (json!(false), tokens.clone()));
    assert_eq!(run(&[]), (json!(true), tokens.clone()));
    assert_eq!(run(&["--no-cache"]), (json!(false), tokens));
}

#[test]
fn json_has_the_documented_keys_and_sane_values() {
    let folder = model();
    let report = json_of(
        &folder,
        &[
            "--prompt",
            PROMPT,
            "--max-tokens",
            "5",
            "--ignore-eos",
            "--device",
            "cpu",
        ],
    );
    let expected = [
        "model",
        "device",
        "gpu",
        "notes",
        "dtype",
        "threads",
        "simd",
        "prompt_tokens",
        "token_ids",
        "text",
        "finish_reason",
        "tokenizer_from_cache",
        "timings_ms",
        "prefill_tokens_per_s",
        "decode_tokens_per_s",
        "roofline",
        "held_bytes",
        "peak_rss_bytes",
    ];
    assert_eq!(keys(&report), expected);
    let timings = [
        "tokenizer",
        "open",
        "weights",
        "plan",
        "prefill",
        "ttft",
        "itl_p50",
        "itl_p99",
        "itl_max",
        "total",
    ];
    assert_eq!(keys(&report["timings_ms"]), timings);
    let roofline = [
        "bytes_per_token",
        "achieved_gb_per_s",
        "read_gb_per_s",
        "percent",
    ];
    assert_eq!(keys(&report["roofline"]), roofline);
    for group in ["timings_ms", "roofline"] {
        for (key, value) in report[group].as_object().unwrap() {
            assert!(value.as_f64().unwrap() > 0.0, "{key}: {value}");
        }
    }
    assert_eq!(report["device"], "cpu");
    assert!(report["gpu"].is_null());
    assert_eq!(report["notes"], json!([]));
    assert_eq!(report["dtype"], "bf16");
    assert_eq!(report["prompt_tokens"], PROMPT.len());
    assert_eq!(report["finish_reason"], "max_tokens");
    let ids = ids(&report);
    assert_eq!(ids.len(), 5);
    let text = Tokenizer::open(folder.path())
        .unwrap()
        .decode(&ids, Specials::Skip);
    assert_eq!(report["text"], text);
    let prompt_alone = json_of(&folder, &["--prompt", PROMPT, "--max-tokens", "0"]);
    assert_eq!(prompt_alone["finish_reason"], "max_tokens");
    assert!(prompt_alone["timings_ms"]["ttft"].is_null());
    assert!(prompt_alone["decode_tokens_per_s"].is_null());
}

#[test]
fn the_logits_file_has_every_position_and_the_same_bits_for_any_chunk_and_threads() {
    let folder = model();
    let threads = std::thread::available_parallelism()
        .unwrap()
        .get()
        .min(2)
        .to_string();
    let run = |name: &str, more: &[&str]| {
        let path = folder.path().join(name);
        let file = ["--logits-out", path.to_str().unwrap()];
        let args = ["--prompt", PROMPT, "--max-tokens", "0"];
        json_of(&folder, &[&args[..], &file, more].concat());
        path
    };
    let one = run("one", &["--threads", "1"]);
    let (shape, values, tokens) = logits(&one);
    assert_eq!(shape, [PROMPT.len(), 131]);
    assert!(values.iter().all(|x| x.is_finite()));
    assert!(values.iter().any(|&x| x != values[0]));
    assert_eq!(tokens, PROMPT.bytes().map(i64::from).collect::<Vec<_>>());
    let other = run("other", &["--threads", &threads, "--prefill-chunk", "7"]);
    assert!(std::fs::read(&one).unwrap() == std::fs::read(&other).unwrap());
    let part = run("part", &["--logits-range", "3..6"]);
    assert_eq!(
        logits(&part),
        (
            vec![3, 131],
            values[3 * 131..6 * 131].to_vec(),
            tokens[3..6].to_vec()
        )
    );
}

#[test]
fn the_four_ways_to_finish_are_told_apart() {
    let folder = model();
    edit(&folder, "generation_config.json", |g| {
        g["eos_token_id"] = json!(130)
    });
    let args = ["--prompt", PROMPT, "--max-tokens", "24", "--ignore-eos"];
    let whole = json_of(&folder, &args);
    let all = ids(&whole);
    assert_eq!(
        (whole["finish_reason"].as_str(), all.len()),
        (Some("max_tokens"), 24)
    );

    let text: Vec<char> = whole["text"].as_str().unwrap().chars().collect();
    let stop: String = text[4..6].iter().collect();
    let before = whole["text"].as_str().unwrap().split(&stop).next().unwrap();
    let stopped = json_of(
        &folder,
        &[&args[..], &["--stop", "never in it", "--stop", &stop]].concat(),
    );
    assert_eq!(stopped["finish_reason"], "stop_string");
    assert_eq!(stopped["text"], before);
    assert!(all.starts_with(&ids(&stopped)) && ids(&stopped).len() < 24);

    let eos = all[10];
    let at = all.iter().position(|&id| id == eos).unwrap();
    edit(&folder, "generation_config.json", |g| {
        g["eos_token_id"] = json!(eos)
    });
    let ended = json_of(&folder, &args[..4]);
    assert_eq!(ended["finish_reason"], "eos");
    assert_eq!(ids(&ended), all[..=at]);
    assert_eq!(ids(&json_of(&folder, &args)), all, "--ignore-eos goes on");

    let long = "x".repeat(509);
    let full = json_of(&folder, &["--prompt", &long, "--ignore-eos"]);
    assert_eq!(
        (full["finish_reason"].as_str(), ids(&full).len()),
        (Some("context_full"), 3)
    );
    let long = "x".repeat(512);
    let full = json_of(&folder, &["--prompt", &long, "--ignore-eos"]);
    assert_eq!(
        (full["finish_reason"].as_str(), ids(&full).len()),
        (Some("context_full"), 0)
    );
}

#[test]
fn the_text_goes_to_stdout_and_the_table_to_stderr_and_seeds_repeat() {
    let folder = model();
    let file = folder.path().join("prompt.txt");
    std::fs::write(&file, PROMPT).unwrap();
    let hot = [
        "--temperature",
        "1",
        "--top-k",
        "0",
        "--ignore-eos",
        "--max-tokens",
        "16",
    ];
    let run = |seed: &str, prompt: [&str; 2], more: &[&str]| {
        let output = generate(
            &folder,
            &[&hot[..], &["--seed", seed], &prompt, more].concat(),
        );
        let table = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{table}");
        assert!(
            table.contains("max_tokens after 16 tokens") && table.contains("prefill"),
            "{table}"
        );
        assert!(table.contains(&format!("seed {seed}")), "{table}");
        String::from_utf8(output.stdout).unwrap()
    };
    let streamed = run("7", ["--prompt", PROMPT], &[]);
    let whole = json_of(
        &folder,
        &[&hot[..], &["--seed", "7", "--prompt", PROMPT]].concat(),
    );
    assert_eq!(streamed, format!("{}\n", whole["text"].as_str().unwrap()));
    assert_eq!(
        run(
            "7",
            ["--prompt", PROMPT],
            &["--no-stream", "--threads", "1"]
        ),
        streamed
    );
    let path = file.to_str().unwrap();
    assert_eq!(
        run("7", ["--prompt-file", path], &["--prefill-chunk", "5"]),
        streamed
    );
    assert_ne!(run("8", ["--prompt", PROMPT], &[]), streamed);
}

#[test]
fn exit_codes_say_whose_fault_it_was() {
    let refused = |folder: &TempDir, args: &[&str], code: i32, part: &str| {
        let output = generate(folder, args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
    };
    let folder = model();
    refused(&folder, &["--prompt", ""], 2, "no tokens");
    refused(
        &folder,
        &["--prompt", "\u{e9}"],
        2,
        "below the vocabulary size 131",
    );
    refused(
        &folder,
        &["--prompt", "a", "--threads", "0"],
        2,
        "--threads",
    );
    refused(
        &folder,
        &["--prompt", "a", "--temperature", "-1"],
        2,
        "temperature",
    );
    refused(
        &folder,
        &["--prompt", "a", "--token-ids", "1"],
        2,
        "cannot be used with",
    );
    refused(&folder, &["--chat", "a"], 2, "chat template");
    let out = folder.path().join("out");
    let range = [
        "--prompt",
        "abc",
        "--logits-out",
        out.to_str().unwrap(),
        "--logits-range",
        "1..4",
    ];
    refused(&folder, &range, 2, "--logits-range");
    assert!(!out.exists());

    edit(&folder, "config.json", |c| {
        c["rope_scaling"] = json!({ "type": "yarn", "factor": 4.0 })
    });
    refused(&folder, &["--prompt", "a"], 4, "rope_scaling");
    let folder = model();
    edit(&folder, "config.json", |c| {
        c["vocab_size"] = json!(1u64 << 40)
    });
    refused(&folder, &["--prompt", "a"], 5, "vocab_size");
    let folder = model();
    std::fs::write(folder.path().join("config.json"), "{").unwrap();
    refused(&folder, &["--prompt", "a"], 3, "config.json");
}

#[test]
fn qwarp_simd_takes_the_path_it_names_or_is_refused() {
    let folder = model();
    let run = |name: &str| {
        Command::new(env!("CARGO_BIN_EXE_generate"))
            .env("QWARP_SIMD", name)
            .env("QWARP_CACHE_DIR", folder.path().join("cache"))
            .args(["--json", "--prompt", PROMPT, "--max-tokens", "9"])
            .args(["--ignore-eos", "--model"])
            .arg(folder.path())
            .output()
            .unwrap()
    };
    let names: Vec<&str> = simd::Path::available()
        .into_iter()
        .map(simd::Path::name)
        .collect();
    let answers: Vec<Vec<u32>> = names
        .iter()
        .map(|name| {
            let output = run(name);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {stderr}");
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(report["simd"], *name);
            ids(&report)
        })
        .collect();
    assert!(
        answers
            .iter()
            .all(|ids| ids.len() == 9 && *ids == answers[0])
    );
    for wrong in ["neon", "AVX2", ""] {
        let output = run(wrong);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        let named = format!(
            "found '{wrong}', expected one of what this processor has: {}",
            names.join(", ")
        );
        assert!(
            stderr.contains("QWARP_SIMD") && stderr.contains(&named),
            "{stderr}"
        );
    }
}
