//! The committed table of the kernels is what this build's kernels do, and no row is beyond its limits without a reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../support/gpu_cases/mod.rs"]
mod gpu_cases;
#[path = "../support/kernel_table/mod.rs"]
mod kernel_table;
#[path = "../support/kernels.rs"]
mod kernels;

use kernel_table::{Row, breaches, measure, text};
use qwarp::backend::gpu::kernels::Resources;
use qwarp::emu::counters::Counters;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results/kernels.md");

#[test]
fn the_committed_table_holds_and_keeps_its_limits() {
    if !kernels::have_pinned_kernels() {
        return;
    }
    let mut rows = measure().unwrap();
    let found = breaches(&rows);
    assert!(found.is_empty(), "{}", found.join("\n"));
    let made = text(&rows);
    let committed = std::fs::read_to_string(COMMITTED).unwrap();
    let differing = made
        .lines()
        .zip(committed.lines())
        .find(|(made, committed)| made != committed);
    assert!(
        made == committed,
        "benches/results/kernels.md is not what the kernels do now; tools/kernel-table writes it. The first difference, made \
         and committed: {differing:?}"
    );
    every_limit_is_seen(&mut rows);
}

/// Each fault by itself is one breach, of the kernel that has it.
fn every_limit_is_seen(rows: &mut Vec<Row>) {
    let decode = rows
        .iter()
        .position(|row| row.decodes() && row.whole.is_some());
    let at = decode.unwrap();
    type Fault = fn(&mut Row);
    let faults: [(Fault, &str); 5] = [
        (|row| row.resources = None, "bytes spilled"),
        (
            |row| {
                let spill_bytes = 4;
                row.resources = row.resources.map(|r| Resources { spill_bytes, ..r });
            },
            "Some(4) bytes spilled",
        ),
        (
            |row| row.whole = row.whole.map(|(floor, _)| (floor, floor * 106 / 100)),
            "1.05 may be",
        ),
        (|row| row.counters = conflicting(), "31 bank conflicts"),
        (|row| row.fits[0].1.ctas = 0, "a CTA does not fit"),
    ];
    for (fault, expected) in faults {
        let sound = rows[at].clone();
        fault(&mut rows[at]);
        let found = breaches(rows);
        let kernel = rows[at].kernel;
        assert!(
            found.len() == 1 && found[0].starts_with(kernel),
            "{found:?}"
        );
        assert!(found[0].contains(expected), "{found:?}");
        rows[at] = sound;
    }
    let (target, kernel) = (rows[0].target, rows[0].kernel);
    rows.retain(|row| row.kernel != kernel || row.target != target);
    assert_eq!(
        breaches(rows),
        [format!(
            "{kernel} on {target}: no case of a step launches it"
        )]
    );
    rows.retain(|row| !row.kernel.starts_with("paged_attention_"));
    let found = breaches(rows);
    assert!(
        found.iter().any(|breach| breach.contains("is not needed")),
        "{found:?}"
    );
}

/// One request of 32 lanes, all in one bank.
fn conflicting() -> Counters {
    use qwarp::emu::check::Lanes;
    use qwarp::emu::counters::{Direction, Space};
    let addresses: [u64; 32] = std::array::from_fn(|lane| 128 * lane as u64);
    let mut counters = Counters::default();
    counters.request(
        Space::Shared,
        Direction::Read,
        &Lanes::of(u32::MAX, 4, &addresses),
    );
    counters
}
