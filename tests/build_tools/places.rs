//! Which nvcc and ptxas are taken, and what is said of those that are not.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::Machine;
use crate::parts::toolkit::{find_nvcc, find_ptxas};

/// Four compilers, each of its own version: NVCC, CUDA_HOME, PATH, `.toolchain`.
fn everywhere() -> Machine {
    let mut machine = Machine::complete();
    machine.places.nvcc = Some(machine.install("nvcc", "named", "V12.9.1"));
    machine.install("nvcc", "home/bin", "V12.8.1");
    machine.places.cuda_home = Some(machine.path("home"));
    machine.install("nvcc", "path", "V12.7.1");
    machine.places.path = vec![machine.path("empty"), machine.path("path")];
    machine
}

fn nvcc_version(machine: &Machine) -> (u32, u32) {
    find_nvcc(&machine.places).unwrap().tool.unwrap().version
}

fn nvcc_error(machine: &Machine) -> String {
    find_nvcc(&machine.places).unwrap_err()
}

/// A path as a person types it in the folder that tests run in.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    up.join(path.strip_prefix("/").unwrap())
}

#[test]
fn what_a_person_names_comes_before_what_is_found() {
    let mut machine = everywhere();
    assert_eq!(nvcc_version(&machine), (12, 9));
    machine.places.nvcc = None;
    assert_eq!(nvcc_version(&machine), (12, 8));
    machine.places.cuda_home = None;
    assert_eq!(nvcc_version(&machine), (12, 7));
    machine.places.path.clear();
    assert_eq!(nvcc_version(&machine), (13, 0));
    fs::remove_dir_all(machine.path(".toolchain")).unwrap();
    assert!(find_nvcc(&machine.places).unwrap().tool.is_none());
}

#[test]
fn a_named_place_that_does_not_do_is_an_error() {
    let mut machine = everywhere();
    let named = machine.path("named/nvcc");
    machine.write("named/version", "tools, V11.7.99\n");
    let expected = format!(
        "NVCC={}: version 11.7 does not know every target, expected 11.8 or newer",
        named.display()
    );
    assert_eq!(nvcc_error(&machine), expected);
    machine.write("named/version", "no version at all\n");
    assert!(nvcc_error(&machine).contains("no version such as V13.0.88"));
    fs::remove_file(&named).unwrap();
    let expected = format!("NVCC={}: cannot run: ", named.display());
    assert!(nvcc_error(&machine).starts_with(&expected));
    machine.places.nvcc = Some("nvcc-that-is-nowhere".into());
    assert_eq!(
        nvcc_error(&machine),
        "NVCC=nvcc-that-is-nowhere: not found in PATH"
    );

    machine.places.nvcc = None;
    machine.write("home/bin/version", "tools, V10.1.243\n");
    let error = nvcc_error(&machine);
    assert!(error.starts_with("CUDA_HOME: /") && error.contains("home/bin/nvcc: version 10.1"));
    machine.places.cuda_home = Some(machine.path("empty"));
    let expected = format!(
        "CUDA_HOME={}: there is no bin/nvcc in it",
        machine.path("empty").display()
    );
    assert_eq!(nvcc_error(&machine), expected);
}

#[test]
fn a_found_compiler_that_is_too_old_is_passed_by_with_a_warning() {
    let mut machine = Machine::complete();
    machine.install("nvcc", "old", "V11.5.119");
    machine.places.path = vec![machine.path("old")];
    assert_eq!(nvcc_version(&machine), (13, 0));
    let output = machine.build().unwrap();
    let expected = format!(
        "passed by: {}: version 11.5 does not know every target, expected 11.8 or newer",
        machine.path("old/nvcc").display()
    );
    assert_eq!(output.warnings, [expected.as_str()]);
    assert_eq!(output.missing, None);
    let watched = [
        ".toolchain/cuda-13.0/bin/nvcc",
        ".toolchain/ptxas-12.4/bin/ptxas",
    ];
    assert_eq!(output.watched, watched.map(|path| machine.path(path)));

    // Alone it leaves a build without kernels, which says what was found, but not in what is embedded.
    fs::remove_dir_all(machine.path(".toolchain")).unwrap();
    let output = machine.build().unwrap();
    assert_eq!(output.warnings, [expected]);
    let missing = output.missing.unwrap();
    assert_eq!(
        missing,
        "built without CUDA kernels, because no nvcc of 11.8 or newer was found: run tools/get-nvcc and build again"
    );
    assert!(machine.generated().contains(&format!("Some({missing:?})")));
}

#[test]
fn ptxas_is_of_cuda_12() {
    let mut machine = Machine::complete();
    let nvcc = find_nvcc(&machine.places).unwrap().tool.unwrap();
    let found = |machine: &Machine| find_ptxas(&machine.places, &nvcc);
    machine.install("ptxas", "named", "V12.0.140");
    machine.places.ptxas = Some(machine.path("named/ptxas"));
    assert_eq!(found(&machine).unwrap().tool.unwrap().version, (12, 0));
    machine.write("named/version", "tools, V13.0.88\n");
    let expected = format!(
        "PTXAS={}: version 13.0, expected 12.x, whose cubins drivers from 525 on accept",
        machine.path("named/ptxas").display()
    );
    assert_eq!(found(&machine).unwrap_err(), expected);

    machine.places.ptxas = None;
    let own = found(&machine).unwrap();
    assert_eq!(own.tool.unwrap().version, (12, 4));
    assert!(own.passed_by.is_empty());
    // The one beside nvcc comes second, and one of CUDA 13 is none at all.
    fs::remove_dir_all(machine.path(".toolchain/ptxas-12.4")).unwrap();
    machine.write(".toolchain/cuda-13.0/bin/version", "tools, V12.6.1\n");
    machine.install("ptxas", ".toolchain/cuda-13.0/bin", "V12.6.1");
    assert_eq!(found(&machine).unwrap().tool.unwrap().version, (12, 6));
    machine.write(".toolchain/cuda-13.0/bin/version", "tools, V13.0.88\n");
    let output = machine.build().unwrap();
    assert_eq!(
        output.missing.as_deref(),
        Some(
            "built without cubins, because no ptxas of CUDA 12 was found: run tools/get-nvcc and build again"
        )
    );
    assert!(output.warnings[0].contains("ptxas: version 13.0, expected 12.x"));
    assert!(machine.generated().contains("cubin: None"));
}

#[test]
fn relative_and_bare_names_become_whole_paths() {
    let mut machine = Machine::complete();
    machine.install("nvcc", "named", "V12.9.1");
    machine.install("ptxas", "named", "V12.9.1");
    machine.install("nvcc", "home/bin", "V12.8.1");
    machine.places.nvcc = Some(relative(&machine.path("named/nvcc")));
    machine.places.ptxas = Some(relative(&machine.path("named/ptxas")));
    // The assembler runs in another folder than the one that its path starts from.
    let output = machine.build().unwrap();
    assert!(machine.path("out/first.sm_80.cubin").is_file());
    assert!(output.watched.iter().all(|path| path.is_absolute()));

    machine.places.nvcc = Some("nvcc".into());
    machine.places.ptxas = Some("ptxas".into());
    machine.places.path = vec![machine.path("named")];
    let output = machine.build().unwrap();
    let named = ["named/nvcc", "named/ptxas"].map(|name| machine.path(name));
    assert_eq!(output.watched, named);

    machine.places.nvcc = None;
    machine.places.cuda_home = Some(relative(&machine.path("home")));
    let output = machine.build().unwrap();
    assert!(output.watched[0].is_absolute() && output.watched[0].ends_with("home/bin/nvcc"));
}
