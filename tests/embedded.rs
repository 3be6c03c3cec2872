//! What is embedded can be loaded by every driver from 525 on, names no place of the machine that built it, and `qwarp
//! doctor` tells the truth about it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/kernels.rs"]
mod kernels;

use std::path::Path;
use std::process::Command;

use qwarp::backend::gpu::kernels::{ENTRIES, IMAGES, missing};
use qwarp::driver::{Image, Target};
use serde_json::Value;

use kernels::skip;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Whether there are kernels to look at, each file for each target.
fn have_kernels() -> bool {
    if !kernels::have_kernels() {
        return false;
    }
    let files: Vec<&str> = ENTRIES.iter().map(|entry| entry.file).collect();
    for image in IMAGES {
        assert!(files.contains(&image.name), "{}: no kernel", image.name);
    }
    for (file, target) in files.iter().flat_map(|f| Target::ALL.map(|t| (f, t))) {
        let mut images = IMAGES.iter();
        assert!(images.any(|i| i.name == *file && i.target == target));
    }
    true
}

#[test]
fn ptx_states_the_version_of_its_target() {
    if !have_kernels() {
        return;
    }
    for image in IMAGES {
        let (target, version) = match image.target {
            Target::Sm75 => (".target sm_75", ".version 7.0"),
            Target::Sm80 => (".target sm_80", ".version 7.4"),
            Target::Sm90 => (".target sm_90", ".version 7.8"),
        };
        let lines = |start: &str| -> Vec<&str> {
            let found = image.ptx.lines().filter(|line| line.starts_with(start));
            found.map(str::trim_end).collect()
        };
        assert_eq!(lines(".version"), [version], "{}", image.name);
        assert_eq!(lines(".target"), [target], "{}", image.name);
        assert!(lines("\t.file").len() > 1, "{}: no line info", image.name);
    }
}

#[test]
fn no_image_names_a_place_of_this_machine() {
    if !have_kernels() {
        return;
    }
    for image in IMAGES {
        let cubin = image.cubin.unwrap_or_default();
        let cubin = String::from_utf8_lossy(cubin);
        for place in [ROOT, "/usr/", "/tmp/", "/home/", ".toolchain"] {
            assert!(!image.ptx.contains(place), "{}: {place}", image.name);
            assert!(!cubin.contains(place), "{}: {place} in cubin", image.name);
        }
        // In machine code two bytes say nothing; in text they begin an absolute path.
        assert!(!image.ptx.contains("\"/"), "{}: a path", image.name);
        let own = format!("\"cuda/{}.cu\"", image.name);
        assert!(image.ptx.contains(&own), "{own} is not in its PTX");
    }
}

#[test]
fn cubins_are_of_the_abi_that_driver_525_accepts() {
    if !have_kernels() {
        return;
    }
    for image in IMAGES {
        let Some(cubin) = image.cubin else {
            skip("there are no cubins: run tools/get-nvcc and build again");
            return;
        };
        assert_eq!(cubin[..4], *b"\x7fELF", "{}", image.name);
        assert_eq!(cubin[7], 0x33, "{}: not for CUDA", image.name);
        assert_eq!(cubin[8], 7, "{}: ELF ABI version", image.name);
    }
}

/// Kernels on bf16 are there from sm_80 on, and nothing else is missing anywhere.
#[test]
fn kernels_exist_where_they_should_and_spill_nothing() {
    if !have_kernels() {
        return;
    }
    for (entry, target) in ENTRIES.iter().flat_map(|e| Target::ALL.map(|t| (e, t))) {
        let name = entry.name;
        let expected = target.has_bf16() || !name.contains("bf16");
        assert_eq!(entry.exists_on(target), expected, "{name} on {target}");
        if let Some(resources) = entry.resources(target) {
            assert!(resources.registers > 0, "{name} on {target}");
            assert_eq!(resources.spill_bytes, 0, "{name} on {target} spills");
        }
        let image = IMAGES
            .iter()
            .find(|i| i.name == entry.file && i.target == target);
        assert_eq!(
            entry.resources(target).is_some(),
            expected && image.unwrap().cubin.is_some(),
            "{name} on {target}: resources come with the cubin"
        );
    }
}

#[test]
fn ptxas_of_cuda_11_8_assembles_all_ptx() {
    if !have_kernels() {
        return;
    }
    let ptxas = Path::new(ROOT).join(".toolchain/ptxas-11.8/bin/ptxas");
    if !ptxas.is_file() {
        return skip("there is no ptxas 11.8: run tools/get-nvcc");
    }
    let version = Command::new(&ptxas).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).contains("V11.8.89"));
    let folder = tempfile::tempdir().unwrap();
    let assemble = |image: &Image<'_>| {
        let path = folder
            .path()
            .join(format!("{}.{}.ptx", image.name, image.target));
        std::fs::write(&path, image.ptx).unwrap();
        let mut command = Command::new(&ptxas);
        command.arg(format!("-arch={}", image.target)).arg(&path);
        let run = command
            .arg("-o")
            .arg(path.with_extension("cubin"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&run.stderr);
        assert!(
            run.status.success(),
            "{} for {}: {errors}",
            image.name,
            image.target
        );
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            scope.spawn(move || {
                IMAGES
                    .iter()
                    .skip(worker)
                    .step_by(workers)
                    .for_each(assemble)
            });
        }
    });
}

fn doctor(flags: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qwarp"));
    let run = command.arg("doctor").args(flags).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn doctor_tells_what_is_embedded_and_the_driver_floor() {
    let text = doctor(&[]);
    assert!(text.contains("NVIDIA driver 525 or newer"), "{text}");
    let json: Value = serde_json::from_str(&doctor(&["--json"])).unwrap();
    assert_eq!(json["driver_floor"], 525);
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["kernels"]["missing"].as_str(), missing());
    assert_eq!(json["kernels"]["entries"], ENTRIES.len());
    let targets = json["kernels"]["targets"].as_array().unwrap();
    if let Some(reason) = missing() {
        assert!(text.contains(reason), "{text}");
        assert!(targets.is_empty());
        return;
    }
    let stated: Vec<&str> = targets
        .iter()
        .filter_map(|t| t["ptx_isa"].as_str())
        .collect();
    assert_eq!(stated, ["7.0", "7.4", "7.8"]);
    let cubins = IMAGES.iter().all(|image| image.cubin.is_some());
    let code = |capability: &str| {
        let images = json["kernels"]["images"].as_array().unwrap();
        let image = images
            .iter()
            .find(|i| i["compute_capability"] == capability);
        let image = image.unwrap();
        format!(
            "{} {}",
            image["target"].as_str().unwrap(),
            image["code"].as_str().unwrap()
        )
    };
    let own = if cubins { "cubin" } else { "ptx" };
    assert_eq!(code("7.5"), format!("sm_75 {own}"));
    assert_eq!(code("8.9"), format!("sm_80 {own}"));
    assert_eq!(code("9.0"), format!("sm_90 {own}"));
    // Cards without a cubin of their own; those of 12.x have too little shared memory for what sm_90's kernels take.
    assert_eq!(code("10.0"), "sm_90 ptx");
    assert_eq!(code("12.0"), "sm_80 ptx");
    assert!(
        text.contains("PTX of sm_90, compiled once at load"),
        "{text}"
    );
}
