//! The parts that run whole models: golden checkpoints, and the synthetic model beside HF transformers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::super::kernels::have_kernels;
use super::super::stub::{Machine, library};
use super::{ROLE, checked, failed};

/// `qwarp` and `generate` of this build.
fn programs() -> &'static str {
    let qwarp = Path::new(env!("CARGO_BIN_EXE_qwarp"));
    qwarp.parent().unwrap().to_str().unwrap()
}

fn names(json: &Value) -> Vec<&str> {
    let parts = json["parts"].as_array().unwrap();
    parts.iter().map(|p| p["part"].as_str().unwrap()).collect()
}

fn left_out(json: &Value) -> Vec<&String> {
    json["left_out"].as_object().unwrap().keys().collect()
}

/// One checkpoint in every type of every target, as a second run of the emulator gives it; the file takes another part in.
pub fn golden_logits() {
    if !have_kernels() {
        return;
    }
    let machine = Machine::new(None).with(ROLE, 1);
    let emulated = ["--driver", "emulator", "--quick", "--only"];
    let (code, text, json) = checked(&machine, &[&emulated[..], &["golden"]].concat());
    assert_eq!(code, 0, "{text}");
    assert_eq!(names(&json), ["golden"; 3]);
    let others = [
        "bench",
        "cases",
        "kernels",
        "profile",
        "sanitizer",
        "synthetic",
    ];
    assert_eq!(left_out(&json), others);
    let mut types = Vec::new();
    for part in json["parts"].as_array().unwrap() {
        let figures = part["figures"].as_array().unwrap();
        assert_eq!(part["passed"], 2 * figures.len());
        types.push(figures.len());
        for figure in figures {
            assert_eq!(figure["checkpoint"], "tied-gqa6-head64-bf16");
            assert_eq!(
                (&figure["tokens"], &figure["decoded"]),
                (&json!(37), &json!(3))
            );
            assert!(figure["logits"].as_u64().unwrap() > 3700, "{figure}");
            assert_eq!(figure["other_than_emulator"], 0);
            assert!(figure["kl"].as_f64().unwrap() > 0.0, "{figure}");
        }
    }
    assert_eq!(types, [1, 2, 2]);
    let not_run = json!({"a type that sm_75 has not": 1});
    assert_eq!(json["parts"][0]["not_run"], not_run);

    let more = [&emulated[..], &["cases", "--keep"]].concat();
    let (code, text, both) = checked(&machine, &more);
    assert_eq!(code, 0, "{text}");
    assert_eq!(names(&both), ["golden", "golden", "golden", "cases"]);
    assert_eq!(both["parts"][2], json["parts"][2]);
    assert_eq!(
        left_out(&both),
        ["bench", "kernels", "profile", "sanitizer", "synthetic"]
    );
    let (code, _, other) = checked(&machine, &[&more[..], &["--commit", "another"]].concat());
    assert_eq!((code, other), (2, both), "the file is of another build");
}

/// The stand-in's kernels do nothing: every checkpoint is far from the reference and from the emulator.
pub fn golden_logits_of_a_gpu() {
    if !have_kernels() {
        return;
    }
    let machine = Machine::new(Some(library())).with(ROLE, 1);
    let (code, text, json) = checked(&machine, &["--quick", "--only", "golden"]);
    assert_eq!(code, 1, "{text}");
    let part = &json["parts"][0];
    let figures = part["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 2, "{text}");
    for figure in figures {
        let (others, all) = (&figure["other_than_emulator"], &figure["logits"]);
        assert!(others.as_u64() > Some(0) && others == all, "{figure}");
    }
    let failures = failed(part);
    assert_eq!(failures.len(), 4, "{text}");
    let of = |what: &str| failures.iter().filter(|f| f.contains(what)).count();
    assert_eq!(of(": KL "), 2, "{text}");
    assert_eq!(of("beside the emulator: "), 2, "{text}");

    let machine = Machine::new(Some(library())).with(ROLE, 1);
    let (code, _, json) = checked(&machine, &["--only", "golden", "--golden", "tests/data"]);
    assert_eq!(code, 1);
    let failures = failed(&json["parts"][0]);
    assert_eq!(failures, ["stopped: tests/data: no checkpoint in it"]);
}

/// A Python that finds no packages, the real script, and the model on the emulator.
pub fn a_synthetic_model() {
    if !have_kernels() {
        return;
    }
    let machine = Machine::new(None).with(ROLE, 1);
    let python = machine.path("bare-python");
    fs::write(&python, "#!/bin/sh\nexec python3 -I -S \"$@\"\n").unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let python = python.to_str().unwrap();
    let all = ["--driver", "emulator", "--quick", "--only", "synthetic"];
    let run = |python: &str| {
        let places = ["--programs", programs(), "--python", python];
        checked(&machine, &[&all[..], &places].concat())
    };
    let (code, text, json) = run(python);
    assert_eq!(code, 0, "{text}");
    assert_eq!(names(&json), ["synthetic"; 2]);
    let [own, against] = [&json["parts"][0], &json["parts"][1]];
    assert_eq!(own["name"], "synthetic small model, sm_90");
    // Synth, logits, decode, prefill, cold start, two profiles.
    assert_eq!(own["passed"], 7, "{text}");
    assert_eq!(own["figures"], json!([]), "times of the emulator");
    let reasons: Vec<_> = against["not_run"].as_object().unwrap().keys().collect();
    let missing = "logits: unavailable: ModuleNotFoundError: No module named 'torch'";
    assert_eq!(reasons, [missing, "speed: times need a GPU"]);

    let (code, text, json) = run("/nonexistent/python");
    assert_eq!(code, 0, "{text}");
    let reasons = &json["parts"][1]["not_run"];
    let first = reasons.as_object().unwrap().keys().next().unwrap();
    assert!(first.contains("/nonexistent/python"), "{first}");

    let (code, _, json) = run("false");
    assert_eq!(code, 1);
    let failures = failed(&json["parts"][1]);
    assert_eq!(failures, ["stopped: the script: exit code 1\n"]);
}

/// Programs that are not there are a failure.
pub fn no_programs() {
    let machine = Machine::new(None).with(ROLE, 1);
    let arguments = ["--driver", "emulator", "--quick", "--only", "synthetic"];
    let places = ["--programs", "/nonexistent"];
    let (code, _, json) = checked(&machine, &[&arguments[..], &places].concat());
    assert_eq!(code, 1);
    let failures = failed(&json["parts"][0]);
    assert!(
        failures[0].starts_with("stopped: qwarp: exit code 127"),
        "{failures:?}"
    );
}

/// Times of the stand-in's GPU beside those that a stand-in for Python tells.
pub fn speeds_side_by_side() {
    if !have_kernels() {
        return;
    }
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cuda_library/python");
    let run = |machine: &Machine| {
        let places = ["--programs", programs(), "--python", python];
        let all = ["--quick", "--only", "synthetic"];
        let (code, text, json) = checked(machine, &[&all[..], &places].concat());
        assert_eq!(json["device"]["gpus"][0]["name"], "Stub GPU 0");
        (code, text, json)
    };
    let machine = Machine::new(Some(library())).with(ROLE, 1);
    let (code, text, json) = run(&machine);
    assert_eq!(code, 0, "{text}");
    let [own, against] = [&json["parts"][0], &json["parts"][1]];
    let figures = own["figures"].as_array().unwrap();
    let what: Vec<_> = figures
        .iter()
        .map(|f| f["what"].as_str().unwrap())
        .collect();
    let expected = [
        "decode",
        "prefill",
        "cold start",
        "profile of decode",
        "profile of prefill",
    ];
    assert_eq!(what, expected);
    let decode_ms = figures[0]["ms_per_token"].as_f64().unwrap();
    let [logits, speed] = [0, 1].map(|i| &against["figures"][i]);
    assert_eq!(logits["report"]["positions"], 67);
    let ratio = speed["times_as_fast_as_compiled_transformers"].as_f64();
    assert_eq!(ratio, Some(1e6 / decode_ms));
    let (flops, ms) = (&figures[1]["flops"], &figures[1]["ms"]);
    let rate = flops.as_f64().unwrap() / ms.as_f64().unwrap() / 1e9;
    assert_eq!(speed["prefill_share_of_peak"].as_f64(), Some(rate / 0.001));
    let asked = fs::read_to_string(machine.path("log.python")).unwrap();
    assert!(
        asked.contains("--prompt 9 --tokens 3 --prefill 33 --matmul 256 --repetitions 1"),
        "{asked}"
    );
    assert!(
        asked.contains("--dtype") && asked.ends_with("--device cuda\n"),
        "{asked}"
    );

    let machine = Machine::new(Some(library())).with(ROLE, 1);
    let machine = machine.with("STUB_COMPILER", "none").with("STUB_KL", 0.021);
    let (code, text, json) = run(&machine);
    assert_eq!(code, 1, "{text}");
    let against = &json["parts"][1];
    let failures = failed(against);
    assert_eq!(
        failures,
        ["logits: KL 2.100e-2, transformers' own is 1.000e-2"]
    );
    assert_eq!(
        against["not_run"],
        json!({"compiled decode: no compiler": 1})
    );
}
