//! `qwarp plan`, `plan diff` and `inspect` from the command line: exact limits, costs that the engine reports too,
//! refusals. That the bytes are the bytes in memory is `plan_memory.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::{Path, PathBuf};

use qwarp::DType;
use qwarp::backend::cpu::simd;
use qwarp::backend::sampling::SamplingParams;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::engine::{OpenOptions, Request, open};
use serde_json::Value;
use support::plan::{config_only, plan_json, qwarp};
use support::{Run, engine, repo};

fn tiny(name: &str) -> PathBuf {
    repo("tests/golden/tiny").join(name)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

/// Bytes that an engine of these limits really holds.
fn held(folder: &Path, seqs: usize, len: usize) -> u64 {
    let engine = EngineConfig {
        dtype: DType::Bf16,
        threads: 2,
        max_num_seqs: seqs,
        max_batched_tokens: 32,
        max_logit_rows: seqs,
        max_model_len: len,
    };
    let path = simd::Path::best();
    let config = ModelConfig::read(folder).unwrap();
    let opened = open(folder, &config, OpenOptions { engine, path }).unwrap();
    opened.memory.total().unwrap()
}

#[test]
fn the_largest_context_is_right_to_the_token() {
    let folder = tiny("untied-gqa2-head128-bf16");
    let alone = config_only(&folder);
    let context = number(&plan_json::<&str>(alone.path(), &[])["model"]["max_position_embeddings"]);
    for seqs in [1, 3] {
        let fits = |memory: u64| {
            let memory = format!("{memory}B");
            let seqs = seqs.to_string();
            let flags = [
                "--threads",
                "2",
                "--max-batched-tokens",
                "32",
                "--max-num-seqs",
                &seqs,
            ];
            let plan = plan_json(alone.path(), &[&flags[..], &["--memory", &memory]].concat());
            assert_eq!(
                plan["engine"]["max_model_len"],
                plan["kv"]["max_model_len_that_fits"]
            );
            number(&plan["engine"]["max_model_len"]) as usize
        };
        let (at_160, at_176) = (held(&folder, seqs, 160), held(&folder, seqs, 176));
        assert!(at_160 < at_176);
        assert_eq!(fits(at_160), 160);
        assert_eq!(fits(at_160 - 1), 144);
        assert_eq!(fits(at_176 - 1), 160);
        assert_eq!(fits(at_176), 176);
        // What fits is held in that memory, and one token more is not.
        for memory in [at_160 + 1, at_160 + 12_345] {
            let len = fits(memory);
            assert!(held(&folder, seqs, len) <= memory, "{len}");
            assert!(held(&folder, seqs, len + 1) > memory, "{len}");
        }
        assert_eq!(fits(1 << 40) as u64, context, "the model's own limit");
    }
}

#[test]
fn costs_are_what_the_engine_reports() {
    for (name, dtype) in [
        ("untied-gqa2-head128-bf16", DType::Bf16),
        ("untied-gqa6-f16-sharded", DType::F32),
        ("tied-gqa7-bf16", DType::F16),
    ] {
        let folder = tiny(name);
        let dtype_name = dtype.to_string();
        let flags = ["--dtype", &dtype_name, "--max-batched-tokens", "64"];
        let lengths = ["--max-model-len", "50", "--context", "50"];
        let plan = plan_json(&folder, &[&flags[..], &lengths[..]].concat());
        let mut engine = engine(
            &folder,
            Run {
                chunk: 64,
                ..Run::new(dtype)
            },
            64,
        );
        engine
            .submit(Request {
                prompt: (0..50).collect(),
                params: SamplingParams::GREEDY,
                logit_bias: [].into(),
                choice: 0,
                max_tokens: 3,
                eos_token_ids: Vec::new(),
                wanted_logits: 0..0,
            })
            .unwrap();
        engine.step(&mut |_| {}).unwrap();
        let cost = &plan["cost"];
        assert_eq!(cost["prefill"]["tokens"], 50);
        assert_eq!(
            cost["prefill"]["total"]["bytes"],
            engine.last_step_bytes(),
            "{name}"
        );
        engine.step(&mut |_| {}).unwrap();
        let longer = ["--max-model-len", "51"];
        let plan = plan_json(&folder, &[&flags[..], &longer[..]].concat());
        assert_eq!(plan["cost"]["decode"]["context"], 51);
        assert_eq!(
            plan["cost"]["decode"]["total"]["bytes"],
            engine.last_step_bytes(),
            "{name}"
        );
        for step in ["decode", "prefill"] {
            let parts = plan["steps"].as_array().unwrap().iter();
            let sum: u64 = parts.map(|item| number(&item[step]["flops"])).sum();
            assert_eq!(plan["cost"][step]["total"]["flops"], sum);
        }
    }
}

#[test]
fn flops_are_those_of_the_formula() {
    let folder = tiny("untied-gqa2-head128-bf16");
    let config = ModelConfig::read(&folder).unwrap();
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.q_dim(), config.kv_dim());
    let (tokens, layers) = (20, config.num_hidden_layers);
    let products = (q + 2 * kv) * hidden + hidden * q + 2 * inner * hidden + hidden * inner;
    // Bias, two residuals, norms, SiLU, RoPE.
    let rest = (q + 2 * kv) + 2 * hidden + 2 * 4 * hidden + 5 * inner + 3 * (q + kv);
    let pairs = tokens * (tokens + 1) / 2;
    let attention = config.num_attention_heads * (4 * config.head_dim + 5) * pairs;
    let head = 2 * config.vocab_size * hidden + 4 * hidden;
    let expected = layers * (tokens * (2 * products + rest) + attention) + head;
    let plan = plan_json(&folder, &["--max-model-len", "20"]);
    assert_eq!(plan["cost"]["prefill"]["total"]["flops"], expected);
}

#[test]
fn buffers_are_those_of_the_steps_and_fill_the_arena() {
    let plan = plan_json::<&str>(config_only(&tiny("tied-gqa7-bf16")).path(), &[]);
    let (steps, buffers) = (
        plan["steps"].as_array().unwrap(),
        plan["buffers"].as_array().unwrap(),
    );
    assert_eq!(steps.len(), buffers.len());
    let mut end = 0;
    for (step, buffer) in steps.iter().zip(buffers) {
        assert_eq!(step["name"], buffer["name"]);
        assert_eq!(step["step"], buffer["first_step"]);
        assert!(number(&buffer["last_step"]) > number(&buffer["first_step"]));
        end = end.max(number(&buffer["offset"]) + number(&buffer["bytes"]).next_multiple_of(64));
    }
    assert_eq!(plan["memory_bytes"]["arena"], end);
    let logits = number(&plan["memory_bytes"]["logits_in_arena"]);
    assert_eq!(logits, 4 * number(&plan["model"]["vocab_size"]));
}

#[test]
fn a_diff_names_what_changed() {
    let folder = tiny("tied-gqa7-bf16");
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, flags: &[&str]| {
        let path = files.path().join(name);
        std::fs::write(&path, plan_json(&folder, flags).to_string()).unwrap();
        path.to_str().unwrap().to_string()
    };
    let a = write("a.json", &["--threads", "1"]);
    let b = write("b.json", &["--threads", "1", "--dtype", "f32"]);
    let (code, same, _) = qwarp(&["plan", "diff", &a, &a]);
    assert_eq!((code, same.as_str()), (0, "no difference\n"));
    let (code, text, error) = qwarp(&["plan", "diff", &a, &b]);
    assert_eq!(code, 0, "{error}");
    assert!(
        text.contains("engine.dtype: \"bf16\" -> \"f32\"\n"),
        "{text}"
    );
    assert!(
        text.contains("memory_bytes.kv_cache: ") && text.contains(", +100.0 %)\n"),
        "{text}"
    );
    assert!(
        text.contains("buffers[layer * rope].dtype (2 layers): \"bf16\" -> \"f32\"\n"),
        "{text}"
    );
    // A folder is planned with the same flags.
    let path = folder.to_str().unwrap();
    let (code, text, _) = qwarp(&[
        "plan",
        "diff",
        &a,
        path,
        "--threads",
        "1",
        "--device",
        "cpu",
    ]);
    assert_eq!((code, text.as_str()), (0, "no difference\n"));

    let config = folder.join("config.json");
    let (code, _, error) = qwarp(&["plan", "diff", &a, config.to_str().unwrap()]);
    assert_eq!(code, 3, "{error}");
    assert!(
        error.contains("qwarp_plan: found nothing, expected 1"),
        "{error}"
    );
}

#[test]
fn refusals_say_the_way_out() {
    let alone = config_only(&tiny("untied-gqa2-head128-bf16"));
    let folder = alone.path().to_str().unwrap();
    let refuse = |flags: &[&str], code: i32, texts: &[&str]| {
        let (found, out, error) = qwarp(&[&["plan", "--model", folder], flags].concat());
        assert_eq!(found, code, "{flags:?}: {error}");
        assert!(out.is_empty(), "{flags:?}");
        for text in texts {
            assert!(error.contains(text), "{flags:?}: {error}");
        }
    };
    refuse(
        &["--memory", "1KiB"],
        5,
        &["one KV block a sequence", "limit of 1024"],
    );
    refuse(&["--memory", "8Gb!"], 2, &["--memory", "8GiB"]);
    refuse(
        &["--max-model-len", "513"],
        2,
        &["found 513", "at most 512"],
    );
    refuse(
        &["--max-num-seqs", "600"],
        2,
        &["max_batched_tokens", "600"],
    );
    refuse(
        &["--max-batched-tokens", "18446744073709551615"],
        5,
        &["max_batched_tokens"],
    );
    refuse(&["--threads", "0"], 2, &["threads", "at least 1"]);
    refuse(&["--context", "513"], 2, &["--context", "1 to 512"]);
    let total =
        number(&plan_json(alone.path(), &["--max-model-len", "100"])["memory_bytes"]["total"]);
    let memory = total.to_string();
    let flags = ["--max-model-len", "200", "--memory", &memory];
    refuse(&flags, 2, &["found 200", "at most 112"]);

    let config = alone.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let silent = text
        .replace("\"dtype\"", "\"_dtype\"")
        .replace("\"torch_dtype\"", "\"_torch_dtype\"");
    assert_ne!(silent, text);
    std::fs::write(&config, silent).unwrap();
    refuse(&[], 2, &["--dtype", "declares no torch_dtype"]);
    plan_json(alone.path(), &["--dtype", "f16"]);
    std::fs::remove_file(&config).unwrap();
    refuse(&[], 3, &["config.json"]);
}

#[test]
fn inspect_agrees_with_the_files_and_the_plan() {
    for (name, dtype, words) in [
        (
            "untied-gqa2-head128-bf16",
            "bf16",
            ["in place", "copied as f32"],
        ),
        (
            "untied-gqa6-f16-sharded",
            "f32",
            ["in place", "copied as f32"],
        ),
        ("tied-mha-f32-v5", "f16", ["copied as f16", "copied as f32"]),
    ] {
        let folder = tiny(name);
        let path = folder.to_str().unwrap();
        let (code, out, error) = qwarp(&["inspect", path, "--json", "--dtype", dtype]);
        assert_eq!(code, 0, "{error}");
        let report: Value = serde_json::from_str(&out).unwrap();
        let flags = ["--dtype", dtype, "--context", "1"];
        let plan = plan_json(&folder, &flags);
        let memory = &plan["memory_bytes"];
        assert_eq!(report["tensor_bytes"], memory["weights_mapped"], "{name}");
        let copies = number(&memory["weights_vectors"]) + number(&memory["weights_converted"]);
        assert_eq!(report["cpu"]["copied_bytes"], copies, "{name}");
        assert_eq!(
            report["bytes_per_token"], plan["cost"]["decode"]["total"]["bytes"],
            "{name}"
        );
        let bits = if name.contains("f32") { 32.0 } else { 16.0 };
        assert_eq!(report["bits_per_weight"], bits);
        let (code, text, _) = qwarp(&["inspect", path, "--dtype", dtype]);
        assert_eq!(code, 0);
        for word in words {
            assert!(text.contains(word), "{name}: {text}");
        }
        assert!(
            text.contains("model.layers.1.mlp.down_proj.weight"),
            "{text}"
        );
    }
    let (code, _, error) = qwarp(&["inspect", "tests/golden/none"]);
    assert_eq!(code, 3, "{error}");
    let alone = config_only(&tiny("tied-gqa7-bf16"));
    let (code, _, error) = qwarp(&["inspect", alone.path().to_str().unwrap()]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("model.safetensors"), "{error}");
}

#[test]
fn the_table_shows_steps_memory_and_context() {
    let alone = config_only(&tiny("untied-gqa2-head128-bf16"));
    let path = alone.path().to_str().unwrap();
    let (code, text, error) = qwarp(&["plan", "--model", path, "--memory", "64MiB"]);
    assert_eq!(code, 0, "{error}");
    for word in [
        "layer 1 attention",
        "kv_cache",
        "the largest context is 512 tokens, the model's own limit",
        "decode, 1 x context 512",
        "prefill, 512 tokens",
        "assumed",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let (code, help, _) = qwarp(&["plan", "--help"]);
    assert_eq!(code, 0);
    assert!(
        help.contains("--max-model-len") && help.contains("diff"),
        "{help}"
    );
}
