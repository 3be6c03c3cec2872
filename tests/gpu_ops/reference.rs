//! Every case within its bound of the f64 reference, and every kernel of a target visited.

use std::collections::{BTreeMap, BTreeSet};

use qwarp::backend::gpu::kernels::ENTRIES;
use qwarp::driver::Target;

use crate::emulator;
use crate::gpu_cases::{self, Case, QUICK};

/// Runs the cases; how many there are of each op, and the largest NMSE.
fn run(target: Target, cases: Vec<Box<dyn Case>>) -> BTreeMap<&'static str, (usize, f64)> {
    let Some((driver, kernels)) = emulator(target) else {
        return BTreeMap::new();
    };
    let mut visited = BTreeSet::new();
    let mut worst = BTreeMap::new();
    let mut failures = Vec::new();
    for case in cases {
        if !case.runs_on(target) {
            continue;
        }
        match gpu_cases::run(case.as_ref(), &driver, &kernels) {
            Ok(ran) => {
                visited.extend(ran.entries);
                let (count, nmse) = worst.entry(case.op()).or_insert((0, 0.0f64));
                *count += 1;
                *nmse = nmse.max(ran.nmse);
            }
            Err(failure) => failures.push(format!("{} on {target}: {failure}", case.name())),
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
    let built = ENTRIES.iter().filter(|entry| entry.exists_on(target));
    let built: BTreeSet<&str> = built.map(|entry| entry.name).collect();
    assert_eq!(visited, built, "a kernel without a case");
    worst
}

fn every_case(target: Target) {
    for (op, (count, nmse)) in run(target, gpu_cases::all()) {
        println!("{target} {op}: {count} cases, NMSE at most {nmse:.1e}");
        assert!(count >= 40, "{op}: {count} cases");
    }
}

#[test]
fn every_kernel_equals_its_reference_on_sm_75() {
    every_case(Target::Sm75);
}

#[test]
fn every_kernel_equals_its_reference_on_sm_80() {
    every_case(Target::Sm80);
}

#[test]
fn every_kernel_equals_its_reference_on_sm_90() {
    every_case(Target::Sm90);
}

#[test]
fn every_kernel_is_among_those_that_are_timed() {
    for target in [Target::Sm75, Target::Sm80, Target::Sm90] {
        let timed = gpu_cases::timed(&QUICK);
        run(target, timed.into_iter().map(|timed| timed.case).collect());
    }
}
