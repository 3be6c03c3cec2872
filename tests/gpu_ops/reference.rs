//! Every case within its bound of the f64 reference, and every kernel of a target visited.

use std::collections::{BTreeMap, BTreeSet};

use qwarp::backend::gpu::kernels::ENTRIES;
use qwarp::driver::Target;

use crate::{emulator, gpu_cases};

fn every_case(target: Target) {
    let Some((driver, kernels)) = emulator(target) else {
        return;
    };
    let mut visited = BTreeSet::new();
    let mut worst = BTreeMap::new();
    let mut failures = Vec::new();
    for case in gpu_cases::all() {
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
    for (op, (count, nmse)) in &worst {
        println!("{target} {op}: {count} cases, NMSE at most {nmse:.1e}");
        assert!(*count >= 40, "{op}: {count} cases");
    }
    let built = ENTRIES.iter().filter(|entry| entry.exists_on(target));
    let built: BTreeSet<&str> = built.map(|entry| entry.name).collect();
    assert_eq!(visited, built, "a kernel without a case");
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
