//! The common cases of the race check, for ordinary loads and stores: a run of bytes and one address for the whole warp,
//! else lane by lane. What these cannot settle goes to the slow path, and they leave what it would have left.

use super::super::access::{Conflict, Kind, Request};
use super::super::clocks::Clocks;
use super::block::{Block, CELLS};
use super::rule::{Rule, Run};
use super::{Cells, Entry};
use crate::emu::rows::LANES;

/// A run of cells that may lie in several blocks, one block at a time.
#[derive(Clone, Copy)]
struct Runs {
    cell: u64,
    left: u64,
    who: u32,
    step: u32,
}

impl Iterator for Runs {
    type Item = (u64, Run);

    #[inline(always)]
    fn next(&mut self) -> Option<(u64, Run)> {
        if self.left == 0 {
            return None;
        }
        let at = self.cell % CELLS as u64;
        let count = self.left.min(CELLS as u64 - at);
        let run = Run {
            at: at as usize,
            count: count as usize,
            who: self.who,
            step: self.step,
        };
        let cell = self.cell;
        // Blocks end between lanes: ranges start at multiples of the widest access.
        self.who = self.who.wrapping_add((count >> self.step) as u32);
        self.cell += count;
        self.left -= count;
        Some((cell, run))
    }
}

impl Cells {
    /// An ordinary load or store of a run of bytes. False if it is not settled; then nothing was done.
    #[inline]
    pub(super) fn run(&mut self, request: &Request<'_>, first: u64, clocks: &Clocks) -> bool {
        let rule = Rule::new(clocks.bounds(request.warp), self.from);
        let runs = self.runs(request, first);
        let writes = request.kind == Kind::Write;
        let mut fills = true;
        for (cell, run) in runs {
            let Some(block) = self.table.block(cell) else {
                return false;
            };
            let fresh = rule.for_run(&block.read[0], &run);
            let settled = rule.unspilled(block, writes)
                && rule.for_run(&block.write, &run)
                && match writes {
                    true => fresh && rule.for_run(&block.read[1], &run),
                    false => fresh || !rule.general,
                };
            if !settled {
                return false;
            }
            fills &= fresh;
        }
        for (cell, run) in runs {
            if let Some(block) = self.table.block(cell) {
                match (writes, fills) {
                    (true, _) => block.write.fill(&run, rule.now),
                    (false, true) => block.read[0].fill(&run, rule.now),
                    (false, false) => rule.place_run(block, &run),
                }
            }
        }
        true
    }

    #[inline(always)]
    fn runs(&self, request: &Request<'_>, first: u64) -> Runs {
        let lanes = &request.lanes;
        Runs {
            cell: first.wrapping_sub(self.base) >> self.shift,
            left: lanes.run_bytes() >> self.shift,
            who: request.who(lanes.first_lane()),
            step: (lanes.bytes >> self.shift).trailing_zeros(),
        }
    }

    /// An ordinary load of one address by the whole warp. False if it is not settled; then nothing was done.
    #[inline]
    pub(super) fn same(&mut self, request: &Request<'_>, clocks: &Clocks) -> bool {
        let rule = Rule::new(clocks.bounds(request.warp), self.from);
        let lanes = &request.lanes;
        let (cell, run) = self.lane_run(request, lanes.first_lane());
        let last = request.who(31 - lanes.mask.leading_zeros());
        let Some(block) = self.table.block(cell) else {
            return false;
        };
        // What is ordered for every lane is so for the whole warp.
        let mut settled = rule.unspilled(block, false);
        let mut fresh = true;
        for at in run.at..run.at + run.count {
            settled &= rule.for_warp(block.write.get(at), run.who);
            fresh &= rule.for_warp(block.read[0].get(at), run.who);
        }
        if !settled {
            return false;
        }
        if !rule.general {
            // Two lanes stand for all of them.
            rule.place_run(block, &run);
            rule.place_run(block, &Run { who: last, ..run });
            return true;
        }
        let mut others = lanes.mask;
        if fresh {
            block.read[0].fill(&run, rule.now);
            others &= others - 1;
        }
        self.spill_readers(request, others, clocks);
        true
    }

    /// An ordinary load or store, lane by lane.
    pub(super) fn scattered(&mut self, request: &Request<'_>, clocks: &Clocks) -> Option<Conflict> {
        let rule = Rule::new(clocks.bounds(request.warp), self.from);
        if request.kind == Kind::Write {
            let settled = match request.lanes.bytes >> self.shift {
                1 => self.stores::<1>(request, rule),
                2 => self.stores::<2>(request, rule),
                4 => self.stores::<4>(request, rule),
                8 => self.stores::<8>(request, rule),
                _ => false,
            };
            return match settled {
                true => None,
                false => self.store(request, clocks),
            };
        }
        match request.lanes.bytes >> self.shift {
            1 => self.loads::<1>(request, rule, clocks),
            2 => self.loads::<2>(request, rule, clocks),
            4 => self.loads::<4>(request, rule, clocks),
            8 => self.loads::<8>(request, rule, clocks),
            _ => self.load(request, clocks),
        }
    }

    /// The cells of one lane, which lie in one block.
    #[inline(always)]
    fn lane_run(&self, request: &Request<'_>, lane: u32) -> (u64, Run) {
        let lanes = &request.lanes;
        let cell = lanes.address(lane).wrapping_sub(self.base) >> self.shift;
        let at = (cell % CELLS as u64) as usize;
        let run = Run {
            at,
            count: ((lanes.bytes >> self.shift) as usize).min(CELLS - at),
            who: request.who(lane),
            step: 31,
        };
        (cell, run)
    }

    /// A load whose lanes have `N` cells each.
    #[inline(always)]
    fn loads<const N: usize>(
        &mut self,
        request: &Request<'_>,
        rule: Rule,
        clocks: &Clocks,
    ) -> Option<Conflict> {
        for lane in request.lanes.active() {
            let (cell, run) = self.lane_run(request, lane);
            let [checked, placed] = match self.table.block(cell) {
                Some(block) => load_lane::<N>(block, &run, rule),
                None => [false; 2],
            };
            if !checked {
                let conflict = self.check_lane(request, lane, clocks);
                if conflict.is_some() {
                    return conflict;
                }
            }
            if !placed {
                self.remember_lane(request, lane, clocks);
            }
        }
        None
    }

    /// A store whose lanes have `N` cells each. False if it is not settled, two lanes of one place among it; then nothing
    /// was done.
    #[inline(always)]
    fn stores<const N: usize>(&mut self, request: &Request<'_>, rule: Rule) -> bool {
        let nothing = Entry { clock: 0, who: 0 };
        let mut before = [[nothing; N]; LANES];
        for lane in request.lanes.active() {
            let (cell, run) = self.lane_run(request, lane);
            let settled = match self.table.block(cell) {
                Some(block) => store_lane(block, &run, rule, &mut before[lane as usize]),
                None => false,
            };
            if !settled {
                self.take_back(request, lane, &before);
                return false;
            }
        }
        true
    }

    /// Undoes the stores of the lanes below `end`.
    #[cold]
    fn take_back<const N: usize>(
        &mut self,
        request: &Request<'_>,
        end: u32,
        before: &[[Entry; N]; LANES],
    ) {
        for lane in request.lanes.active().filter(|lane| *lane < end) {
            let (cell, run) = self.lane_run(request, lane);
            if let Some(block) = self.table.block(cell) {
                for (index, entry) in before[lane as usize].iter().enumerate() {
                    block.write.set(run.at + index, *entry);
                }
            }
        }
    }
}

/// One lane of a load: whether it is settled that it conflicts with nothing, and if it was, whether it is remembered.
#[inline(always)]
fn load_lane<const N: usize>(block: &mut Block, run: &Run, rule: Rule) -> [bool; 2] {
    if run.count != N {
        return [false; 2];
    }
    let mut checked = rule.unspilled(block, false);
    if !rule.quiet(&block.write) {
        for index in 0..N {
            checked &= rule.for_one(block.write.get(run.at + index), run.who);
        }
    }
    let mut fresh = true;
    for index in 0..N {
        fresh &= rule.for_one(block.read[0].get(run.at + index), run.who);
    }
    if checked && fresh {
        for index in 0..N {
            let entry = Entry {
                clock: rule.now,
                who: run.who,
            };
            block.read[0].set(run.at + index, entry);
        }
    } else if checked && !rule.general {
        rule.place_run(block, run);
    }
    [checked, checked && (fresh || !rule.general)]
}

/// One lane of a store. False if it is not settled; then nothing was done.
#[inline(always)]
fn store_lane<const N: usize>(
    block: &mut Block,
    run: &Run,
    rule: Rule,
    before: &mut [Entry; N],
) -> bool {
    let me = run.who;
    let mut settled = rule.unspilled(block, true) & (run.count == N);
    for index in 0..N {
        let entry = block.write.get(run.at + index);
        settled &= rule.for_one(entry, me);
        before[index] = entry;
    }
    for readers in &block.read {
        if !rule.quiet(readers) {
            for index in 0..N {
                settled &= rule.for_one(readers.get(run.at + index), me);
            }
        }
    }
    if settled {
        for index in 0..N {
            let entry = Entry {
                clock: rule.now,
                who: me,
            };
            block.write.set(run.at + index, entry);
        }
    }
    settled
}
