//! Every case within its bound of the f64 reference, and every kernel of a target visited.

use std::collections::{BTreeMap, BTreeSet};

use qwarp::backend::gpu::kernels::ENTRIES;
use qwarp::driver::Target;

use crate::emulator;
use crate::gpu_cases::{self, Case, QUICK};
use crate::kernels::have_kernels;
use crate::row_invariance::Alone;
use crate::shapes::Visits;

/// What cases did that were run.
struct Run {
    /// How many launched each kernel.
    visited: BTreeMap<&'static str, usize>,
    /// The largest NMSE of each op.
    worst: BTreeMap<&'static str, f64>,
    /// The sizes of the launches.
    shapes: Visits,
}

/// Runs the cases, among which every kernel must be, and rows of them `alone`; nothing where the build has no kernels.
fn run(target: Target, cases: Vec<Box<dyn Case>>, mut alone: Option<&mut Alone>) -> Option<Run> {
    let (driver, kernels) = emulator(target)?;
    let mut shapes = Visits::new(target);
    let mut visited: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut worst = BTreeMap::new();
    let mut failures = Vec::new();
    for case in cases {
        if !case.runs_on(target) {
            continue;
        }
        match gpu_cases::run(case.as_ref(), &driver, &kernels) {
            Ok(ran) => {
                for entry in &ran.entries {
                    *visited.entry(*entry).or_default() += 1;
                }
                for launch in &ran.launches {
                    shapes.count(kernels.entry(launch.function).unwrap(), launch);
                }
                let nmse = worst.entry(case.op()).or_insert(0.0f64);
                *nmse = nmse.max(ran.nmse);
                if let Some(alone) = &mut alone {
                    let run = |case: &dyn Case| gpu_cases::run(case, &driver, &kernels);
                    failures.extend(alone.hold(case.as_ref(), &ran, &run).err());
                }
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
    let launched: BTreeSet<&str> = visited.keys().copied().collect();
    assert_eq!(launched, built, "a kernel without a case");
    Some(Run {
        visited,
        worst,
        shapes,
    })
}

fn every_case(target: Target, alone: Option<&mut Alone>) {
    let Some(run) = run(target, gpu_cases::all(), alone) else {
        return;
    };
    for (op, nmse) in run.worst {
        println!("{target} {op}: NMSE at most {nmse:.1e}");
    }
    for (kernel, count) in run.visited {
        assert!(count >= 40, "{kernel} on {target}: {count} cases");
    }
    run.shapes.check();
}

#[test]
fn every_kernel_equals_its_reference_on_sm_75() {
    every_case(Target::Sm75, None);
}

#[test]
fn every_kernel_equals_its_reference_on_sm_80_and_no_row_depends_on_its_neighbours() {
    let mut alone = Alone::default();
    every_case(Target::Sm80, Some(&mut alone));
    let ops: BTreeSet<_> = gpu_cases::all().iter().map(|case| case.op()).collect();
    if have_kernels() {
        alone.check(&ops);
    }
}

#[test]
fn every_kernel_equals_its_reference_on_sm_90() {
    every_case(Target::Sm90, None);
}

#[test]
fn every_kernel_is_among_those_that_are_timed() {
    for target in [Target::Sm75, Target::Sm80, Target::Sm90] {
        let timed = gpu_cases::timed(&QUICK);
        let cases = timed.into_iter().map(|timed| timed.case).collect();
        run(target, cases, None);
    }
}
