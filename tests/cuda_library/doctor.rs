//! What `qwarp doctor` says of a driver and its cards: one clear line each.

use std::fs;
use std::path::Path;

use qwarp::backend::gpu::kernels;
use qwarp::driver::cuda::probe;

use super::stub::{Machine, library, library_without};

pub const TRIALS: &[(&str, fn())] = &[
    ("doctor/no_library", no_library),
    ("doctor/no_library_but_a_file", no_library_but_a_file),
    ("doctor/missing_function", missing_function),
    ("doctor/old_driver", old_driver),
    ("doctor/no_gpu", no_gpu),
    ("doctor/cards", cards),
    ("doctor/failing_probe", failing_probe),
];

/// The one line of the report on the GPU, without its label.
fn gpu_line(report: &str) -> &str {
    let lines = report.lines().filter(|line| line.starts_with("GPU "));
    let lines: Vec<&str> = lines
        .filter(|line| !line.starts_with("GPU kernels"))
        .collect();
    let [line] = lines[..] else {
        panic!("one line on the GPU is expected:\n{report}");
    };
    line.split_once("  ").unwrap().1.trim_start()
}

const NOT_FOUND: &str = "no usable GPU: libcuda.so.1 was not found; install the NVIDIA driver, 525 or newer, or run on the CPU";

/// Whether this machine has a driver of its own, which would be found in place of one that is missing.
fn has_driver() -> bool {
    let found = !probe().is_err_and(|error| error.to_string() == NOT_FOUND);
    if found {
        println!("skipped: this machine has libcuda of its own");
    }
    found
}

fn no_library() {
    if !has_driver() {
        assert_eq!(gpu_line(&Machine::new(None).doctor()), NOT_FOUND);
    }
}

fn no_library_but_a_file() {
    if !has_driver() {
        let machine = Machine::new(Some(b"no library"));
        assert_eq!(gpu_line(&machine.doctor()), NOT_FOUND);
    }
}

/// Every function of the driver that the crate calls, from its source.
fn called() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/driver/cuda");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for rest in text.split("sys::cu").skip(1) {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap();
            // culib and its like are cudarc's, not the driver's.
            if rest.starts_with(char::is_uppercase) {
                names.push(format!("cu{}", &rest[..end]));
            }
        }
    }
    names.sort();
    names.dedup();
    assert!(names.len() > 30, "{names:?}");
    names
}

fn missing_function() {
    for function in called() {
        let report = Machine::new(Some(&library_without(&function))).doctor();
        let expected = format!(
            "no usable GPU: libcuda.so.1 has no {function}: the NVIDIA driver is too old, 525 or newer is needed"
        );
        assert_eq!(gpu_line(&report), expected);
    }
}

fn old_driver() {
    let machine = Machine::new(Some(library())).with("STUB_VERSION", 11080);
    assert_eq!(
        gpu_line(&machine.doctor()),
        "no usable GPU: the NVIDIA driver speaks CUDA 11.8, 12.0 is needed: install driver 525 or newer"
    );
}

fn no_gpu() {
    let machine = Machine::new(Some(library())).with("STUB_GPUS", 0);
    let report = machine.doctor();
    assert_eq!(gpu_line(&report), "none: the driver lists no GPU");
    assert!(report.contains("speaks CUDA 12.0"), "{report}");
    let (code, text) = machine.tour();
    let expected = "error: no usable GPU: GPU 0 was asked for, the driver lists 0\n";
    assert_eq!((code, text.as_str()), (1, expected));
}

fn cards() {
    // Without embedded kernels nothing runs on any card, and doctor says that in another line.
    let runs = |what: &'static str| match kernels::missing() {
        Some(_) => "nothing that runs",
        None => what,
    };
    let cards = [
        (70, "7.0", "nothing that runs"),
        (75, "7.5", runs("cubin of sm_75")),
        (86, "8.6", runs("cubin of sm_80")),
        (90, "9.0", runs("cubin of sm_90")),
        (120, "12.0", runs("PTX of sm_90, compiled once at load")),
    ];
    for (capability, shown, code) in cards {
        let machine = Machine::new(Some(library())).with("STUB_CC", capability);
        let expected = format!("Stub GPU 0, compute capability {shown}, 1.00 GiB: {code}");
        assert_eq!(gpu_line(&machine.doctor()), expected);
    }
    let machine = Machine::new(Some(library())).with("STUB_CC", 70);
    let (code, text) = machine.tour();
    let expected =
        "error: no usable GPU: Stub GPU 0 has compute capability 7.0, 7.5 or newer is needed\n";
    assert_eq!((code, text.as_str()), (1, expected));
}

fn failing_probe() {
    for call in ["cuDriverGetVersion", "cuInit", "cuDeviceGetName"] {
        let machine = Machine::new(Some(library())).with("STUB_FAIL", call);
        let expected = format!("{call} failed: CUDA_ERROR_UNKNOWN (told to fail)");
        assert_eq!(gpu_line(&machine.doctor()), expected);
    }
}
