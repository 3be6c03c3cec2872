//! `generate --device cuda`: on a machine that cannot, one clear error before a weight is read; where a call fails, its name; and
//! nothing of the device is kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::byte_tokenizer::tokenizer_json;
use super::doctor::has_driver;
use super::faults::{AT_THE_END, KINDS, QUIET};
use super::kernels::have_kernels;
use super::stub::{Machine, library, library_without};

pub const TRIALS: &[(&str, fn())] = &[
    ("generate/no_usable_gpu", no_usable_gpu),
    (
        "generate/auto_takes_the_cpu_and_says_why",
        auto_takes_the_cpu,
    ),
    ("generate/cuda_from_start_to_end", from_start_to_end),
    ("generate/no_room_is_said_before_weights_are_read", no_room),
    ("generate/calls_that_fail", calls_that_fail),
    ("plan/a_gpu_is_asked_without_taking_any_of_it", plan),
];

/// A tiny checkpoint with a tokenizer.
pub fn model() -> TempDir {
    let folder = TempDir::new().unwrap();
    let from =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny/tied-gqa6-head64-bf16");
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    let mut tokenizer = tokenizer_json();
    tokenizer["model"]["merges"] = serde_json::json!([]);
    fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    folder
}

fn run(machine: &Machine, folder: &TempDir, more: &[&str]) -> (i32, String, String) {
    let model = folder.path().to_str().unwrap();
    let all = [
        "--model",
        model,
        "--token-ids",
        "5,1,4",
        "--max-tokens",
        "3",
        "--no-cache",
    ];
    machine.generate(&[&all[..], &["--ignore-eos", "--json"], more].concat())
}

/// The error, and that there was nothing else.
fn refused(machine: &Machine, folder: &TempDir, more: &[&str]) -> (i32, String) {
    let (code, out, said) = run(machine, folder, more);
    assert_eq!(out, "", "{said}");
    let error = said.strip_prefix("error: ").unwrap();
    (code, error.trim_end().to_string())
}

/// There is not even a file of weights.
fn no_usable_gpu() {
    let folder = model();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let stub = || Machine::new(Some(library()));
    let without = library_without("cuMemGetInfo_v2");
    let machines = [
        (
            Machine::new(Some(b"no library")),
            "libcuda.so.1 was not found or cannot be loaded; install the NVIDIA driver",
        ),
        (
            Machine::new(Some(&without)),
            "libcuda.so.1 has no cuMemGetInfo_v2: the NVIDIA driver is too old",
        ),
        (
            stub().with("STUB_VERSION", 11080),
            "the NVIDIA driver speaks CUDA 11.8, 12.0 is needed: install driver 525",
        ),
        (
            stub().with("STUB_FAIL", "cuInit"),
            "the driver (CUDA 12.0) does not start: cuInit failed",
        ),
        (
            stub().with("STUB_GPUS", 0),
            "GPU 0 was asked for, the driver lists none",
        ),
        (
            stub().with("STUB_SILENT", 0),
            "GPU 0 does not answer: cuDeviceTotalMem_v2 failed",
        ),
        (
            stub().with("STUB_CC", 70),
            "Stub GPU 0 has compute capability 7.0, 7.5 or newer is needed",
        ),
    ];
    // A driver of this machine's own would be found in place of the first.
    for (machine, expected) in machines.into_iter().skip(usize::from(has_driver())) {
        let (code, error) = refused(&machine, &folder, &["--device", "cuda"]);
        assert!(
            error.starts_with(&format!("no usable GPU: {expected}")),
            "{error}"
        );
        assert!(
            error.contains("CPU") || error.contains("driver"),
            "no way out: {error}"
        );
        assert_eq!((code, error.lines().count()), (1, 1), "{error}");
    }
    // A card that computes in f16 alone is not asked for bf16 or f32.
    for (dtype, capability, there) in [("bf16", 75, "f16"), ("f32", 90, "bf16 or f16")] {
        let machine = stub().with("STUB_CC", capability);
        let (code, error) = refused(&machine, &folder, &["--device", "cuda", "--dtype", dtype]);
        let expected = format!(
            "dtype: found {dtype}, expected {there} on a GPU of sm_{capability}, or --device cpu for {dtype}"
        );
        assert_eq!((code, error), (2, expected));
    }
}

fn auto_takes_the_cpu() {
    let folder = model();
    if have_kernels() {
        // What is stored goes on as it is, though that GPU would have needed f16.
        let occupied = Machine::new(Some(library()))
            .with("STUB_FREE", 100_000)
            .with("STUB_CC", 75);
        let (code, out, said) = run(&occupied, &folder, &[]);
        assert_eq!((code, said.as_str()), (0, ""));
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (&report["device"], &report["dtype"]),
            (&"cpu".into(), &"bf16".into())
        );
        let [note] = &report["notes"].as_array().unwrap()[..] else {
            panic!("{report}")
        };
        let note = note.as_str().unwrap();
        let expected = "--device auto took the CPU: Stub GPU 0 has no room: ";
        assert!(
            note.starts_with(expected) && note.lines().count() == 1,
            "{note}"
        );
        assert_eq!(occupied.made_and_ended("context"), (1, 1));
    }
    let machine = Machine::new(Some(library())).with("STUB_VERSION", 11080);
    let (code, out, said) = run(&machine, &folder, &[]);
    assert_eq!((code, said.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["device"], "cpu");
    let expected = "--device auto took the CPU: no usable GPU: the NVIDIA driver speaks CUDA 11.8, 12.0 is needed: install \
                    driver 525 or newer";
    assert_eq!(report["notes"], serde_json::json!([expected]));
}

fn from_start_to_end() {
    if !have_kernels() {
        return;
    }
    let folder = model();
    for (device, capability, dtype) in [("cuda", 90, "bf16"), ("auto", 75, "f16")] {
        let machine = Machine::new(Some(library())).with("STUB_CC", capability);
        let (code, out, said) = run(&machine, &folder, &["--device", device]);
        assert_eq!((code, said.as_str()), (0, ""));
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["device"], "cuda");
        assert_eq!(report["gpu"]["name"], "Stub GPU 0");
        assert_eq!(report["gpu"]["target"], format!("sm_{capability}"));
        assert_eq!(report["gpu"]["cuda_version"], 12000);
        assert_eq!(report["dtype"], dtype);
        assert!(report["simd"].is_null());
        let notes = report["notes"].as_array().unwrap();
        assert_eq!(notes.is_empty(), dtype == "bf16", "{notes:?}");
        // The stand-in's kernels write nothing: all logits are zero.
        assert_eq!(report["token_ids"], serde_json::json!([0, 0, 0]));
        for kind in KINDS {
            let (made, ended) = machine.made_and_ended(kind);
            assert_eq!(made, ended, "{kind}");
            assert!(made > 0, "no {kind} was made");
        }
        assert!(machine.made_and_ended("memory").0 > 10);
    }
}

/// Weights that f16 cannot hold are an error once they are read, and no room comes before that.
fn no_room() {
    if !have_kernels() {
        return;
    }
    let folder = model();
    let file = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let tensors: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let place = &tensors["model.layers.0.mlp.down_proj.weight"]["data_offsets"];
    let end = 8 + header + place[1].as_u64().unwrap() as usize;
    // The largest bf16 there is, in a matrix's last element.
    bytes[end - 2..end].copy_from_slice(&0x7f7f_u16.to_le_bytes());
    fs::write(&file, bytes).unwrap();
    let all = ["--device", "cuda", "--dtype", "f16"];
    let stub = || Machine::new(Some(library()));
    let (_, read) = refused(&stub(), &folder, &all);
    assert!(read.contains("down_proj.weight[3483] in f16 ="), "{read}");

    let little = stub().with("STUB_MEMORY", 300 << 20);
    let occupied = stub().with("STUB_FREE", 100_000);
    // Room for sequences of 256 tokens to the byte.
    let path = folder.path().to_str().unwrap();
    let planned = [
        "plan", "--json", "--device", "cuda", "--dtype", "f16", "--model", path,
    ];
    let limits = ["--max-batched-tokens", "3", "--max-model-len", "256"];
    let plan: Value =
        serde_json::from_str(&stub().qwarp(&[&planned[..], &limits].concat())).unwrap();
    let estimates = plan["estimated_bytes"].as_object().unwrap().values();
    let all_bytes = estimates.chain([&plan["memory_bytes"]["total"]]);
    let bytes: u64 = all_bytes.map(|bytes| bytes.as_u64().unwrap()).sum();
    let share = (bytes as f64 / f64::from(1 << 30)).to_string();
    let share = ["--gpu-memory-utilization", &share];
    let fits = [&share[..], &["--max-model-len", "256"]].concat();
    // It reads the weights then.
    assert_eq!(
        refused(&stub(), &folder, &[&all, &fits[..]].concat()).1,
        read
    );
    let long = [&share[..], &["--max-model-len", "257"]].concat();
    for (machine, more, expected) in [
        (
            &little,
            &[][..],
            "not even one block of KV cache a sequence fits",
        ),
        (
            &occupied,
            &[][..],
            "free now                         100000 B",
        ),
        (
            &stub(),
            &long[..],
            "the longest --max-model-len that fits is 256 (257 was asked for)",
        ),
    ] {
        let (code, error) = refused(machine, &folder, &[&all, more].concat());
        assert_eq!(code, 5, "{error}");
        assert!(error.starts_with("Stub GPU 0 has no room: "), "{error}");
        assert!(error.contains(expected), "{error}");
        for part in [
            "weights_packed",
            "kv_cache",
            "arena",
            "cuda_context_estimate",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(
            machine.made_and_ended("memory").0,
            0,
            "nothing was allocated"
        );
        assert_eq!(machine.made_and_ended("context"), (1, 1));
    }
}

/// The first and the last time that each function of the driver is called.
fn calls_that_fail() {
    if !have_kernels() {
        return;
    }
    let folder = model();
    let whole = Machine::new(Some(library()));
    let (code, ..) = run(&whole, &folder, &["--device", "cuda"]);
    assert_eq!(code, 0);
    let calls = whole.calls();
    let mut places: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for (index, (name, _)) in calls.iter().enumerate() {
        let place = places.entry(name).or_insert([index + 1; 2]);
        place[1] = index + 1;
    }
    let mut failed = 0;
    for (name, numbers) in places {
        for number in numbers {
            let machine = Machine::new(Some(library())).with("STUB_FAIL_AT", number);
            let (code, _, said) = run(&machine, &folder, &["--device", "cuda"]);
            assert_eq!(machine.calls()[number - 1], (name.to_string(), 999));
            // What ends something, or words another error, changes no result.
            if code == 0 {
                let last = calls[number - 1..].iter().all(|(call, _)| {
                    QUIET.contains(&call.as_str()) || AT_THE_END.contains(&call.as_str())
                });
                assert!(
                    QUIET.contains(&name) || last,
                    "call {number}, {name} failed, and nobody said so"
                );
            } else {
                let expected = format!("{name} failed: CUDA_ERROR_UNKNOWN (told to fail)");
                assert!(
                    code == 1 && said.contains(&expected),
                    "call {number}, {name}: {said}"
                );
                failed += 1;
            }
            for kind in KINDS {
                let (made, ended) = machine.made_and_ended(kind);
                let left = made - ended;
                let ends = ["Free", "Unload", "Destroy", "Release"]
                    .iter()
                    .any(|end| name.contains(end));
                assert!(
                    left <= usize::from(ends),
                    "call {number}, {name}: {left} {kind} left"
                );
            }
        }
    }
    assert!(failed >= 20, "only {failed} calls had a failure that shows");
}

fn plan() {
    let folder = model();
    let machine = Machine::new(Some(library()));
    let path = folder.path().to_str().unwrap();
    let arguments = ["plan", "--model", path, "--device", "cuda"];
    // An arena of several pages.
    let large = ["--max-batched-tokens", "10000"];
    let text = machine.qwarp(&[&arguments[..], &large].concat());
    for shown in [
        "memory on cuda: Stub GPU 0, sm_90, driver of CUDA 12.0: bf16",
        "cuda_context_estimate         536,870,912 B",
        "cuda_rounding_estimate",
        "not in the total",
    ] {
        assert!(text.contains(shown), "{shown} is missing:\n{text}");
    }
    assert_eq!(machine.made_and_ended("context"), (0, 0));
    if !have_kernels() {
        return;
    }
    let little = Machine::new(Some(library())).with("STUB_MEMORY", 300 << 20);
    let text = little.qwarp(&["plan", "--model", path]);
    assert!(text.contains("memory on cpu: bf16"), "{text}");
    assert!(
        text.contains("took the CPU: Stub GPU 0 has no room"),
        "{text}"
    );
}
