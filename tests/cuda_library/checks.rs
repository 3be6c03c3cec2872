//! `examples/gpu_check` on a GPU that is lost, absent, or watched by tools that fail: what it had is kept, and what gave no
//! verdict is none.

mod models;

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use super::kernels::have_kernels;
use super::stub::{Machine, library};

pub const TRIALS: &[(&str, fn())] = &[
    ("checks/a_lost_gpu_keeps_its_results", a_lost_gpu),
    ("checks/an_absent_gpu_is_in_the_file", an_absent_gpu),
    ("checks/the_first_error_is_told", the_first_error),
    ("checks/an_image_without_a_kernel", an_absent_kernel),
    ("checks/failing_tools_give_no_verdict", failing_tools),
    ("checks/golden_logits", models::golden_logits),
    (
        "checks/golden_logits_of_a_gpu",
        models::golden_logits_of_a_gpu,
    ),
    ("checks/a_synthetic_model", models::a_synthetic_model),
    ("checks/no_programs", models::no_programs),
    ("checks/speeds_side_by_side", models::speeds_side_by_side),
];

/// What makes this program be gpu_check, and each that it starts.
pub const ROLE: &str = "QWARP_TEST_ROLE_GPU_CHECK";

/// The exit code, what was printed, and the file.
fn checked(machine: &Machine, arguments: &[&str]) -> (i32, String, Value) {
    let file = machine.path("report.json");
    let mut all = vec!["--json", file.to_str().unwrap()];
    all.extend(arguments);
    let (code, text) = machine.myself(&all);
    let json = fs::read_to_string(&file).unwrap();
    (code, text, serde_json::from_str(&json).unwrap())
}

fn failed(part: &Value) -> Vec<&str> {
    let failed = part["failed"].as_array().unwrap();
    failed.iter().map(|text| text.as_str().unwrap()).collect()
}

/// The stand-in's kernels do nothing, so every case fails, and from the sixth launch on every call.
fn a_lost_gpu() {
    if !have_kernels() {
        return;
    }
    let machine = Machine::new(Some(library()))
        .with(ROLE, 1)
        .with("STUB_LOST_AFTER", 5);
    let arguments = ["--quick", "--only", "kernels", "--only", "bench"];
    let (code, text, json) = checked(&machine, &arguments);
    assert_eq!(code, 1, "{text}");
    assert_eq!(json["finished"], true);
    assert_eq!(json["passed"], false);
    assert_eq!(json["device"]["gpus"][0]["name"], "Stub GPU 0");
    let parts = json["parts"].as_array().unwrap();
    let [cubins, ptx, times] = &parts[..] else {
        panic!("{parts:?}")
    };
    let failures = failed(cubins);
    assert!(
        failures[0].contains("against the reference"),
        "{failures:?}"
    );
    let lost = failures
        .iter()
        .position(|f| f.contains("CUDA_ERROR_ILLEGAL_ADDRESS"));
    let lost = lost.unwrap();
    assert!((1..=5).contains(&lost), "{failures:?}");
    assert!(failures[lost + 1].contains("the device was lost before it"));
    for part in [ptx, times] {
        let failures = failed(part);
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].starts_with("stopped: "), "{failures:?}");
        assert!(
            failures[0].contains("CUDA_ERROR_ILLEGAL_ADDRESS"),
            "{failures:?}"
        );
    }
    for part in parts {
        let header = format!("== {}\n", part["name"].as_str().unwrap());
        assert!(text.contains(&header), "{text}");
    }
    assert!(text.ends_with("gpu_check: FAILED\n"), "{text}");
}

fn an_absent_gpu() {
    let machine = Machine::new(Some(library()))
        .with(ROLE, 1)
        .with("STUB_GPUS", 0);
    let (code, _, json) = checked(&machine, &["--quick"]);
    assert_eq!(code, 2);
    assert_eq!(json["finished"], false);
    assert_eq!(json["passed"], false);
    let error = json["error"].as_str().unwrap();
    assert!(error.contains("GPU 0 was asked for"), "{error}");
}

/// Giving memory back fails after a fault as well, and is not what went wrong.
fn the_first_error() {
    let machine = Machine::new(Some(library()))
        .with(ROLE, 1)
        .with("STUB_LOST_AFTER", 1);
    let folder = machine.path("cases");
    fs::create_dir(&folder).unwrap();
    let ptx = "//! one word\n//! block 1\n//! in x u32 7\n//! out y u32 1\n.version 7.0\n.target sm_75\n.address_size 64\n";
    fs::write(folder.join("one.ptx"), ptx).unwrap();
    fs::write(folder.join("one.expect"), "y 7\n").unwrap();
    let arguments = ["--only", "cases", "--cases", folder.to_str().unwrap()];
    let (code, text, json) = checked(&machine, &arguments);
    assert_eq!(code, 1, "{text}");
    let failures = failed(&json["parts"][0]);
    assert_eq!(failures.len(), 1, "{text}");
    assert!(
        failures[0].starts_with("one: cuStreamSynchronize failed"),
        "{failures:?}"
    );
    assert_eq!(
        machine.made_and_ended("memory").0,
        2,
        "there was memory to give back"
    );
}

fn an_absent_kernel() {
    if !have_kernels() {
        return;
    }
    let machine = Machine::new(Some(library()))
        .with(ROLE, 1)
        .with("STUB_ABSENT", "argmax_f32_merge");
    let (code, _, json) = checked(&machine, &["--quick", "--only", "kernels"]);
    assert_eq!(code, 1);
    let expected = "stopped: module argmax: there is no kernel argmax_f32_merge in it; build again";
    assert_eq!(failed(&json["parts"][0]), [expected]);
}

/// Each of the four tools ends in another way over each defect.
fn failing_tools() {
    if !have_kernels() {
        return;
    }
    let machine = Machine::new(Some(library())).with(ROLE, 1);
    let tool = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cuda_library/compute-sanitizer"
    );
    symlink(tool, machine.path("compute-sanitizer")).unwrap();
    let path = std::env::var("PATH").unwrap();
    let machine_folder = machine.path("");
    let path = format!("{}:{path}", machine_folder.display());
    let machine = machine.with("PATH", path);
    let (code, text, json) = checked(&machine, &["--quick", "--only", "sanitizer"]);
    assert_eq!(code, 1, "{text}");
    let parts = json["parts"].as_array().unwrap();
    let [tools, defects] = &parts[..] else {
        panic!("{parts:?}")
    };
    let expected = [
        "memcheck: exit code 1\ncannot attach to the process",
        "racecheck: it found something\na race",
        "initcheck: ended, because its time was over\n",
        "synccheck: exit code 2\nerror: no usable GPU: GPU 0 was asked for",
    ];
    for (failure, expected) in failed(tools).iter().zip(expected) {
        assert!(failure.starts_with(expected), "{failure}");
    }
    assert_eq!(failed(tools).len(), expected.len());

    let figures = defects["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 20, "{text}");
    for figure in figures {
        assert_eq!(figure["tools"], serde_json::json!(["racecheck"]));
        // On the stand-in no kernel does anything.
        assert_eq!(figure["plain_run"], "wrong result");
    }
    let failures = failed(defects);
    let of = |end: &str| failures.iter().filter(|f| f.contains(end)).count();
    assert_eq!(of("no verdict of memcheck: exit code 1\ncannot attach"), 20);
    assert_eq!(
        of("no verdict of synccheck: exit code 2\nerror: no usable GPU"),
        20
    );
    assert_eq!(of("no verdict of racecheck"), 0);
    let late = &defects["not_run"]["initcheck over a defect: no answer in 120 s"];
    assert_eq!(late, 20);
}
