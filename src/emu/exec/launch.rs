//! A launch: its CTAs over host threads, with a result and a finding that do not depend on how many there are, as long as its
//! CTAs do not race.
//!
//! CTA `c` belongs to shard `c % 16`, whatever the number of host threads; a shard runs its CTAs in ascending order. A
//! grid whose CTAs speak to each other runs as one shard. Of several findings the one of the first CTA counts: once a CTA
//! has one, only those before it still run. A read of unwritten memory is the exception: what another CTA writes may or may
//! not have been there, so all CTAs run, and a race between CTAs counts before it.
//!
//! Any other finding too may come from a value that another shard was writing, so a race between CTAs up to that of the
//! finding counts before it. What is left: where CTAs of different shards race, the values and so the finding that ends the
//! launch may depend on host threads; that there is a finding does not. Under [`Grid::descending`] all of this holds with the
//! order turned round.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cta::Cta;
use super::fault::Fault;
use super::grid::Grid;
use super::memory::{conflict_fault, global_memory};
use super::watch::{self, Near};
use crate::emu::check::{Cells, Clocks, first_conflict};
use crate::emu::counters::Counters;
use crate::emu::ptx::Space;
use crate::emu::report::ReportKind;

/// Shards of a grid.
const SHARDS: u64 = 16;

/// What a launch leaves behind.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Instructions run, counted a lane.
    pub lane_instructions: u64,
    /// What was counted, if anything was.
    pub counters: Option<Counters>,
    /// What a check found.
    pub fault: Option<Box<Fault>>,
}

/// What the host threads of a launch share.
struct Progress {
    shards: u64,
    next_shard: AtomicU64,
    /// The first CTA with a finding that ends the launch.
    stop: AtomicU64,
}

/// What one host thread did.
#[derive(Default)]
struct Worked {
    lane_instructions: u64,
    counters: Option<Counters>,
    #[expect(clippy::vec_box, reason = "findings arrive boxed, few and large")]
    faults: Vec<Box<Fault>>,
    clocks: Option<Clocks>,
    /// Shards and their shadows of global memory.
    shards: Vec<(u64, Vec<Cells>)>,
}

/// Runs all CTAs of a grid; `None` where the host has no room for the CTAs' memory or the shadows.
pub fn run(grid: &Grid<'_>, host_threads: usize) -> Option<Outcome> {
    let shards = match grid.program.communicates {
        true => 1,
        false => SHARDS.min(grid.turns()),
    };
    let progress = Progress {
        shards,
        next_shard: AtomicU64::new(0),
        stop: AtomicU64::new(u64::MAX),
    };
    let workers = (host_threads as u64).clamp(1, shards.max(1));
    let worked = if workers == 1 {
        vec![work(grid, &progress)?]
    } else {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers)
                .map(|_| scope.spawn(|| work(grid, &progress)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined
                .map(|result| result.unwrap_or_else(|panic| resume_unwind(panic)))
                .collect::<Option<Vec<_>>>()
        })?
    };
    Some(Outcome {
        lane_instructions: worked.iter().map(|w| w.lane_instructions).sum(),
        counters: sum(grid, &worked),
        fault: judge(grid, worked),
    })
}

/// Runs one shard after the other until there are none left.
fn work(grid: &Grid<'_>, progress: &Progress) -> Option<Worked> {
    let near = match grid.checks {
        true => Some(Near::new(grid)?),
        false => None,
    };
    let mut worked = Worked::default();
    let mut cta = Cta::new(grid, near)?;
    loop {
        let shard = progress.next_shard.fetch_add(1, Ordering::Relaxed);
        if shard >= progress.shards {
            break;
        }
        let mut far = match grid.checks {
            true => watch::shard(grid),
            false => Vec::new(),
        };
        for index in (shard..grid.turns()).step_by(progress.shards as usize) {
            if index >= progress.stop.load(Ordering::Relaxed) {
                break;
            }
            if let Err(fault) = cta.run(grid.turn(index), &mut far) {
                let goes_on = fault.kind == ReportKind::UninitializedRead;
                worked.faults.push(fault);
                if !goes_on {
                    progress.stop.fetch_min(index, Ordering::Relaxed);
                    break;
                }
            }
        }
        worked.shards.push((shard, far));
    }
    worked.lane_instructions = cta.lane_instructions;
    worked.counters = cta.counters.take();
    worked.clocks = cta.near.map(|near| near.clocks);
    Some(worked)
}

/// What all host threads counted.
fn sum(grid: &Grid<'_>, worked: &[Worked]) -> Option<Counters> {
    let touched = grid.touched.as_ref()?;
    let mut sum = Counters::default();
    for counters in worked.iter().filter_map(|w| w.counters.as_ref()) {
        sum.add(counters);
    }
    sum.set_touched(touched);
    Some(sum)
}

/// The finding that counts.
fn judge(grid: &Grid<'_>, mut worked: Vec<Worked>) -> Option<Box<Fault>> {
    let faults = worked
        .iter_mut()
        .flat_map(|w| std::mem::take(&mut w.faults));
    let (reads, ends): (Vec<_>, Vec<_>) =
        faults.partition(|fault| fault.kind == ReportKind::UninitializedRead);
    let first = |faults: Vec<Box<Fault>>| {
        let faults = faults.into_iter();
        faults.min_by_key(|fault| grid.turn(fault.at.cta))
    };
    let (read, end) = (first(reads), first(ends));
    match end {
        Some(end) if end.kind == ReportKind::Race => Some(end),
        Some(end) => {
            let last = grid.turn(end.at.cta);
            let earlier = read.filter(|read| grid.turn(read.at.cta) <= last);
            between_shards(grid, &worked, Some(last))
                .or(earlier)
                .or(Some(end))
        }
        None => between_shards(grid, &worked, None).or(read),
    }
}

/// A race between CTAs of different shards, up to the one that had turn `last` if there is one.
fn between_shards(grid: &Grid<'_>, worked: &[Worked], last: Option<u64>) -> Option<Box<Fault>> {
    let shards = worked.iter().filter_map(|w| Some((w.clocks.as_ref()?, w)));
    let mut shards: Vec<(u64, &Vec<Cells>, &Clocks)> = shards
        .flat_map(|(clocks, w)| w.shards.iter().map(move |(at, cells)| (*at, cells, clocks)))
        .collect();
    shards.sort_by_key(|(shard, _, _)| *shard);
    (0..grid.regions.len()).find_map(|region| {
        let cells: Vec<(&Cells, &Clocks)> = shards
            .iter()
            .filter_map(|(_, cells, clocks)| Some((cells.get(region)?, *clocks)))
            .collect();
        let conflict = match last {
            Some(last) => first_conflict(&cells, Some(&|cta| grid.turn(cta) <= last)),
            None => first_conflict(&cells, None),
        }?;
        let memory = global_memory(grid, conflict.address);
        Some(conflict_fault(conflict, Space::Global, memory))
    })
}
