//! `qwarp plan` for a GPU: its bytes against those that the backend then holds, the longest context that fits, and refusals, which
//! come before a weight is read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/failing_driver.rs"]
mod failing_driver;
mod support;

use std::path::{Path, PathBuf};

use failing_driver::Device;
use qwarp::config::engine::Utilization;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::driver::Target;
use qwarp::driver::cuda::probe;
use qwarp::emu::{EmuOptions, Emulator};
use qwarp::engine::open::open_backend_on;
use qwarp::{DType, Error, Result};
use serde_json::Value;
use support::kernels;
use support::plan::{config_only, plan_json, qwarp};
use support::repo;

/// Those whose heads the kernels take.
fn checkpoints() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(repo("tests/golden/tiny")).unwrap();
    let folders = folders.map(|folder| folder.unwrap().path());
    let mut folders: Vec<PathBuf> = folders
        .filter(|folder| [64, 128].contains(&ModelConfig::read(folder).unwrap().head_dim))
        .collect();
    folders.sort();
    folders
}

fn device(target: Target) -> Device {
    Device::new(Emulator::new(EmuOptions {
        target,
        host_threads: 1,
        checks: false,
        counters: false,
    }))
}

fn limits(dtype: DType, seqs: usize, tokens: usize, len: usize) -> EngineConfig {
    EngineConfig {
        dtype,
        threads: 1,
        max_num_seqs: seqs,
        max_batched_tokens: tokens,
        max_logit_rows: seqs,
        max_model_len: len,
    }
}

fn flags(target: Target, engine: EngineConfig) -> Vec<String> {
    let flag = |name: &str, value: String| [format!("--{name}"), value];
    let flags = [
        flag("device", "emulator".into()),
        flag("emulate", target.to_string()),
        flag("dtype", engine.dtype.to_string()),
        flag("max-num-seqs", engine.max_num_seqs.to_string()),
        flag("max-batched-tokens", engine.max_batched_tokens.to_string()),
        flag("max-model-len", engine.max_model_len.to_string()),
    ];
    flags.concat()
}

/// From a folder with nothing but config.json.
fn planned(folder: &Path, target: Target, engine: EngineConfig) -> Value {
    plan_json(config_only(folder).path(), &flags(target, engine))
}

/// Bytes that a backend holds by its own count, and by the device's.
fn held(
    folder: &Path,
    device: &Device,
    engine: EngineConfig,
    share: Utilization,
) -> Result<[u64; 2]> {
    let config = ModelConfig::read(folder).unwrap();
    let all = device.free_bytes();
    let opened = open_backend_on(Box::new(device.clone()), share, folder, &config, engine)?;
    let bytes = opened.backend.device_bytes();
    Ok([bytes, all - device.free_bytes()])
}

fn part(plan: &Value, name: &str) -> u64 {
    plan["memory_bytes"][name].as_u64().unwrap()
}

#[test]
fn a_plan_is_what_the_device_gives() {
    if !kernels::have_kernels() {
        return;
    }
    let (mut widened, mut checked) = (0, 0);
    for (target, dtype) in [
        (Target::Sm75, DType::F16),
        (Target::Sm80, DType::Bf16),
        (Target::Sm90, DType::F16),
    ] {
        let emulated = device(target);
        for folder in checkpoints() {
            for (seqs, tokens, len) in [(1, 7, 17), (3, 40, 100)] {
                let engine = limits(dtype, seqs, tokens, len);
                let plan = planned(&folder, target, engine);
                let what = format!("{} {target} {engine:?}", folder.display());
                let total = part(&plan, "total");
                let share = Utilization::default();
                let [bytes, given] = held(&folder, &emulated, engine, share).unwrap();
                assert_eq!(total, bytes, "{what}");
                assert_eq!(total, given, "{what}");
                let parts = plan["memory_bytes"].as_object().unwrap();
                let sum: u64 = parts.values().map(|bytes| bytes.as_u64().unwrap()).sum();
                assert_eq!(sum, 2 * total + part(&plan, "logits_in_arena"), "{what}");
                for name in ["weights_packed", "weights_rows", "weights_vectors", "arena"] {
                    assert!(part(&plan, name) > 0, "{what}: {name}");
                }
                for bytes in plan["estimated_bytes"].as_object().unwrap().values() {
                    assert_eq!(bytes, 0, "{what}: an emulator takes nothing for itself");
                }
                assert_eq!(plan["device"]["kind"], "emulator");
                assert_eq!(plan["device"]["gpu"]["target"], target.to_string());
                assert_eq!(plan["kv"]["blocks"], engine.num_blocks());
                let config = ModelConfig::read(&folder).unwrap();
                let wide = (config.vocab_size * config.hidden_size * 4) as u64;
                let narrow = config.dtype == Some(DType::Bf16);
                widened += u64::from(narrow && part(&plan, "weights_rows") == wide);
                checked += 1;
            }
        }
    }
    assert!(checked >= 12, "only {checked} plans");
    assert!(widened > 0, "no table was widened");
}

/// However many blocks other sequences have.
#[test]
fn partial_results_are_sized_for_the_longest_sequence() {
    let folder = &checkpoints()[0];
    // Without the counter that each sequence has.
    let partials = |seqs: usize, len: usize| {
        let plan = planned(folder, Target::Sm80, limits(DType::F16, seqs, 40, len));
        part(&plan, "attention_partials") - 4 * seqs as u64
    };
    assert_eq!(partials(1, 512), partials(8, 512));
    // Two chunks of 256 against one.
    assert_eq!(partials(8, 512), 2 * partials(8, 256));
}

#[test]
fn the_longest_context_that_fits_opens_and_one_block_more_does_not() {
    if !kernels::have_kernels() {
        return;
    }
    let emulated = device(Target::Sm80);
    for folder in checkpoints().iter().take(2) {
        let alone = config_only(folder);
        let mut engine = limits(DType::F16, 3, 40, 100);
        // Room for a little more than sequences of 100 tokens, which end within a block.
        let room = part(&planned(folder, Target::Sm80, engine), "total") + 1000;
        let memory = 16u64 << 30;
        let share = room as f64 / memory as f64;
        let mut args = flags(Target::Sm80, engine);
        args.truncate(args.len() - 2);
        args.extend(["--gpu-memory-utilization".into(), share.to_string()]);
        let plan = plan_json(alone.path(), &args);
        let longest = plan["engine"]["max_model_len"].as_u64().unwrap() as usize;
        assert_eq!(plan["kv"]["max_model_len_that_fits"], longest);
        assert_eq!(plan["kv"]["memory_bytes"], room);
        assert!(longest >= 112 && longest.is_multiple_of(16), "{longest}");

        let share = Utilization::new(share).unwrap();
        engine.max_model_len = longest;
        let [bytes, _] = held(folder, &emulated, engine, share).unwrap();
        assert!(bytes <= room);
        engine.max_model_len = longest + 1;
        let error = held(folder, &emulated, engine, share).unwrap_err();
        let Error::NoRoom {
            needed,
            room: said,
            way_out,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(*said, room);
        assert_eq!(
            *needed,
            part(&planned(folder, Target::Sm80, engine), "total")
        );
        let expected = format!("the longest --max-model-len that fits is {longest} (");
        assert!(way_out.starts_with(&expected), "{way_out}");
        // `plan` says the same, but for what is free: it opens no device.
        args.extend(["--max-model-len".into(), engine.max_model_len.to_string()]);
        args.extend(["--model".into(), folder.to_str().unwrap().into()]);
        args.insert(0, "plan".into());
        let (code, out, said) = qwarp(&args);
        assert_eq!((code, out.as_str()), (5, ""));
        let error = error.to_string();
        let lines = error.lines().filter(|line| !line.contains("free now"));
        let lines: Vec<&str> = lines.collect();
        assert!(lines.len() + 1 == error.lines().count());
        assert_eq!(said, format!("qwarp: {}\n", lines.join("\n")));
    }
}

#[test]
fn what_a_gpu_takes_for_itself_is_an_estimate_beside_the_total() {
    let folder = &checkpoints()[0];
    let engine = limits(DType::F16, 1, 8, 64);
    let mut args = flags(Target::Sm80, engine);
    args.extend(["--memory".into(), "24GiB".into()]);
    let plan = plan_json(folder, &args);
    // nine tenths of the memory that was named
    assert_eq!(plan["kv"]["memory_bytes"], (24u64 << 30) / 10 * 9 + 5);
    let path = folder.to_str().unwrap();
    let (code, text, error) = qwarp(&["plan", "--model", path, "--device", "emulator"]);
    assert_eq!(code, 0, "{error}");
    for shown in [
        "memory on emulator: emulated sm_80",
        "weights_packed",
        "attention_partials",
        "step_inputs",
        "is an estimate",
    ] {
        assert!(text.contains(shown), "{shown} is missing:\n{text}");
    }
}

#[test]
fn wrong_flags_are_named() {
    let folder = &checkpoints()[0];
    let refuse = |folder: &Path, flags: &[&str], code: i32, parts: &[&str]| {
        let args = [&["plan", "--model", folder.to_str().unwrap()], flags].concat();
        let (found, out, error) = qwarp(&args);
        assert_eq!((found, out.as_str()), (code, ""), "{flags:?}: {error}");
        for part in parts {
            assert!(error.contains(part), "{flags:?}: {error}");
        }
    };
    let on = ["--device", "emulator"];
    let share = "--gpu-memory-utilization";
    for wrong in ["0", "-0.5", "1.01", "nan", "inf", "much"] {
        refuse(
            folder,
            &[&on[..], &[share, wrong]].concat(),
            2,
            &[share, wrong],
        );
    }
    refuse(
        folder,
        &["--device", "cpu", share, "0.5"],
        2,
        &[share, "--device cpu"],
    );
    refuse(
        folder,
        &["--emulate", "sm_75"],
        2,
        &["--emulate", "--device auto", "emulator"],
    );
    refuse(
        folder,
        &["--device", "cpu", "--no-checks"],
        2,
        &["--no-checks", "emulator"],
    );
    refuse(
        folder,
        &["--device", "tpu"],
        2,
        &["tpu", "cuda", "emulator"],
    );
    refuse(
        folder,
        &[&on[..], &["--dtype", "f32"]].concat(),
        2,
        &["dtype", "f32", "bf16 or f16", "--device cpu"],
    );
    let turing = [
        "--device",
        "emulator",
        "--emulate",
        "sm_75",
        "--dtype",
        "bf16",
    ];
    refuse(folder, &turing, 2, &["bf16", "f16 on a GPU of sm_75"]);
    refuse(
        folder,
        &[&on[..], &["--memory", "64KiB"]].concat(),
        5,
        &["no room", "weights_packed", "--device cpu"],
    );
    let other = repo("tests/golden/tiny/tied-gqa7-bf16");
    refuse(
        &other,
        &on,
        4,
        &["config.json", "head_dim", "64, 128", "--device cpu"],
    );
    if probe().is_err() {
        refuse(folder, &["--device", "cuda"], 1, &["no usable GPU"]);
    }
}
