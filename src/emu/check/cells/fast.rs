//! The common cases of the race check, for ordinary loads and stores: a run of bytes and one address for the whole warp,
//! else lane by lane. What these cannot settle goes to the slow path, and they leave what it would have left.

use super::super::access::{Conflict, Kind, Request};
use super::super::clocks::Clocks;
use super::block::CELLS;
use super::rule::{Rule, Run};
use super::{Cells, Entry};

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
            let settled = rule.unspilled(block)
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
    pub(super) fn same(&mut self, request: &Request<'_>, address: u64, clocks: &Clocks) -> bool {
        let rule = Rule::new(clocks.bounds(request.warp), self.from);
        let lanes = &request.lanes;
        let run = Runs {
            cell: address.wrapping_sub(self.base) >> self.shift,
            left: u64::from(lanes.bytes >> self.shift),
            who: request.who(lanes.first_lane()),
            step: 31,
        };
        let last = request.who(31 - lanes.mask.leading_zeros());
        let Some((cell, run)) = run.into_iter().next() else {
            return false;
        };
        let Some(block) = self.table.block(cell) else {
            return false;
        };
        // The write must be ordered for every lane, so it must be so for the whole warp.
        let mut settled = !rule.general & rule.unspilled(block);
        for at in run.at..run.at + run.count {
            settled &= rule.for_warp(block.write.get(at), run.who);
        }
        if !settled {
            return false;
        }
        // Two lanes stand for all of them.
        rule.place_run(block, &run);
        rule.place_run(block, &Run { who: last, ..run });
        true
    }

    /// An ordinary load or store, lane by lane.
    pub(super) fn scattered(&mut self, request: &Request<'_>, clocks: &Clocks) -> Option<Conflict> {
        let rule = Rule::new(clocks.bounds(request.warp), self.from);
        let lanes = request.lanes.active();
        if request.kind == Kind::Read {
            return lanes.into_iter().find_map(|lane| {
                if self.read_lane(request, lane, rule) {
                    return None;
                }
                self.check_lane(request, lane, clocks).or_else(|| {
                    self.remember_lane(request, lane, clocks);
                    None
                })
            });
        }
        // All lanes are checked before the first is remembered: one that repeats another's store is not ordered after what
        // that other is.
        let checked = lanes.clone().find_map(|lane| {
            if self.may_store(request, lane, rule) {
                return None;
            }
            self.check_lane(request, lane, clocks)
        });
        checked.or_else(|| {
            lanes.into_iter().find_map(|lane| {
                if self.quick_store(request, lane, rule) {
                    return None;
                }
                self.store_lane(request, lane, clocks)
            })
        })
    }

    /// The cells of one lane.
    #[inline(always)]
    fn lane_run(&self, request: &Request<'_>, lane: u32) -> (u64, Run) {
        let lanes = &request.lanes;
        let cell = lanes.address(lane).wrapping_sub(self.base) >> self.shift;
        let run = Run {
            at: (cell % CELLS as u64) as usize,
            count: (lanes.bytes >> self.shift) as usize,
            who: request.who(lane),
            step: 31,
        };
        (cell, run)
    }

    /// A load of one lane, if it is simple.
    #[inline(always)]
    fn read_lane(&mut self, request: &Request<'_>, lane: u32, rule: Rule) -> bool {
        let (cell, run) = self.lane_run(request, lane);
        let Some(block) = self.table.block(cell) else {
            return false;
        };
        let mut settled = rule.unspilled(block) & (run.at + run.count <= CELLS);
        for at in run.at..run.at + run.count {
            settled &= rule.for_one(block.write.get(at), run.who);
            settled &= !rule.general || rule.for_one(block.read[0].get(at), run.who);
        }
        if settled {
            rule.place_run(block, &run);
        }
        settled
    }

    /// Whether a store of one lane conflicts with nothing before this request, if that is simple to see.
    #[inline(always)]
    fn may_store(&mut self, request: &Request<'_>, lane: u32, rule: Rule) -> bool {
        let (cell, run) = self.lane_run(request, lane);
        let Some(block) = self.table.block(cell) else {
            return false;
        };
        let mut settled = rule.unspilled(block);
        for at in run.at..run.at + run.count {
            settled &= rule.for_one(block.write.get(at), run.who)
                & rule.for_one(block.read[0].get(at), run.who)
                & rule.for_one(block.read[1].get(at), run.who);
        }
        settled
    }

    /// Remembers a store of one lane, unless a lower lane of this request has stored there or the side table knows more.
    #[inline(always)]
    fn quick_store(&mut self, request: &Request<'_>, lane: u32, rule: Rule) -> bool {
        let (cell, run) = self.lane_run(request, lane);
        let Some(block) = self.table.block(cell) else {
            return false;
        };
        let mut alone = rule.unspilled(block);
        for at in run.at..run.at + run.count {
            let Entry { clock, who } = block.write.get(at);
            // Of the own warp with the present stamp and not ordered: made by this very request.
            alone &= (clock != rule.now) | ((who ^ run.who) & 1023 == 0) | ((who ^ run.who) & 992 != 0);
        }
        if alone {
            block.write.fill(&run, rule.now);
        }
        alone
    }
}
