//! What decides order without atomics and without syncs of some warps or lanes, as a few comparisons.

use super::super::clocks::Bounds;
use super::Entry;
use super::block::{Block, Slot};

/// The numbers that one warp's accesses are compared with. It may call ordered accesses unordered (where finer
/// synchronisation ordered them), never the other way round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Stamps below are empty.
    from: u32,
    cta_start: u32,
    /// How many stamps from `cta_start` on are ordered for the whole CTA.
    span: u32,
    /// Stamps of the own warp below are ordered for it.
    warp_floor: u32,
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
        for (index, who) in whos.iter_mut().enumerate() {
            *who = run.who(index);
        }
    }

    #[inline(always)]
    fn part(&self, run: &Run) -> (&[u32], &[u32]) {
        let range = run.at..run.at + run.count;
        (&self.clock[range.clone()], &self.who[range])
    }

    #[inline(always)]
    fn part_mut(&mut self, run: &Run) -> (&mut [u32], &mut [u32]) {
        let range = run.at..run.at + run.count;
        (&mut self.clock[range.clone()], &mut self.who[range])
    }
}

impl Rule {
    /// The rule for a warp, in cells whose stamps count from `from` on.
    #[inline(always)]
    pub fn new(bounds: Bounds, from: u32) -> Rule {
        Rule {
            from,
            cta_start: bounds.cta_start,
            span: bounds.floor.wrapping_sub(bounds.cta_start),
            warp_floor: bounds.warp_floor,
            now: bounds.now,
            general: bounds.general,
        }
    }

    /// Ordered for every thread of the CTA, or nothing there.
    #[inline(always)]
    fn for_all(self, clock: u32) -> bool {
        (clock < self.from) | (clock.wrapping_sub(self.cta_start) < self.span)
    }

    /// Ordered for the thread of `me`.
    #[inline(always)]
    pub fn for_one(self, entry: Entry, me: u32) -> bool {
        let differs = (entry.who ^ me) & 1023;
        let own = (differs == 0) | ((differs < 32) & (entry.clock < self.warp_floor));
        self.for_all(entry.clock) | ((entry.clock >= self.cta_start) & own)
    }

    /// Ordered for every lane of the warp of `me`.
    #[inline(always)]
    pub fn for_warp(self, entry: Entry, me: u32) -> bool {
        let own = ((entry.who ^ me) & 992 == 0) & (entry.clock < self.warp_floor);
        self.for_all(entry.clock) | ((entry.clock >= self.cta_start) & own)
    }

    /// Whether all of a run's entries are ordered for the threads of their cells.
    #[inline(always)]
    pub fn for_run(self, slot: &Slot, run: &Run) -> bool {
        let (clocks, whos) = slot.part(run);
        let mut ordered = true;
        for clock in clocks {
            ordered &= self.for_all(*clock);
        }
        ordered || {
            let mut ordered = true;
            for (index, (clock, who)) in clocks.iter().zip(whos).enumerate() {
                let entry = Entry {
                    clock: *clock,
                    who: *who,
                };
                ordered &= self.for_one(entry, run.who(index));
            }
            ordered
        }
    }

    /// Whether nothing in the side table can matter for a block: what was put there is empty or ordered by now. That an
    /// earlier CTA's is ordered cannot be told from its stamp.
    #[inline(always)]
    pub fn unspilled(self, block: &Block) -> bool {
        let shared = self.from == self.cta_start;
        (block.spilled < self.from) | (shared & self.for_all(block.spilled))
    }

    /// Which of the two slots an ordinary read of `me` takes, if any: see the head of [`super`]. Not for general kernels,
    /// where a reader that is in neither is put in the side table.
    #[inline(always)]
    pub fn places(self, [first, second]: [Entry; 2], me: u32) -> [bool; 2] {
        let takes_first = self.for_one(first, me);
        let other_warp = |entry: Entry| (entry.who ^ me) & 1023 >= 32;
        let takes_second = self.for_one(second, me)
            | (first.clock < self.cta_start)
            | other_warp(first)
            | !other_warp(second);
        [takes_first, !takes_first & takes_second]
    }

    /// Remembers the reads of a run cell by cell.
    #[inline(always)]
    pub fn place_run(self, block: &mut Block, run: &Run) {
        let [first, second] = &mut block.read;
        let (clocks, whos) = first.part_mut(run);
        let (more_clocks, more_whos) = second.part_mut(run);
        for index in 0..run.count {
            let me = run.who(index);
            let entries = [
                Entry {
                    clock: clocks[index],
                    who: whos[index],
                },
                Entry {
                    clock: more_clocks[index],
                    who: more_whos[index],
                },
            ];
            let [in_first, in_second] = self.places(entries, me);
            let pick = |yes: bool, new: u32, old: u32| if yes { new } else { old };
            clocks[index] = pick(in_first, self.now, clocks[index]);
            whos[index] = pick(in_first, me, whos[index]);
            more_clocks[index] = pick(in_second, self.now, more_clocks[index]);
            more_whos[index] = pick(in_second, me, more_whos[index]);
        }
    }
}
