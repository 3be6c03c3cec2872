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
    ("doctor/one_silent_card", one_silent_card),
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

const NOT_FOUND: &str = "no usable GPU: libcuda.so.1 was not found or cannot be loaded; install the NVIDIA driver, 525 or newer, \
                         or run on the CPU";

/// Whether this machine has a driver of its own, which would be found in place of one that is missing. What is skipped there
/// runs on the machines without a GPU.
pub fn has_driver() -> bool {
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
    // One that newer drivers have is asked for only where it is there.
    let (optional, needed): (Vec<_>, Vec<_>) = called()
        .into_iter()
        .partition(|function| function == "cuGraphAddDependencies_v2");
    let (code, text) = Machine::new(Some(&library_without(&optional[0]))).tour();
    assert_eq!(code, 0, "{text}");
    for function in needed {
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
    let expected = "error: no usable GPU: GPU 0 was asked for, the driver lists none (CUDA_VISIBLE_DEVICES hides others); ask \
                    for one of these or run on the CPU\n";
    assert_eq!((code, text.as_str()), (1, expected));
    let machine = Machine::new(Some(library())).with("STUB_GPUS", 1);
    let (code, text) = machine.myself(&[super::tour::TWO]);
    let expected = "GPU 1 was asked for, the driver lists only GPU 0 (CUDA_VISIBLE_DEVICES";
    assert!(code == 1 && text.contains(expected), "{text}");
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
        (103, "10.3", runs("PTX of sm_90, compiled once at load")),
        (120, "12.0", runs("PTX of sm_80, compiled once at load")),
    ];
    for (capability, shown, code) in cards {
        let machine = Machine::new(Some(library())).with("STUB_CC", capability);
        let expected = format!("Stub GPU 0, compute capability {shown}, 1.00 GiB: {code}");
        assert_eq!(gpu_line(&machine.doctor()), expected);
    }
    let machine = Machine::new(Some(library())).with("STUB_CC", 70);
    let (code, text) = machine.tour();
    let expected = "error: no usable GPU: Stub GPU 0 has compute capability 7.0, 7.5 or newer is needed; ask for another GPU or run on the \
         CPU\n";
    assert_eq!((code, text.as_str()), (1, expected));
}

fn failing_probe() {
    let fail = |call: &str| {
        let machine = Machine::new(Some(library())).with("STUB_FAIL", call);
        gpu_line(&machine.doctor()).to_string()
    };
    let said = "failed: CUDA_ERROR_UNKNOWN (told to fail)";
    let expected = format!("cuDriverGetVersion {said}");
    assert_eq!(fail("cuDriverGetVersion"), expected);
    let expected = format!(
        "no usable GPU: the driver (CUDA 12.0) does not start: cuInit {said}; see whether nvidia-smi works: after an update of \
         the driver restart the machine, in a container pass the GPU through, or run on the CPU"
    );
    assert_eq!(fail("cuInit"), expected);
    let expected = format!("does not answer: cuDeviceGetName {said}");
    assert_eq!(fail("cuDeviceGetName"), expected);
}

/// A card that does not answer is named, and the others are there.
fn one_silent_card() {
    let machine = Machine::new(Some(library()))
        .with("STUB_GPUS", 3)
        .with("STUB_SILENT", 1);
    let report = machine.doctor();
    let expected = "GPU 1         does not answer: cuDeviceTotalMem_v2 failed: CUDA_ERROR_UNKNOWN";
    assert!(report.contains(expected), "{report}");
    assert!(
        report.contains("GPU 0         Stub GPU 0, compute"),
        "{report}"
    );
    assert!(
        report.contains("GPU 2         Stub GPU 2, compute"),
        "{report}"
    );
    let (code, text) = machine.myself(&[super::tour::TWO]);
    let expected = "error: no usable GPU: GPU 1 does not answer: cuDeviceTotalMem_v2 failed";
    assert!(code == 1 && text.starts_with(expected), "{text}");
    assert!(
        text.ends_with("ask for another or run on the CPU\n"),
        "{text}"
    );
}
