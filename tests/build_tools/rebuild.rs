//! What is compiled, and what of it again.

use std::fs;

use crate::machine::{Machine, entry, kernel};

/// The first file on every target.
const FIRST: [&str; 3] = ["first.sm_75", "first.sm_80", "first.sm_90"];
const SECOND: [&str; 3] = ["second.sm_75", "second.sm_80", "second.sm_90"];

#[test]
fn every_file_becomes_ptx_and_a_cubin_of_every_target() {
    let machine = Machine::complete();
    let output = machine.build().unwrap();
    assert!(output.warnings.is_empty() && output.missing.is_none());
    assert_eq!(machine.compiled(), [FIRST, SECOND].concat());
    let text = machine.generated();
    for (name, isa) in [("sm_75", "7.0"), ("sm_80", "7.4"), ("sm_90", "7.8")] {
        let ptx = fs::read_to_string(machine.path(&format!("out/first.{name}.ptx"))).unwrap();
        assert!(ptx.starts_with(&format!(".version {isa}\n.target {name}\n")));
        let image = format!(
            "include_str!(\"first.{name}.ptx\"), cubin: Some(include_bytes!(\"first.{name}.cubin\"))"
        );
        assert!(text.contains(&image), "{text}");
    }
    let facts =
        "(Target::Sm80, Some(Resources { registers: 17, shared_bytes: 0, spill_bytes: 0 }))";
    assert!(text.contains(facts), "{text}");
    assert!(text.contains("pub fn second(&self, geometry: Geometry, n: u32)"));
}

#[test]
fn only_what_has_changed_is_compiled_again() {
    let machine = Machine::complete();
    machine.build().unwrap();
    assert_eq!(machine.compiled().len(), 6);
    machine.build().unwrap();
    assert!(machine.compiled().is_empty(), "nothing has changed");

    machine.write("cuda/second.cu", &format!("{}\n", kernel("second")));
    machine.build().unwrap();
    assert_eq!(machine.compiled(), SECOND, "one file touched");
    machine.write("cuda/common/a.cuh", "// two\n");
    machine.build().unwrap();
    assert_eq!(machine.compiled(), FIRST, "the file that reaches a header");
    machine.write("cuda/common/b.cuh", "// not reached\n");
    machine.build().unwrap();
    assert!(machine.compiled().is_empty(), "a header that none reaches");

    machine.write(
        ".toolchain/cuda-13.0/bin/version",
        "another build, V13.0.88\n",
    );
    machine.build().unwrap();
    assert_eq!(machine.compiled().len(), 6, "another compiler");
    machine.write(".toolchain/ptxas-12.4/bin/version", "tools, V12.9.1\n");
    machine.build().unwrap();
    assert_eq!(machine.compiled().len(), 6, "another assembler");
}

#[test]
fn a_build_that_failed_half_way_leaves_nothing_that_counts() {
    let machine = Machine::complete();
    machine.build().unwrap();
    machine.compiled();
    // nvcc succeeds with other PTX, and then the assembler's cubin is refused.
    machine.write("cuda/second.cu", &format!("{}// two\n", kernel("second")));
    machine.write(".toolchain/ptxas-12.4/bin/abi", "\\010");
    machine.build().unwrap_err();
    assert!(machine.compiled().contains(&SECOND[0].to_string()));
    // The old text again: its key was taken away, so what lies there is not taken for its result.
    machine.write("cuda/second.cu", &kernel("second"));
    machine.write(".toolchain/ptxas-12.4/bin/abi", "\\007");
    machine.build().unwrap();
    assert!(machine.compiled().contains(&SECOND[0].to_string()));
}

#[test]
fn warnings_of_the_compiler_stay_until_the_file_changes() {
    let machine = Machine::complete();
    machine.write("ptx/first.warning", "cuda/first.cu(3): unused variable\n");
    let expected = vec!["cuda/first.cu(3): unused variable\n"; 3];
    assert_eq!(machine.build().unwrap().warnings, expected);
    machine.compiled();
    machine.write("cuda/second.cu", &format!("{}\n", kernel("second")));
    assert_eq!(machine.build().unwrap().warnings, expected);
    assert_eq!(machine.compiled(), SECOND);
}

#[test]
fn a_kernel_may_be_missing_on_some_targets() {
    let machine = Machine::complete();
    let both = format!("{}{}", entry("second", "u32"), entry("second_bf16", "u32"));
    machine.write(
        "cuda/second.cu",
        &format!("{}{}", kernel("second"), kernel("second_bf16")),
    );
    machine.write("ptx/second.sm_80", &both);
    machine.write("ptx/second.sm_90", &both);
    machine.build().unwrap();
    let text = machine.generated();
    let facts = |name: &str| {
        let lines = text.lines().filter(|line| line.contains("EntryFacts"));
        let mut of = lines.filter(|line| line.contains(&format!("name: {name:?}")));
        of.next().unwrap().to_string()
    };
    assert!(facts("second").contains("Sm75"));
    let guarded = facts("second_bf16");
    assert!(!guarded.contains("Sm75") && guarded.contains("Sm80") && guarded.contains("Sm90"));
}
