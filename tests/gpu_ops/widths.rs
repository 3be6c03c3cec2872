//! Every width around vectors, warps and CTAs, not only those of the table.

use std::collections::BTreeSet;

use qwarp::driver::Target;

use crate::emulator;
use crate::gpu_cases::{self, Case, RowRange};

/// Past the 512 elements that a CTA of 128 threads takes of a row, by more than a warp's 128.
const WIDEST: usize = 645;

#[test]
fn every_width_equals_the_reference() {
    let Some((driver, kernels)) = emulator(Target::Sm80) else {
        return;
    };
    let mut kinds = BTreeSet::new();
    let kind = |case: &dyn Case| case.name().split(',').next().map(str::to_string);
    let mut cases = gpu_cases::all();
    cases.retain(|case| kinds.insert(kind(case.as_ref())));
    assert!(cases.len() >= 12, "{} kinds", cases.len());
    for case in cases {
        for n in 1..=WIDEST {
            let case = case.with_width(n).with_rows(RowRange::first(2));
            let ran = gpu_cases::run(case.as_ref(), &driver, &kernels);
            ran.unwrap_or_else(|failure| panic!("{}: {failure}", case.name()));
        }
    }
}
