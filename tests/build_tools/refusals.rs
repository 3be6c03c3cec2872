//! What a build refuses, and what it says.

use crate::machine::{Machine, entry, kernel};
use crate::parts::REQUIRE;

fn refused(machine: &Machine) -> String {
    machine.build().unwrap_err()
}

#[test]
fn a_cubin_that_older_drivers_reject_is_refused() {
    let machine = Machine::complete();
    machine.write(".toolchain/ptxas-12.4/bin/abi", "\\010");
    let error = refused(&machine);
    assert!(error.contains("a cubin of ELF ABI version Some(8), expected 7"));
    assert!(error.contains("tools/get-nvcc"), "{error}");
    // A file too short to state one.
    machine.write(".toolchain/ptxas-12.4/bin/abi", "");
    let error = refused(&machine);
    assert!(error.contains("ELF ABI version None"), "{error}");
}

#[test]
fn ptx_that_is_not_the_signature_is_refused() {
    let machine = Machine::complete();
    machine.write("ptx/second", &entry("second", "u64"));
    let error = refused(&machine);
    let expected =
        "cuda/second.cu:1: second: parameter `n` has 8 bytes at a multiple of 8 in the PTX";
    assert!(error.starts_with(expected), "{error}");

    let more = [entry("second", "u32"), entry("hidden", "u32")].concat();
    machine.write("cuda/second.cu", &format!("{}\n", kernel("second")));
    machine.write("ptx/second", &more);
    assert_eq!(
        refused(&machine),
        "cuda/second.cu: the PTX has a kernel hidden that the file does not spell out"
    );

    machine.write("cuda/second.cu", &format!("{}\n\n", kernel("second")));
    machine.write("ptx/second", "");
    assert_eq!(
        refused(&machine),
        "cuda/second.cu:1: second exists on no target"
    );
}

#[test]
fn a_kernel_name_stands_in_one_file() {
    let machine = Machine::complete();
    machine.write("cuda/third.cu", &format!("\n{}", kernel("first")));
    assert_eq!(
        refused(&machine),
        "cuda/third.cu:2: first stands in cuda/first.cu too"
    );
    assert!(machine.compiled().is_empty(), "before anything is compiled");
}

#[test]
fn an_error_of_the_compiler_names_the_file() {
    let machine = Machine::complete();
    machine.write("ptx/second.refused", "cuda/second.cu(1): error: what\n");
    let error = refused(&machine);
    assert!(error.starts_with("cuda/second.cu: "), "{error}");
    assert!(error.contains("cuda/second.cu(1): error: what"), "{error}");
}

/// A missing compiler is a warning, and an error where kernels are required; where nothing is missing, neither.
#[test]
fn required_kernels_that_are_missing_are_an_error() {
    let bare = Machine::new().build().unwrap();
    let missing = bare.missing.clone().unwrap();
    let watch = format!("cargo::rerun-if-env-changed={REQUIRE}");
    let warning = format!("cargo::warning={missing}");
    assert_eq!(bare.lines(false), [watch.clone(), warning]);
    let error = format!("cargo::error=REQUIRE_PTX=1, but {missing}");
    assert_eq!(bare.lines(true), [watch, error]);

    let machine = Machine::complete();
    machine.write("ptx/second.warning", "one\ntwo\n");
    let complete = machine.build().unwrap();
    let lines = complete.lines(true);
    assert_eq!(lines, complete.lines(false));
    let (watched, said) = lines.split_at(2);
    assert!(
        watched
            .iter()
            .all(|line| line.starts_with("cargo::rerun-if-changed=/"))
    );
    assert_eq!(said[..2], ["cargo::warning=one", "cargo::warning=two"]);
    assert_eq!(said.len(), 6, "two lines on each target");
}

/// Where kernels are not asked for, no compiler is looked for, even where there is one; what is built says how to get them.
#[test]
fn kernels_can_be_left_out() {
    let machine = Machine::complete();
    let without = machine.build_with(false).unwrap();
    assert!(machine.compiled().is_empty());
    let missing = "built without CUDA kernels, because REQUIRE_PTX=0: build again without it";
    let watch = format!("cargo::rerun-if-env-changed={REQUIRE}");
    assert_eq!(
        without.lines(false),
        [watch, format!("cargo::warning={missing}")]
    );
    assert!(machine.generated().contains(missing));
    machine.build().unwrap();
    assert!(!machine.compiled().is_empty());
}
