//! A launch: its CTAs over host threads, with a result and a finding that do not depend on how many there are.
//!
//! CTA `c` belongs to shard `c % 16`, whatever the number of host threads; a shard runs its CTAs in ascending order. A
//! grid whose CTAs speak to each other runs as one shard. Of several findings the one of the first CTA counts: once a CTA
//! has one, only those before it still run.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::alu::Alu;
use super::cta::Cta;
use super::fault::Fault;
use super::grid::Grid;

/// Shards of a grid.
const SHARDS: u64 = 16;

/// What a launch leaves behind.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Instructions run, counted a lane.
    pub lane_instructions: u64,
    /// What a check found.
    pub fault: Option<Box<Fault>>,
}

/// What the host threads of a launch share.
struct Progress {
    next_shard: AtomicU64,
    /// The first CTA with a finding.
    stop: AtomicU64,
    outcome: Mutex<Outcome>,
}

/// Runs all CTAs of a grid.
pub fn run(grid: &Grid<'_>, alu: Alu, host_threads: usize) -> Outcome {
    let shards = match grid.program.communicates {
        true => 1,
        false => SHARDS.min(grid.ctas()),
    };
    let progress = Progress {
        next_shard: AtomicU64::new(0),
        stop: AtomicU64::new(u64::MAX),
        outcome: Mutex::new(Outcome::default()),
    };
    let workers = (host_threads as u64).clamp(1, shards.max(1));
    if workers == 1 {
        work(grid, alu, shards, &progress);
    } else {
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| work(grid, alu, shards, &progress));
            }
        });
    }
    progress
        .outcome
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Runs one shard after the other until there are none left.
fn work(grid: &Grid<'_>, alu: Alu, shards: u64, progress: &Progress) {
    let mut cta = Cta::new(grid, alu);
    loop {
        let shard = progress.next_shard.fetch_add(1, Ordering::Relaxed);
        if shard >= shards {
            break;
        }
        for index in (shard..grid.ctas()).step_by(shards as usize) {
            if index >= progress.stop.load(Ordering::Relaxed) {
                break;
            }
            if let Err(fault) = cta.run(index) {
                progress.stop.fetch_min(index, Ordering::Relaxed);
                keep_first(progress, fault);
                break;
            }
        }
    }
    let mut outcome = progress
        .outcome
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    outcome.lane_instructions += cta.lane_instructions;
}

fn keep_first(progress: &Progress, fault: Box<Fault>) {
    let mut outcome = progress
        .outcome
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let first = outcome
        .fault
        .as_ref()
        .is_none_or(|kept| fault.at.cta < kept.at.cta);
    if first {
        outcome.fault = Some(fault);
    }
}
