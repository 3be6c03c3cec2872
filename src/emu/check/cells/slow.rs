//! One lane, one cell: every rule of the race check, written for reading. The fast paths answer the same.

use super::super::access::{Conflict, Kind, Request, Strength};
use super::super::clocks::{Bounds, Clocks};
use super::{Cells, Entry, spill};

/// An access that is being checked.
#[derive(Clone, Copy)]
struct Now {
    entry: Entry,
    warp: u32,
    lane: u32,
    bounds: Bounds,
    /// Whether readers that find no place must be put in the side table.
    general: bool,
}

impl Cells {
    /// A load or a strong access, lane by lane.
    pub(super) fn load(&mut self, request: &Request<'_>, clocks: &Clocks) -> Option<Conflict> {
        request.lanes.active().find_map(|lane| {
            self.check_lane(request, lane, clocks).or_else(|| {
                self.remember_lane(request, lane, clocks);
                None
            })
        })
    }

    /// An ordinary store, lane by lane. All lanes are checked before the first is remembered: one that repeats another's
    /// store is not ordered after what that other is.
    pub(super) fn store(&mut self, request: &Request<'_>, clocks: &Clocks) -> Option<Conflict> {
        let lanes = request.lanes.active();
        lanes
            .clone()
            .find_map(|lane| self.check_lane(request, lane, clocks))
            .or_else(|| {
                lanes
                    .into_iter()
                    .find_map(|lane| self.store_lane(request, lane, clocks))
            })
    }

    /// A write of this launch, ordered or not, to what a load reads.
    pub fn written(&mut self, request: &Request<'_>, clocks: &Clocks) -> Option<Conflict> {
        request.lanes.active().find_map(|lane| {
            let now = self.now(request, lane, clocks);
            self.cells_of(&request.lanes, lane).find_map(|cell| {
                let write = self.table.block(cell)?.write.get(cell as usize);
                (write.clock >= self.from).then(|| Conflict {
                    address: self.address_of(cell),
                    earlier: write.access(true, clocks),
                    later: now.entry.access(false, clocks),
                })
            })
        })
    }

    /// The first conflict of one lane's cells.
    pub(super) fn check_lane(
        &mut self,
        request: &Request<'_>,
        lane: u32,
        clocks: &Clocks,
    ) -> Option<Conflict> {
        let now = self.now(request, lane, clocks);
        let writes = request.kind != Kind::Read;
        self.cells_of(&request.lanes, lane).find_map(|cell| {
            let (earlier, wrote) = self.conflicting(writes, now, cell, clocks)?;
            Some(Conflict {
                address: self.address_of(cell),
                earlier: earlier.access(wrote, clocks),
                later: now.entry.access(writes, clocks),
            })
        })
    }

    /// Remembers one lane's read or strong access.
    pub(super) fn remember_lane(&mut self, request: &Request<'_>, lane: u32, clocks: &Clocks) {
        let now = self.now(request, lane, clocks);
        for cell in self.cells_of(&request.lanes, lane) {
            if request.kind == Kind::Read {
                self.remember_read(now, cell, clocks);
            } else {
                self.remember_strong_write(now, cell, clocks);
            }
        }
    }

    /// Remembers one lane's ordinary store, whose conflicts with earlier requests have been looked for.
    fn store_lane(
        &mut self,
        request: &Request<'_>,
        lane: u32,
        clocks: &Clocks,
    ) -> Option<Conflict> {
        let now = self.now(request, lane, clocks);
        for cell in self.cells_of(&request.lanes, lane) {
            let at = cell as usize;
            let block = self.table.block(cell)?;
            let earlier = block.write.get(at);
            if same_place(request, earlier, now) {
                if !(request.same_value)(earlier.thread() % 32, lane) {
                    return Some(Conflict {
                        address: self.address_of(cell),
                        earlier: earlier.access(true, clocks),
                        later: now.entry.access(true, clocks),
                    });
                }
                block.write.set(at, now.entry);
                self.spill(cell, earlier, now, true, clocks);
                continue;
            }
            // Everything so far is ordered before this store. Readers may stay where they are: whoever is ordered after
            // this store is ordered after them.
            block.write.set(at, now.entry);
            if !self.spilled.is_empty() {
                self.spilled.remove(&cell);
            }
        }
        None
    }

    fn now(&self, request: &Request<'_>, lane: u32, clocks: &Clocks) -> Now {
        let bounds = clocks.bounds(request.warp);
        let entry = Entry {
            clock: bounds.now,
            who: request.who(lane),
        };
        Now {
            entry,
            warp: request.warp,
            lane,
            bounds,
            general: super::rule::is_general(bounds, self.from),
        }
    }

    /// An access of `cell` that `now` races with, and whether it wrote.
    fn conflicting(
        &mut self,
        writes: bool,
        now: Now,
        cell: u64,
        clocks: &Clocks,
    ) -> Option<(Entry, bool)> {
        let at = cell as usize;
        let block = self.table.block(cell)?;
        let write = block.write.get(at);
        let reads = [block.read[0].get(at), block.read[1].get(at)];
        if self.races(write, now, clocks) {
            return Some((write, true));
        }
        if writes {
            for read in reads {
                if self.races(read, now, clocks) {
                    return Some((read, false));
                }
            }
        }
        let groups = self.spilled.get(&cell)?;
        groups
            .iter()
            .filter(|group| writes || group.wrote)
            .flat_map(|group| group.entries().map(|entry| (entry, group.wrote)))
            .find(|(entry, _)| self.races(*entry, now, clocks))
    }

    /// Whether `earlier` is an access of this launch, unordered with `now`, and not both are strong for each other.
    fn races(&self, earlier: Entry, now: Now, clocks: &Clocks) -> bool {
        if earlier.clock < self.from || clocks.ordered(earlier, now.warp, now.lane) {
            return false;
        }
        let weaker = earlier.strength().min(now.entry.strength());
        let same_cta = earlier.clock >= now.bounds.cta_start;
        !(weaker == Strength::Gpu || weaker == Strength::Cta && same_cta)
    }

    fn remember_strong_write(&mut self, now: Now, cell: u64, clocks: &Clocks) {
        let at = cell as usize;
        let Some(block) = self.table.block(cell) else {
            return;
        };
        let earlier = block.write.get(at);
        block.write.set(at, now.entry);
        if !now.dominates(earlier, self.from, clocks) {
            self.spill(cell, earlier, now, true, clocks);
        }
    }

    /// See the head of [`super`] for which readers are kept.
    fn remember_read(&mut self, now: Now, cell: u64, clocks: &Clocks) {
        let at = cell as usize;
        let Some(block) = self.table.block(cell) else {
            return;
        };
        let [first, second] = [block.read[0].get(at), block.read[1].get(at)];
        let slot = if now.dominates(first, self.from, clocks) {
            Some(0)
        } else if now.dominates(second, self.from, clocks) {
            Some(1)
        } else if now.general {
            return self.spill(cell, now.entry, now, false, clocks);
        } else {
            let foreign = first.clock < now.bounds.cta_start;
            let other_warp = |entry: Entry| entry.thread() / 32 != now.warp;
            (foreign || other_warp(first) || !other_warp(second)).then_some(1)
        };
        if let (Some(slot), Some(block)) = (slot, self.table.block(cell)) {
            block.read[slot].set(at, now.entry);
        }
    }

    /// Remembers that the lanes of `lanes` have read one place, beyond what is in the cells.
    pub(super) fn spill_readers(&mut self, request: &Request<'_>, lanes: u32, clocks: &Clocks) {
        if lanes == 0 {
            return;
        }
        let now = self.now(request, lanes.trailing_zeros(), clocks);
        for cell in self.cells_of(&request.lanes, now.lane) {
            self.spill_lanes(cell, now.entry, lanes, now, false, clocks);
        }
    }

    /// Puts `entry`, which is `now` or what `now` has replaced, in the side table.
    fn spill(&mut self, cell: u64, entry: Entry, now: Now, writes: bool, clocks: &Clocks) {
        let lanes = 1 << (entry.thread() % 32);
        self.spill_lanes(cell, entry, lanes, now, writes, clocks);
    }

    fn spill_lanes(
        &mut self,
        cell: u64,
        entry: Entry,
        lanes: u32,
        now: Now,
        writes: bool,
        clocks: &Clocks,
    ) {
        let from = self.from;
        if let Some(block) = self.table.block(cell) {
            let latest = &mut block.spilled[usize::from(writes)];
            *latest = now.entry.clock.max(*latest);
        }
        let groups = self.spilled.entry(cell).or_default();
        spill::add(groups, entry, lanes, writes, |member, wrote| {
            (writes || !wrote) && now.dominates(member, from, clocks)
        });
    }
}

impl Now {
    /// Whether this access can stand for `earlier`: ordered after it, and in conflict with all that `earlier` conflicts
    /// with.
    fn dominates(self, earlier: Entry, from: u32, clocks: &Clocks) -> bool {
        if earlier.clock < from {
            return true;
        }
        let strength = self.entry.strength();
        let same_cta = earlier.clock >= self.bounds.cta_start;
        let covers = strength == Strength::Weak
            || strength <= earlier.strength() && (same_cta || strength == Strength::Gpu);
        covers && clocks.ordered(earlier, self.warp, self.lane)
    }
}

/// Whether `earlier` was made by a lower lane of this very store. Lanes' bytes are aligned to their size, so those of two
/// lanes are the same or apart.
fn same_place(request: &Request<'_>, earlier: Entry, now: Now) -> bool {
    let lane = earlier.thread() % 32;
    earlier.clock == now.entry.clock
        && earlier.thread() / 32 == now.warp
        && lane < now.lane
        && (request.lanes.mask >> lane) & 1 == 1
        && request.lanes.address(lane) == request.lanes.address(now.lane)
}
