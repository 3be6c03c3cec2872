//! What decides order without atomics and without syncs of some warps or lanes, as a few comparisons.

use super::super::clocks::Bounds;
use super::Entry;
use super::block::{Block, Slot};

/// The numbers that one warp's accesses are compared with. It may call ordered accesses unordered (where finer
/// synchronisation ordered them), never the other way round. Stamps are compared as signed numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Stamps below are empty.
    from: i32,
    cta_start: i32,
    /// Stamps from `cta_start` on that are below are ordered for the whole CTA.
    floor: i32,
    /// Stamps of the own warp below are ordered for it.
    warp_floor: i32,
    /// If no stamp reaches this, all are empty or ordered for the whole CTA. Among global cells, a stamp that is not the
    /// largest may be of an earlier CTA.
    quiet: u32,
    /// The warp's stamp.
    pub now: u32,
    /// Whether readers that find no place must be put in the side table.
    pub general: bool,
}

/// Cells side by side in one block, each accessed by one lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// The first cell in its block.
    pub at: usize,
    /// How many.
    pub count: usize,
    /// What the first cell is to remember.
    pub who: u32,
    /// log2 of the cells of a lane: lanes lie side by side too.
    pub step: u32,
}

/// The bits of an entry that name its thread, and of those the warp.
const THREAD: u32 = 1023;
const WARP: u32 = THREAD & !31;

impl Run {
    /// What cell `index` of the run is to remember.
    #[inline(always)]
    fn who(&self, index: usize) -> u32 {
        self.who.wrapping_add((index as u32) >> self.step)
    }
}

impl Slot {
    /// Remembers the accesses of a run.
    #[inline(always)]
    pub fn fill(&mut self, run: &Run, now: u32) {
        let (clocks, whos) = self.part_mut(run);
        clocks.fill(now);
        // Not `enumerate`, whose count is checked for overflow: that would keep the loop from becoming vectors.
        for index in 0..whos.len() {
            whos[index] = run.who(index);
        }
        self.latest = self.latest.max(now);
    }

    #[inline(always)]
    fn part_mut(&mut self, run: &Run) -> (&mut [u32], &mut [u32]) {
        let range = run.at..run.at + run.count;
        (&mut self.clock[range.clone()], &mut self.who[range])
    }

    /// Whether `test` holds for all of a run: stamp, what is remembered, what is to be.
    #[inline(always)]
    fn all(&self, run: &Run, test: impl Fn(i32, u32, u32) -> Yes) -> bool {
        let range = run.at..run.at + run.count;
        let clocks = &self.clock[range.clone()];
        let whos = &self.who[range][..clocks.len()];
        let mut yes = -1;
        for index in 0..clocks.len() {
            yes &= test(clocks[index] as i32, whos[index], run.who(index));
        }
        yes < 0
    }
}

/// A truth as the sign of a number: set is true. Vector units do many of these at once, and numbers below 2^31 compare by
/// subtraction.
type Yes = i32;

#[inline(always)]
fn below(one: i32, other: i32) -> Yes {
    one.wrapping_sub(other)
}

#[inline(always)]
fn is_zero(bits: u32) -> Yes {
    (bits as i32).wrapping_sub(1)
}

/// Whether two readers are not enough to stand for all of them, in cells whose stamps count from `from` on.
pub(super) fn is_general(bounds: Bounds, from: u32) -> bool {
    let shared = from == bounds.cta_start;
    bounds.finer.inside || bounds.finer.between && !shared
}

impl Rule {
    /// The rule for a warp, in cells whose stamps count from `from` on.
    #[inline(always)]
    pub fn new(bounds: Bounds, from: u32) -> Rule {
        let shared = from == bounds.cta_start;
        Rule {
            from: from as i32,
            cta_start: bounds.cta_start as i32,
            floor: bounds.floor as i32,
            warp_floor: bounds.warp_floor as i32,
            quiet: if shared { bounds.floor } else { from },
            now: bounds.now,
            general: is_general(bounds, from),
        }
    }

    /// Whether nothing in a slot can be unordered.
    #[inline(always)]
    pub fn quiet(self, slot: &Slot) -> bool {
        slot.latest < self.quiet
    }

    /// Whether nothing in the side table can matter to a load from a block, or to a store.
    #[inline(always)]
    pub fn unspilled(self, block: &Block, stores: bool) -> bool {
        let [reads, writes] = block.spilled;
        (writes < self.quiet) & (!stores | (reads < self.quiet))
    }

    /// Ordered for every thread of the CTA, or nothing there.
    #[inline(always)]
    fn for_all(self, clock: i32) -> Yes {
        below(clock, self.from) | (!below(clock, self.cta_start) & below(clock, self.floor))
    }

    /// Ordered for the thread of `me`.
    #[inline(always)]
    fn for_me(self, clock: i32, who: u32, me: u32) -> Yes {
        let same = is_zero((who ^ me) & THREAD);
        let own = same | self.for_lane(clock, who, me) | below(clock, self.floor);
        below(clock, self.from) | (!below(clock, self.cta_start) & own)
    }

    /// Of the own warp, and before it synchronised.
    #[inline(always)]
    fn for_lane(self, clock: i32, who: u32, me: u32) -> Yes {
        is_zero((who ^ me) & WARP) & below(clock, self.warp_floor)
    }

    /// Ordered for the thread of `me`.
    #[inline(always)]
    pub fn for_one(self, entry: Entry, me: u32) -> bool {
        self.for_me(entry.clock as i32, entry.who, me) < 0
    }

    /// Ordered for every lane of the warp of `me`.
    #[inline(always)]
    pub fn for_warp(self, entry: Entry, me: u32) -> bool {
        let clock = entry.clock as i32;
        let own = self.for_lane(clock, entry.who, me) & !below(clock, self.cta_start);
        self.for_all(clock) | own < 0
    }

    /// Whether all of a run's entries are ordered for the threads of their cells.
    #[inline(always)]
    pub fn for_run(self, slot: &Slot, run: &Run) -> bool {
        self.quiet(slot)
            || slot.all(run, |clock, _, _| self.for_all(clock))
            || slot.all(run, |clock, who, me| self.for_me(clock, who, me))
    }

    /// Whether an unordered reader differs from `me` in CTA or warp: then the two of them can stand for all readers.
    #[inline(always)]
    fn stays(self, clock: i32, who: u32, me: u32) -> Yes {
        below(clock, self.cta_start) | !is_zero((who ^ me) & WARP)
    }

    /// Remembers the reads of a run: see the head of [`super`] for which are kept. Not for general kernels, where a reader
    /// that finds no place is put in the side table.
    #[inline(always)]
    pub fn place_run(self, block: &mut Block, run: &Run) {
        let [first, second] = &mut block.read;
        let differs = |clock: i32, who: u32, me: u32| {
            !self.for_me(clock, who, me) & self.stays(clock, who, me)
        };
        if first.all(run, differs) {
            return second.fill(run, self.now);
        }
        for index in 0..run.count {
            let (at, me) = (run.at + index, run.who(index));
            let now = Entry {
                clock: self.now,
                who: me,
            };
            let (one, other) = (first.get(at), second.get(at));
            if self.for_one(one, me) {
                first.set(at, now);
            } else if self.for_one(other, me)
                || self.stays(one.clock as i32, one.who, me) < 0
                || is_zero((other.who ^ me) & WARP) < 0
            {
                second.set(at, now);
            }
        }
    }
}
