//! Happens-before inside the CTAs that one host thread runs, and between them where atomics and fences make it.
//!
//! One counter, `time`, numbers the intervals between synchronisations, over all CTAs of a launch that the thread runs. A warp
//! stamps its accesses with the time of its last synchronisation (`now`), so a stamp alone says which CTA made the access.
//! Knowledge is an exclusive bound: a lane knows an access of another if its stamp lies below the bound.
//!
//! Kernels mostly use barriers of the whole CTA and warp syncs of whole warps, and for these two integers suffice: `floor`
//! (everything of the CTA below it is ordered) and each warp's own floor. Barriers of some warps and syncs of some lanes
//! add matrices (`partial`), atomics and fences add knowledge a thread (`remote`). All of it is exact: `ordered` answers as
//! full vector clocks would for the run that was made (see `cells`), with one reading of ours: a thread that has exited
//! counts as arrived at every later barrier whose mask the executor passes it in, as on hardware.
//!
//! What orders memory: `bar`/`barrier`, `bar.warp.sync`, and fences around strong accesses. Shuffles, votes, `match` and
//! `mma` do not.

mod partial;
mod remote;
mod view;

use super::cells::Entry;
use partial::Rows;
use remote::Remote;
pub use remote::{Exchange, Location, Scope};

/// Warps of the largest CTA.
pub const MAX_WARPS: usize = 32;
/// Stamps compare as signed numbers, for which vector units have an instruction.
const LAST_TIME: u32 = i32::MAX as u32 - 1;
/// Barriers of a CTA.
const BARRIERS: usize = 16;

/// What orders the accesses of CTAs that run one after the other.
#[derive(Debug)]
pub struct Clocks {
    time: u32,
    cta_start: u32,
    /// Everything that the running CTA did below this is ordered before whatever it does now.
    floor: u32,
    finer: Finer,
    /// What the launch announced of it.
    announced: Finer,
    threads: u32,
    warps: Vec<Warp>,
    /// Stamp from which each CTA of this launch began.
    starts: Vec<(u32, u64)>,
    arrived: [Option<partial::Arrival>; BARRIERS],
    remote: Remote,
}

/// Synchronisation finer than barriers of the whole CTA and syncs of whole warps: with it, a thread can be ordered after
/// some accesses of an interval but not after others, and the race check keeps more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Finer {
    /// Barriers of some warps, `bar.arrive`, warp syncs of some lanes, atomics and other strong accesses of shared memory
    /// or of CTA scope.
    pub inside: bool,
    /// Atomics and other strong accesses of global memory at wider scope.
    pub between: bool,
}

/// The clock of one warp.
#[derive(Debug, Clone, Default)]
struct Warp {
    /// The stamp of its accesses.
    now: u32,
    /// Everything that its own lanes did below this is ordered.
    floor: u32,
    /// What it knows of other warps through barriers of some warps; empty before the first.
    known: Vec<u32>,
    /// What its lanes know of each other through syncs of some lanes.
    lanes: Option<Box<Rows>>,
}

impl Warp {
    /// How far `lane` knows `other` of the same warp.
    fn lane_bound(&self, lane: u32, other: u32) -> u32 {
        let row = self.lanes.as_ref().map(|rows| rows[lane as usize % 32]);
        self.floor
            .max(row.map_or(0, |row| row[other as usize % 32]))
    }
}

/// The few numbers that settle most questions of order, for one warp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Stamps from here on are of the running CTA.
    pub cta_start: u32,
    /// See [`Clocks`].
    pub floor: u32,
    /// The warp's own floor, never below `floor`.
    pub warp_floor: u32,
    /// The warp's stamp.
    pub now: u32,
    pub finer: Finer,
}

impl Clocks {
    /// The clocks of a launch of CTAs of `threads` threads (at most 1024), as one host thread runs them. What the program is
    /// known to have of `finer` synchronisation is exact from the start; what is not comes to light in each CTA when it
    /// first runs.
    pub fn new(threads: u32, finer: Finer) -> Clocks {
        let threads = threads.clamp(1, (MAX_WARPS * 32) as u32);
        Clocks {
            time: 1,
            cta_start: 1,
            floor: 1,
            finer,
            announced: finer,
            threads,
            warps: vec![Warp::default(); threads.div_ceil(32) as usize],
            starts: Vec::new(),
            arrived: [const { None }; BARRIERS],
            remote: Remote::default(),
        }
    }

    /// The next CTA: its index in the grid.
    pub fn begin_cta(&mut self, cta: u64) {
        let start = self.tick();
        // What an earlier CTA brought to light must not matter: which CTAs share a clock depends on host threads.
        self.finer = self.announced;
        self.cta_start = start;
        self.floor = self.floor.max(start);
        for warp in &mut self.warps {
            (warp.now, warp.floor) = (start, start);
        }
        self.arrived = [const { None }; BARRIERS];
        self.starts.push((start, cta));
        self.remote.begin_cta(cta, self.threads);
    }

    /// Where the stamps of the running CTA begin: for [`super::Cells::restart`].
    pub fn cta_start(&self) -> u32 {
        self.cta_start
    }

    /// Barrier `index` completes for the warps of the bit mask `warps`: those that waited, and those whose threads had all
    /// exited if the barrier counts them. What they and the warps that [`Clocks::arrive`]d did so far is ordered before
    /// everything that they do from now on.
    pub fn barrier(&mut self, index: u32, warps: u32) {
        let all = u32::MAX >> (32 - self.warps.len().clamp(1, 32));
        let arrival = self.arrived[index as usize % BARRIERS].take();
        if warps & all != all {
            return self.partial_barrier(warps & all, arrival);
        }
        let time = self.tick();
        self.floor = self.floor.max(time);
        for warp in &mut self.warps {
            (warp.now, warp.floor) = (time, time);
        }
        self.remote.barrier(all, arrival.and_then(|a| a.view));
    }

    /// The lanes of `mask` wait for each other.
    pub fn warp_sync(&mut self, warp: u32, mask: u32) {
        let exist = self.lanes_of(warp);
        let time = self.tick();
        let Some(clock) = self.warps.get_mut(warp as usize) else {
            return;
        };
        clock.now = time;
        if mask & exist == exist {
            clock.floor = time;
        } else {
            partial::sync_lanes(clock, mask & exist, time);
            self.finer.inside = true;
        }
        self.remote.warp_sync(warp, mask & exist);
    }

    /// Whether the access `earlier` is ordered before what `lane` of `warp` does now. `earlier` is of this launch.
    pub(super) fn ordered(&self, earlier: Entry, warp: u32, lane: u32) -> bool {
        let (stamp, thread) = (earlier.clock, earlier.thread());
        if stamp >= self.cta_start {
            if stamp < self.floor {
                return true;
            }
            let (by_warp, by_lane) = (thread / 32, thread % 32);
            let Some(clock) = self.warps.get(warp as usize) else {
                return false;
            };
            if by_warp == warp {
                if by_lane == lane || stamp < clock.lane_bound(lane, by_lane) {
                    return true;
                }
            } else if clock
                .known
                .get(by_warp as usize)
                .is_some_and(|bound| stamp < *bound)
            {
                return true;
            }
        }
        let reader = warp * 32 + lane;
        self.remote
            .knows(reader, || self.cta_of(stamp), thread, stamp)
    }

    /// The CTA that made an access of this launch.
    pub(super) fn cta_of(&self, stamp: u32) -> u64 {
        let after = self.starts.partition_point(|(start, _)| *start <= stamp);
        self.starts
            .get(after.wrapping_sub(1))
            .map_or(0, |(_, cta)| *cta)
    }

    /// The numbers of `warp`.
    #[inline]
    pub(super) fn bounds(&self, warp: u32) -> Bounds {
        let (now, warp_floor) = self
            .warps
            .get(warp as usize)
            .map_or((self.floor, self.floor), |w| (w.now, w.floor));
        Bounds {
            cta_start: self.cta_start,
            floor: self.floor,
            warp_floor,
            now,
            finer: self.finer,
        }
    }

    /// The lanes of `warp` that the CTA has at all.
    fn lanes_of(&self, warp: u32) -> u32 {
        let lanes = self.threads.saturating_sub(warp * 32).min(32);
        u32::MAX.checked_shr(32 - lanes).unwrap_or(0)
    }

    /// The next time. A CTA that synchronises more than a thousand million times stops the clock with everything
    /// ordered: it may hide a race from then on, it invents none.
    fn tick(&mut self) -> u32 {
        if self.time == LAST_TIME {
            self.floor = LAST_TIME + 1;
        } else {
            self.time += 1;
        }
        self.time
    }
}
