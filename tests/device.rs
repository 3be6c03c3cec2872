//! `generate --device emulator`: the same answer as the CPU's, what the report says of the device, and refusals that name the flag.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/byte_tokenizer.rs"]
mod byte_tokenizer;
#[path = "support/kernels.rs"]
mod kernels;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A copy of a tiny checkpoint with a tokenizer.
fn model(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/tiny")
        .join(name);
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    let mut tokenizer = byte_tokenizer::tokenizer_json();
    tokenizer["model"]["merges"] = json!([]);
    let path = folder.path().join("tokenizer.json");
    std::fs::write(path, tokenizer.to_string()).unwrap();
    folder
}

/// Exit code, standard output, standard error.
fn generate(folder: &TempDir, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_generate"))
        .arg("--model")
        .arg(folder.path())
        .args(["--prompt", "Seventeen tokens.", "--max-tokens", "6"])
        .args(["--ignore-eos", "--no-cache"])
        .args(args)
        .output()
        .unwrap();
    let [out, said] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().unwrap(), out, said)
}

fn report(folder: &TempDir, args: &[&str]) -> Value {
    let (code, out, said) = generate(folder, &[&["--json"], args].concat());
    assert_eq!((code, said.as_str()), (0, ""), "{args:?}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn the_emulator_answers_as_the_cpu_does_and_says_what_it_is() {
    if !kernels::have_kernels() {
        return;
    }
    let folder = model("tied-gqa6-head64-bf16");
    let cpu = report(&folder, &["--device", "cpu"]);
    assert_eq!((&cpu["device"], &cpu["gpu"]), (&json!("cpu"), &Value::Null));
    let on = ["--device", "emulator"];
    for (more, target, dtype, checks) in [
        (&[][..], "sm_80", "bf16", true),
        (
            &["--emulate", "sm_90", "--no-checks"][..],
            "sm_90",
            "bf16",
            false,
        ),
        (
            &["--emulate", "sm_75", "--prefill-chunk", "5"][..],
            "sm_75",
            "f16",
            true,
        ),
    ] {
        let found = report(&folder, &[&on, more].concat());
        assert_eq!(found["device"], "emulator");
        assert_eq!(found["gpu"]["name"], format!("emulated {target}"));
        assert_eq!(found["gpu"]["target"], target);
        assert_eq!(found["gpu"]["checks"], checks);
        assert_eq!(found["gpu"]["cuda_version"], Value::Null);
        assert_eq!(found["dtype"], dtype);
        let notes = match dtype {
            "f16" => json!(["f16 in place of the model's bf16, which sm_75 has not"]),
            _ => json!([]),
        };
        assert_eq!(found["notes"], notes);
        assert_eq!(found["simd"], Value::Null);
        assert_eq!(found["roofline"]["read_gb_per_s"], Value::Null);
        assert_eq!(found["roofline"]["achieved_gb_per_s"], Value::Null);
        assert!(found["held_bytes"].as_u64().unwrap() > 100_000);
        assert_eq!(found["token_ids"], cpu["token_ids"], "{target}");
    }
    let (code, _, table) = generate(&folder, &on);
    assert_eq!(code, 0, "{table}");
    for shown in [
        "emulator: emulated sm_80, sm_80, every access checked",
        "on the GPU",
    ] {
        assert!(table.contains(shown), "{table}");
    }
}

#[test]
fn what_cannot_run_on_a_gpu_is_named_with_the_way_out() {
    if !kernels::have_kernels() {
        return;
    }
    let refused = |name: &str, args: &[&str], code: i32, expected: &str| {
        let (found, out, said) = generate(&model(name), args);
        assert_eq!((found, out.as_str()), (code, ""), "{args:?}: {said}");
        assert!(
            said.starts_with("error: ") && said.contains(expected),
            "{args:?}: {said}"
        );
    };
    let (name, on) = ("tied-gqa6-head64-bf16", ["--device", "emulator"]);
    let with = |more: &[&'static str]| [&on, more].concat();
    let f32 = "dtype: found f32, expected bf16 or f16 on a GPU of sm_80, or --device cpu for f32";
    refused(name, &with(&["--dtype", "f32"]), 2, f32);
    let bf16 = "dtype: found bf16, expected f16 on a GPU of sm_75, or --device cpu for bf16";
    refused(
        name,
        &with(&["--dtype", "bf16", "--emulate", "sm_75"]),
        2,
        bf16,
    );
    let heads = "head_dim = 16 is not supported (supported: 64, 128 on a GPU; --device cpu takes every one)";
    refused("tied-gqa7-bf16", &on, 4, heads);
    let little = ["--gpu-memory-utilization", "0.00001"];
    refused(name, &with(&little), 5, "emulated sm_80 has no room: ");
    refused(
        name,
        &with(&["--max-model-len", "16"]),
        2,
        "--max-model-len: found 16, expected 17",
    );
    refused(
        name,
        &with(&["--max-model-len", "100000000"]),
        2,
        "the model's context",
    );
    refused(
        name,
        &["--emulate", "sm_80"],
        2,
        "--emulate: found it with --device auto",
    );
    refused(
        name,
        &["--device", "cpu", "--no-checks"][..],
        2,
        "--no-checks: found it with --device cpu",
    );
}

/// Sequences that may be long take a cache for it, whether they get long or not.
#[test]
fn the_longest_sequence_sizes_the_cache() {
    if !kernels::have_kernels() {
        return;
    }
    let folder = model("tied-gqa6-head64-bf16");
    let held = |more: &[&str]| {
        let report = report(
            &folder,
            &[&["--device", "emulator", "--no-checks"], more].concat(),
        );
        (
            report["held_bytes"].as_u64().unwrap(),
            report["token_ids"].clone(),
        )
    };
    let (short, answer) = held(&[]);
    let (long, same) = held(&["--max-model-len", "400"]);
    assert!(long > short);
    assert_eq!(answer, same);
    // Shorter than the prompt and its answer together: the answer ends there.
    let cut = report(&folder, &["--device", "emulator", "--max-model-len", "20"]);
    assert_eq!(cut["finish_reason"], "context_full");
    assert_eq!(
        cut["token_ids"].as_array().unwrap()[..],
        answer.as_array().unwrap()[..3]
    );
}
