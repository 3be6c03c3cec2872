//! `qwarp bench` on a device: the parts of a step, figures that follow from one another and from the plan, and what is taken
//! for measuring and given back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/byte_tokenizer.rs"]
mod byte_tokenizer;
#[path = "support/failing_driver.rs"]
mod failing_driver;
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use failing_driver::Device;
use qwarp::backend::gpu::copy_rate;
use qwarp::backend::observe::StepTimes;
use qwarp::backend::sampling::SampleRow;
use qwarp::backend::{Backend, SequenceSpan, StepInputs};
use qwarp::config::engine::Utilization;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::driver::{Driver, Target};
use qwarp::emu::{EmuOptions, Emulator};
use qwarp::engine::open::open_backend_on;
use qwarp::{DType, Result};
use serde_json::{Value, json};
use support::kernels::have_kernels;
use support::plan::{plan_json, qwarp};
use support::repo;
use tempfile::TempDir;

const MODEL: &str = "tests/golden/tiny/tied-gqa6-head64-bf16";
const DEVICE: [&str; 4] = ["--device", "emulator", "--emulate", "sm_80"];

/// The checkpoint with a tokenizer.
fn model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(repo(MODEL).join(name), folder.path().join(name)).unwrap();
    }
    let mut tokenizer = byte_tokenizer::tokenizer_json();
    tokenizer["model"]["merges"] = json!([]);
    let path = folder.path().join("tokenizer.json");
    std::fs::write(path, tokenizer.to_string()).unwrap();
    folder
}

/// Exit code, standard output, standard error of a bench on the emulator.
fn bench(folder: &Path, flags: &[&str]) -> (i32, String, String) {
    let first = ["bench", "--model", folder.to_str().unwrap(), "-t", "1"];
    qwarp(&[&first[..], &DEVICE, flags].concat())
}

fn objects(folder: &Path, flags: &[&str]) -> Vec<Value> {
    let (code, out, said) = bench(folder, &[&["-o", "json"], flags].concat());
    assert_eq!((code, said.as_str()), (0, ""), "{flags:?}");
    serde_json::from_str(&out).unwrap()
}

fn number(object: &Value, field: &str) -> f64 {
    let value = &object[field];
    value.as_f64().unwrap_or_else(|| panic!("{field}: {value}"))
}

fn list(object: &Value, field: &str) -> Vec<f64> {
    let values = object[field].as_array().unwrap();
    values.iter().map(|value| value.as_f64().unwrap()).collect()
}

/// Of two samples.
fn median(object: &Value, field: &str) -> f64 {
    let samples = list(object, field);
    assert_eq!(samples.len(), 2, "{field}");
    assert!(samples.iter().all(|sample| *sample >= 0.0), "{field}");
    (samples[0] + samples[1]) / 2.0
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// Bytes and FLOPs of a step in the plan.
fn planned(kind: &str, flags: &[&str]) -> [f64; 2] {
    let plan = plan_json(&repo(MODEL), &[&DEVICE, flags].concat());
    let total = &plan["cost"][kind]["total"];
    ["bytes", "flops"].map(|name| number(total, name))
}

/// Those of a step that decodes a token of each of `batch` sequences at `context`.
fn planned_decode(batch: u64, context: u64) -> [f64; 2] {
    let (batch, context) = (batch.to_string(), context.to_string());
    let flags = ["--max-num-seqs", &batch, "--max-batched-tokens", &batch];
    planned(
        "decode",
        &[
            &flags[..],
            &["--context", &context, "--max-model-len", "64"],
        ]
        .concat(),
    )
}

#[test]
fn figures_follow_from_the_samples_and_the_plan() {
    if !have_kernels() {
        return;
    }
    let folder = model();
    let flags = ["-p", "21", "-n", "5", "-d", "0,18", "--batch", "1,2"];
    let objects = objects(folder.path(), &[&flags[..], &["-r", "2"]].concat());
    let counts = |object: &Value| {
        ["n_depth", "n_prompt", "n_gen", "n_sequences", "steps"]
            .map(|field| object[field].as_u64().unwrap())
    };
    let found: Vec<[u64; 5]> = objects.iter().map(counts).collect();
    let expected = [0, 18].map(|depth| {
        [
            [depth, 21, 0, 1, 1],
            [depth, 0, 5, 1, 5],
            [depth, 0, 5, 2, 5],
        ]
    });
    assert_eq!(found, expected.concat());
    for (object, [depth, prompt, answer, batch, steps]) in objects.iter().zip(found) {
        let tokens = ((prompt + answer) * batch) as f64;
        let (ns, ts) = (list(object, "samples_ns"), list(object, "samples_ts"));
        assert_eq!((ns.len(), ts.len()), (2, 2));
        for (ns, ts) in ns.iter().zip(&ts) {
            assert!(*ns > 0.0 && close(*ts, tokens * 1e9 / ns));
        }
        let steps = steps as f64;
        let device = number(object, "device_ms");
        let sampling = number(object, "with_sampling_ms");
        assert!(device > 0.0 && close(device, median(object, "device_samples_ms")));
        assert!(sampling > 0.0 && close(sampling, median(object, "with_sampling_samples_ms")));
        let text = median(object, "detokenise_samples_ms") / steps;
        assert!(text > 0.0);
        assert!(close(number(object, "with_detokenise_ms"), sampling + text));
        let wall = median(object, "samples_ns") / 1e6 / steps;
        assert!(close(number(object, "end_to_end_ms"), wall));
        // What ran within the wall time took no longer.
        let busy = list(object, "busy_samples_ms");
        assert_eq!(busy.len(), 2);
        for (busy, ns) in busy.iter().zip(&ns) {
            assert!(*busy > 0.0 && busy * 1e6 <= 1.001 * ns, "{busy} {ns}");
        }
        let (context, planned) = match prompt {
            0 => {
                // Two tokens before it, of five.
                let context = depth + 3;
                (context, planned_decode(batch, context))
            }
            _ if depth == 0 => {
                let flags = ["--max-batched-tokens", "21", "--max-model-len", "21"];
                (21, planned("prefill", &flags))
            }
            // No plan begins behind a depth; it moves and computes more than one that does not.
            _ => {
                for field in ["bytes_per_step", "flops_per_step"] {
                    assert!(number(object, field) > number(&objects[0], field));
                }
                continue;
            }
        };
        assert_eq!(object["timed_context"], context);
        let step = ["bytes_per_step", "flops_per_step"].map(|field| number(object, field));
        assert_eq!(step, planned, "{object:#}");
    }
}

#[test]
fn a_row_says_what_ran_and_whose_times_these_are() {
    if !have_kernels() {
        return;
    }
    let folder = model();
    // Three steps for the prompt, and more sequences than tokens of a step.
    let flags = ["-p", "21", "-n", "2", "--batch", "9", "--ubatch-size", "8"];
    let flags = [&flags[..], &["-r", "1", "--no-warmup"]].concat();
    let objects = objects(folder.path(), &flags);
    assert_eq!((objects.len(), &objects[0]["steps"]), (2, &json!(3)));
    assert_eq!(objects[0]["timed_context"], 21);
    for object in &objects {
        assert_eq!(
            (&object["backends"], &object["device"]),
            (&json!("emulator"), &json!("emulator"))
        );
        let gpu = &object["gpu"];
        assert_eq!(gpu["name"], "emulated sm_80");
        assert_eq!(
            (&gpu["target"], &gpu["compute_capability"]),
            (&json!("sm_80"), &json!("8.0"))
        );
        assert_eq!(
            (&gpu["cuda_version"], &gpu["checks"]),
            (&Value::Null, &json!(true))
        );
        assert_eq!(
            (&object["dtype"], &object["n_threads"]),
            (&json!("bf16"), &json!(1))
        );
        let note = object["note"].as_str().unwrap();
        assert!(note.contains("tell nothing of a GPU"), "{note}");
        for field in [
            "gb_per_s",
            "tflop_per_s",
            "idle_share",
            "copy_gb_per_s",
            "percent_of_copy",
        ] {
            assert_eq!(object.get(field), Some(&Value::Null), "{field}");
        }
        assert_eq!(object["copy_samples"], json!([]));
    }
    let (code, out, said) = bench(folder.path(), &flags);
    assert_eq!((code, said.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 2 + 2, "{out}");
    let column = |name: &str| rows[0].iter().position(|cell| *cell == name).unwrap();
    for (row, (name, bytes)) in rows[2..].iter().zip([("pp21", 0), ("tg2 x9", 1)]) {
        assert_eq!(
            (row.len(), row[column("test")]),
            (rows[0].len(), name),
            "{out}"
        );
        assert_eq!(row[column("backend")], "emulator");
        for name in ["device ms", "+ sampling", "+ detokenise", "end to end"] {
            assert!(row[column(name)].parse::<f64>().unwrap() > 0.0, "{out}");
        }
        for name in ["idle", "achieved", "of copy"] {
            assert_eq!(row[column(name)], "-", "{out}");
        }
        let kib = number(&objects[bytes], "bytes_per_step") / 1024.0;
        assert_eq!(row[column("bytes")], format!("{kib:.2} KiB"));
    }
}

#[test]
fn what_cannot_be_measured_says_so() {
    if !have_kernels() {
        return;
    }
    let (code, out, said) = bench(
        &repo(MODEL),
        &["-p", "0", "-n", "1", "-r", "1", "-o", "json"],
    );
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("no text is made of tokens: ") && said.contains("tokenizer.json"));
    let objects: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(objects[0]["with_detokenise_ms"], Value::Null);
    assert!(number(&objects[0], "end_to_end_ms") > 0.0);

    let refused = |flags: &[&str], code: i32, parts: &[&str]| {
        let folder = repo(MODEL);
        let first = ["bench", "--model", folder.to_str().unwrap()];
        let (found, out, said) = qwarp(&[&first[..], flags].concat());
        assert_eq!((found, out.as_str()), (code, ""), "{flags:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{flags:?}: {said}");
        }
    };
    for device in ["cpu", "emulator"] {
        let zero = ["--device", device, "--batch", "2,0"];
        refused(&zero, 2, &["--batch: found 0, expected at least 1"]);
    }
    let cpu = ["--device", "cpu", "--emulate", "sm_80"];
    refused(&cpu, 2, &["--emulate: found it with --device cpu"]);
    let large = ["--device", "emulator", "--batch", "1,4000000000"];
    refused(&large, 5, &["max_num_seqs", "4000000000"]);
    let little = ["--gpu-memory-utilization", "0.000015"];
    let many = [&DEVICE[..], &little, &["-d", "100", "--batch", "1,64"]].concat();
    refused(&many, 2, &["-d + -p: found 100 + 512 = 612"]);
    let many = [&many[..], &["-p", "12"]].concat();
    let parts = [
        "emulated sm_80 has no room",
        "--batch asks for up to 64 sequences",
        "up to 228 tokens of each",
    ];
    refused(&many, 5, &parts);
    if std::thread::available_parallelism().unwrap().get() > 1 {
        let threads = [&DEVICE[..], &["-t", "1,2"]].concat();
        let expected = "--threads: found 1,2, expected one count with --device emulator";
        refused(&threads, 2, &[expected]);
    }
}

fn device() -> Device {
    Device::new(Emulator::new(EmuOptions {
        target: Target::Sm80,
        host_threads: 1,
        checks: true,
        counters: false,
    }))
}

/// A copy is measured with two buffers, whose memory comes back whatever fails.
#[test]
fn a_copy_takes_nothing_for_good() {
    let device = device();
    let free = device.free_bytes();
    let events = [device.event().unwrap(), device.event().unwrap()];
    let measured = |sizes| copy_rate::gb_per_s(&device, events, sizes);
    device.fail_at(None);
    let rate = measured([1 << 10, (64 << 10) + 100]).unwrap().unwrap();
    assert!(rate > 0.0 && rate.is_finite());
    let calls = device.names();
    let count = |name: &str| calls.iter().filter(|call| **call == name).count();
    assert_eq!(
        ["alloc", "free", "copy_within", "record"].map(count),
        [2, 2, 9, 2]
    );
    assert_eq!(device.free_bytes(), free);
    // A quarter of what is free is less than the least.
    assert_eq!(measured([free / 4 + 1, free]).unwrap(), None);
    for number in 1..=calls.len() {
        device.fail_at(Some(number));
        let found = measured([1 << 10, 4 << 10]);
        let name = calls[number - 1];
        assert_eq!(found.is_err(), name != "free", "call {number}, {name}");
        assert_eq!(device.free_bytes(), free, "call {number}, {name}");
    }
}

/// A step over `ids`, the tokens of one sequence from the start, that draws the next.
fn step(ids: &[u32]) -> StepInputs {
    let positions: Vec<u32> = (0..ids.len() as u32).collect();
    StepInputs {
        token_ids: ids.to_vec(),
        slot_mapping: positions.clone(),
        positions,
        sequences: vec![SequenceSpan {
            tokens: ids.len(),
            cached: 0,
            table_start: 0,
            table_len: 2,
        }],
        block_tables: vec![0, 1],
        logit_rows: vec![ids.len() as u32 - 1],
        samples: vec![SampleRow::default()],
    }
}

/// The token behind `ids`; between the two steps that draw it, everything is timed.
fn timed(backend: &mut dyn Backend, ids: &[u32]) -> Result<(u32, u32, StepTimes)> {
    assert_eq!(backend.take_busy_ms()?, Some(0.0));
    let ticket = backend.submit(&step(ids))?;
    let before = backend.tokens(ticket)?[0];
    assert!(backend.take_busy_ms()?.unwrap() > 0.0);
    let times = backend.time_step(&step(ids), 3)?.unwrap();
    let ticket = backend.submit(&step(ids))?;
    let after = backend.tokens(ticket)?[0];
    backend.take_busy_ms()?;
    Ok((before, after, times))
}

/// A step that is replayed and one that is not; calls of the driver fail in turn, and the backend goes on.
#[test]
fn a_timed_step_changes_nothing() {
    if !have_kernels() {
        return;
    }
    let (device, folder) = (device(), repo(MODEL));
    let config = ModelConfig::read(&folder).unwrap();
    let engine = EngineConfig {
        dtype: DType::Bf16,
        threads: 1,
        max_num_seqs: 1,
        max_batched_tokens: 4,
        max_logit_rows: 1,
        max_model_len: 32,
    };
    let share = Utilization::default();
    let open = || open_backend_on(Box::new(device.clone()), share, &folder, &config, engine);
    for ids in [&[7][..], &[7, 3, 11]] {
        let mut backend = open().unwrap().backend;
        let held = device.free_bytes();
        device.fail_at(None);
        let (before, after, times) = timed(&mut backend, ids).unwrap();
        assert_eq!(before, after);
        for ms in [&times.logits_ms, &times.tokens_ms] {
            assert!(ms.len() == 3 && ms.iter().all(|ms| *ms > 0.0), "{times:?}");
        }
        let calls = device.names();
        assert_eq!(calls.contains(&"replay"), ids.len() == 1);
        // The first and the last of each name.
        let mut numbers = BTreeMap::new();
        for (index, name) in calls.iter().enumerate() {
            numbers.entry(*name).or_insert([index + 1; 2])[1] = index + 1;
        }
        for number in numbers.into_values().flatten() {
            let mut backend = open().unwrap().backend;
            device.fail_at(Some(number));
            let error = timed(&mut backend, ids).unwrap_err().to_string();
            let name = calls[number - 1];
            assert!(error.starts_with(&format!("{name} failed: ")), "{error}");
            device.fail_at(None);
            assert!(backend.take_busy_ms().is_ok());
            assert_eq!(
                timed(&mut backend, ids).unwrap().0,
                before,
                "{number}, {name}"
            );
        }
        assert_eq!(device.free_bytes(), held, "timing takes no memory");
        drop(backend);
    }
}
