//! `cp.async`: bytes on their way into shared memory. From issue until the issuing thread has waited for their group nobody
//! may read or write them, and nobody may write the bytes that they are read from.
//!
//! The executor checks the copy as a store of its thread at issue (what others still read there must be ordered before) and
//! again, through [`Landed`], when it has been waited for: from then on it is a store of that moment, which other threads
//! need a barrier for.

use std::collections::VecDeque;

use super::lanes::{Active, Lanes};

/// A copy on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingCopy {
    /// The thread in its CTA that issued it.
    pub thread: u32,
    /// The index of its instruction.
    pub instruction: u32,
    /// The first byte asked about that it fills, or reads.
    pub address: u64,
}

/// A copy that has been waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// The lane that issued it and waited.
    pub lane: u32,
    /// Where it went.
    pub address: u64,
    /// Its size: 4, 8 or 16.
    pub bytes: u32,
    /// The index of its instruction.
    pub instruction: u32,
}

/// The copies of one thread, in order of issue.
#[derive(Debug, Clone, Default)]
struct Thread {
    /// Groups committed.
    committed: u32,
    copies: VecDeque<Copy>,
}

#[derive(Debug, Clone, Copy)]
struct Copy {
    /// Commits before it: it belongs to the group of the next.
    group: u32,
    address: u64,
    bytes: u32,
    instruction: u32,
    /// The first byte that it reads and one past the last, where the launch may write there.
    source: Option<(u64, u64)>,
}

/// Grains of shared memory that copies fill: they are aligned to 4 bytes.
const GRAIN: u64 = 4;

/// The copies on their way into the shared memory of one CTA.
#[derive(Debug, Default)]
pub struct Pending {
    base: u64,
    /// For each 4 bytes how many copies are on their way, and one of them: instruction and thread. Filled at first use.
    cells: Vec<(u16, u16, u32)>,
    grains: usize,
    threads: Vec<Thread>,
    on_the_way: usize,
    /// Those whose source the launch may write.
    sources: usize,
}

impl Pending {
    /// Nothing on its way; [`Pending::begin`] gives it a range.
    pub fn new() -> Pending {
        Pending::default()
    }

    /// The next CTA: `bytes` bytes of shared memory from address `base`.
    pub fn begin(&mut self, base: u64, bytes: u64) {
        self.base = base;
        self.grains = usize::try_from(bytes.div_ceil(GRAIN)).unwrap_or(0);
        if self.on_the_way > 0 || self.cells.len() != self.grains {
            self.cells.clear();
        }
        self.threads.clear();
        (self.on_the_way, self.sources) = (0, 0);
    }

    /// `cp.async` of the lanes of a warp, to these places. Check them with [`Pending::hit`] first.
    pub fn issue(&mut self, warp: u32, to: &Lanes<'_>, instruction: u32) {
        self.cells.resize(self.grains, (0, 0, 0));
        for lane in to.active() {
            let (address, bytes) = (to.address(lane), to.bytes);
            let index = (warp * 32 + lane) as usize;
            for grain in grains(self.base, address, bytes) {
                if let Some(cell) = self.cells.get_mut(grain) {
                    *cell = (cell.0.saturating_add(1), index as u16, instruction);
                }
            }
            let thread = self.thread(index);
            thread.copies.push_back(Copy {
                group: thread.committed,
                address,
                bytes,
                instruction,
                source: None,
            });
            self.on_the_way += 1;
        }
    }

    /// The copies just issued by these lanes read these places, which the launch may write.
    pub fn reads(&mut self, warp: u32, from: &Lanes<'_>) {
        for lane in from.active() {
            let start = from.address(lane);
            if let Some(copy) = self.thread((warp * 32 + lane) as usize).copies.back_mut() {
                copy.source = Some((start, start + u64::from(from.bytes)));
                self.sources += 1;
            }
        }
    }

    /// Whether a warp instruction writes bytes that a copy on its way reads.
    #[inline]
    pub fn overwritten(&self, lanes: &Lanes<'_>) -> Option<(u32, PendingCopy)> {
        match self.sources {
            0 => None,
            _ => self.find_source(lanes),
        }
    }

    #[cold]
    fn find_source(&self, lanes: &Lanes<'_>) -> Option<(u32, PendingCopy)> {
        let threads = self.threads.iter().enumerate();
        let mut copies = threads.flat_map(|(thread, t)| t.copies.iter().map(move |c| (thread, c)));
        copies.find_map(|(thread, copy)| {
            let (start, end) = copy.source?;
            let overlaps = |lane: &u32| {
                let address = lanes.address(*lane);
                address < end && start < address.saturating_add(u64::from(lanes.bytes))
            };
            let lane = lanes.active().find(overlaps)?;
            let copy = PendingCopy {
                thread: thread as u32,
                instruction: copy.instruction,
                address: start.max(lanes.address(lane)),
            };
            Some((lane, copy))
        })
    }

    /// `cp.async.commit_group` of the lanes of `mask`.
    pub fn commit(&mut self, warp: u32, mask: u32) {
        for lane in Active::of(mask) {
            self.thread((warp * 32 + lane) as usize).committed += 1;
        }
    }

    /// `cp.async.wait_group keep` of the lanes of `mask`: all but the last `keep` groups have landed. Appends them.
    pub fn wait_group(&mut self, warp: u32, mask: u32, keep: u32, landed: &mut Vec<Landed>) {
        for lane in Active::of(mask) {
            let thread = self.thread((warp * 32 + lane) as usize);
            let until = thread.committed.saturating_sub(keep);
            self.land(warp, lane, until, landed);
        }
    }

    /// `cp.async.wait_all` of the lanes of `mask`, committed or not.
    pub fn wait_all(&mut self, warp: u32, mask: u32, landed: &mut Vec<Landed>) {
        for lane in Active::of(mask) {
            self.land(warp, lane, u32::MAX, landed);
        }
    }

    /// Whether a warp instruction touches bytes of a copy on its way.
    #[inline]
    pub fn hit(&self, lanes: &Lanes<'_>) -> Option<(u32, PendingCopy)> {
        if self.on_the_way == 0 {
            return None;
        }
        lanes.active().find_map(|lane| {
            let address = lanes.address(lane);
            grains(self.base, address, lanes.bytes).find_map(|grain| {
                let (count, thread, instruction) = *self.cells.get(grain)?;
                let start = self.base + grain as u64 * GRAIN;
                let copy = PendingCopy {
                    thread: u32::from(thread),
                    instruction,
                    address: start.max(address),
                };
                (count > 0).then_some((lane, copy))
            })
        })
    }

    /// The copies of a lane whose group number lies below `until` have landed.
    fn land(&mut self, warp: u32, lane: u32, until: u32, landed: &mut Vec<Landed>) {
        let base = self.base;
        let Some(thread) = self.threads.get_mut((warp * 32 + lane) as usize) else {
            return;
        };
        while let Some(copy) = thread.copies.pop_front_if(|copy| copy.group < until) {
            for grain in grains(base, copy.address, copy.bytes) {
                if let Some(cell) = self.cells.get_mut(grain) {
                    cell.0 = cell.0.saturating_sub(1);
                }
            }
            self.on_the_way -= 1;
            self.sources -= usize::from(copy.source.is_some());
            landed.push(Landed {
                lane,
                address: copy.address,
                bytes: copy.bytes,
                instruction: copy.instruction,
            });
        }
    }

    fn thread(&mut self, index: usize) -> &mut Thread {
        if index >= self.threads.len() {
            self.threads.resize(index + 1, Thread::default());
        }
        &mut self.threads[index]
    }
}

/// The grains of `bytes` bytes from `address`.
fn grains(base: u64, address: u64, bytes: u32) -> std::ops::RangeInclusive<usize> {
    let start = address.wrapping_sub(base);
    let last = start.wrapping_add(u64::from(bytes.max(1) - 1));
    (start / GRAIN) as usize..=(last / GRAIN) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 1 << 56;

    fn at(offset: u64, step: u64) -> [u64; 32] {
        std::array::from_fn(|lane| BASE + offset + lane as u64 * step)
    }

    fn begun() -> Pending {
        let mut pending = Pending::new();
        pending.begin(BASE, 4096);
        pending
    }

    #[test]
    fn a_copy_is_pending_until_its_own_thread_waited() {
        let mut pending = begun();
        let to = at(0, 16);
        pending.issue(1, &Lanes::of(u32::MAX, 16, &to), 7);
        pending.commit(1, u32::MAX);
        let read = at(0, 4);
        let hit = pending.hit(&Lanes::of(u32::MAX, 4, &read));
        let copy = PendingCopy {
            thread: 32,
            instruction: 7,
            address: BASE,
        };
        assert_eq!(hit, Some((0, copy)));
        let mut landed = Vec::new();
        // Lane 0 does not wait; another warp's wait changes nothing.
        pending.wait_group(1, !1, 0, &mut landed);
        pending.wait_group(0, u32::MAX, 0, &mut landed);
        assert_eq!(landed.len(), 31);
        assert_eq!(landed[0].address, BASE + 16);
        assert!(pending.hit(&Lanes::of(u32::MAX, 4, &read)).is_some());
        let behind = at(16, 4);
        assert_eq!(pending.hit(&Lanes::of(u32::MAX, 4, &behind)), None);
        pending.wait_group(1, 1, 0, &mut landed);
        assert_eq!(pending.hit(&Lanes::of(u32::MAX, 4, &read)), None);
    }

    #[test]
    fn groups_land_in_order_and_the_last_are_kept() {
        let mut pending = begun();
        let mut landed = Vec::new();
        for group in 0..4 {
            let to = [BASE + 64 * group; 32];
            pending.issue(0, &Lanes::of(1, 8, &to), group as u32);
            pending.commit(0, 1);
        }
        pending.wait_group(0, 1, 2, &mut landed);
        let instructions: Vec<u32> = landed.iter().map(|l| l.instruction).collect();
        assert_eq!(instructions, [0, 1]);
        let third = [BASE + 128; 32];
        assert!(pending.hit(&Lanes::of(1, 4, &third)).is_some());
        pending.wait_group(0, 1, 1, &mut landed);
        assert!(pending.hit(&Lanes::of(1, 4, &third)).is_none());
        assert_eq!(landed.len(), 3);
    }

    #[test]
    fn what_was_not_committed_lands_at_wait_all_alone() {
        let mut pending = begun();
        let mut landed = Vec::new();
        let to = [BASE + 8; 32];
        pending.issue(0, &Lanes::of(1, 4, &to), 3);
        pending.wait_group(0, 1, 0, &mut landed);
        assert!(landed.is_empty(), "no commit came before");
        assert!(pending.hit(&Lanes::of(1, 1, &[BASE + 11; 32])).is_some());
        pending.wait_all(0, 1, &mut landed);
        assert_eq!(landed.len(), 1);
        assert!(pending.hit(&Lanes::of(1, 1, &[BASE + 11; 32])).is_none());
    }

    #[test]
    fn two_copies_of_one_place_are_both_waited_for() {
        let mut pending = begun();
        let mut landed = Vec::new();
        let to = [BASE; 32];
        for group in 0..2 {
            pending.issue(0, &Lanes::of(1, 16, &to), group);
            pending.commit(0, 1);
        }
        pending.wait_group(0, 1, 1, &mut landed);
        assert!(pending.hit(&Lanes::of(1, 4, &to)).is_some());
        pending.wait_group(0, 1, 0, &mut landed);
        assert!(pending.hit(&Lanes::of(1, 4, &to)).is_none());
    }

    #[test]
    fn a_source_is_read_until_its_copy_has_landed() {
        let mut pending = begun();
        let (to, from) = (at(0, 4), at(1 << 20, 8));
        pending.issue(1, &Lanes::of(u32::MAX, 4, &to), 5);
        // The launch writes the sources of the first 16 lanes alone.
        pending.reads(1, &Lanes::of(0xffff, 4, &from));
        pending.commit(1, u32::MAX);
        let store = |offset: u64| [BASE + (1 << 20) + offset; 32];
        let hit = pending.overwritten(&Lanes::of(1 << 9, 2, &store(8 * 3 + 2)));
        let copy = PendingCopy {
            thread: 32 + 3,
            instruction: 5,
            address: BASE + (1 << 20) + 8 * 3 + 2,
        };
        assert_eq!(hit, Some((9, copy)));
        for between in [8 * 3 + 4, 8 * 16] {
            let store = store(between);
            assert_eq!(pending.overwritten(&Lanes::of(1, 4, &store)), None);
        }
        pending.wait_group(1, 1 << 3, 0, &mut Vec::new());
        let store = store(8 * 3);
        assert_eq!(pending.overwritten(&Lanes::of(1, 4, &store)), None);
        pending.wait_group(1, !(1 << 3), 0, &mut Vec::new());
        assert_eq!((pending.sources, pending.on_the_way), (0, 0));
    }

    #[test]
    fn a_new_cta_starts_clean() {
        let mut pending = begun();
        let to = [BASE; 32];
        pending.issue(0, &Lanes::of(1, 16, &to), 1);
        assert!(pending.hit(&Lanes::of(1, 4, &to)).is_some());
        pending.begin(BASE, 4096);
        assert!(pending.hit(&Lanes::of(1, 4, &to)).is_none());
        pending.issue(0, &Lanes::of(1, 4, &[BASE + 64; 32]), 1);
        assert!(pending.hit(&Lanes::of(1, 4, &to)).is_none());
        assert!(pending.hit(&Lanes::of(1, 4, &[BASE + 64; 32])).is_some());
    }
}
