//! The race shadow of a byte range: for each grain of it the last write and two readers, checked against the clocks.
//!
//! Exactness. A write is ordered after every access before it, or it is reported; so whatever is ordered after the last
//! write is ordered after all of them, and one write a cell is enough. Reads (and atomics among themselves) need no order,
//! so a set of them must be kept. Where CTAs are never ordered, warps only by barriers of the whole CTA and lanes only by
//! syncs of the whole warp, any write that is unordered after one of the set is unordered after one of two members that
//! differ as much as the set allows (in CTA, else in warp, else in lane): two are kept. Under finer synchronisation
//! ([`super::Finer`]; what is only between CTAs counts for global memory alone) the members that do not fit go to a side
//! table.
//!
//! Order is that of the run that was made. CTAs run one after the other, warps in slices, and whoever reads a word with
//! acquire knows what was published to it by then, whatever value it finds. A kernel whose order is luck (it acquires a flag
//! and never looks at it) may be ordered in this run, and then it is not reported; `Emulator::descending` runs CTAs and warps
//! the other way round, which finds most of these. Of what the run left without order a race is missed only
//! * where more than 64 groups of lanes are unordered among themselves on one cell,
//! * in shared memory, where threads of one CTA are ordered by nothing but atomics on global memory and a third reader is
//!   left out of that order,
//! * before the first finer synchronisation of a CTA, if the caller did not announce it.
//!
//! No order that exists is ever overlooked, so nothing is reported that is no race.
//!
//! Lanes of one store that write one place with the same value are accepted: PTX leaves open which of them wins, and it
//! makes no difference. Different instructions or warps storing the same value unordered are reported.
//!
//! Cells hold stamps, and in shared memory stamps below the current CTA's first count as empty, so nothing is cleared between
//! CTAs.

mod block;
mod fast;
mod merge;
mod rule;
mod slow;
mod spill;

use super::access::{Access, Conflict, Kind, Request, Strength};
use super::clocks::Clocks;
use super::lanes::{Lanes, Pattern};
use block::Table;
pub use merge::first_conflict;
use spill::Spilled;

/// One remembered access: its stamp and, packed, its thread, strength and instruction. Stamp 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub clock: u32,
    pub who: u32,
}

const THREAD_BITS: u32 = 10;
const STRENGTH_BITS: u32 = 2;
/// Bytes of the widest access of a lane.
const WIDEST: u64 = 32;
const LAST_INSTRUCTION: u32 = (1 << (32 - THREAD_BITS - STRENGTH_BITS)) - 1;

impl Entry {
    /// The thread in its CTA.
    #[inline]
    pub fn thread(self) -> u32 {
        self.who & ((1 << THREAD_BITS) - 1)
    }

    fn strength(self) -> Strength {
        match (self.who >> THREAD_BITS) & 3 {
            0 => Strength::Weak,
            1 => Strength::Cta,
            _ => Strength::Gpu,
        }
    }

    fn instruction(self) -> u32 {
        self.who >> (THREAD_BITS + STRENGTH_BITS)
    }

    fn access(self, wrote: bool, clocks: &Clocks) -> Access {
        Access {
            cta: clocks.cta_of(self.clock),
            thread: self.thread(),
            instruction: self.instruction(),
            wrote,
        }
    }
}

impl Request<'_> {
    /// What a cell remembers of `lane`'s access, beside the stamp.
    #[inline(always)]
    fn who(&self, lane: u32) -> u32 {
        let strength = self.strength as u32;
        let instruction = self.instruction.min(LAST_INSTRUCTION);
        let thread = (self.warp * 32 + lane) & 1023;
        (((instruction << STRENGTH_BITS) | strength) << THREAD_BITS) | thread
    }
}

/// The race shadow of one byte range, as one shard sees it.
#[derive(Debug)]
pub struct Cells {
    base: u64,
    /// log2 of the grain.
    shift: u32,
    /// Stamps below it are empty.
    from: u32,
    /// The largest stamp that a cell may hold.
    latest: u32,
    table: Table,
    spilled: Spilled,
}

impl Cells {
    /// A shadow of `bytes` bytes from address `base`, in grains of `grain` bytes: 1, 2 or 4, no larger than the smallest
    /// access. Nothing has been accessed.
    pub fn new(base: u64, bytes: u64, grain: u8) -> Cells {
        let shift = u32::from(grain.max(1)).trailing_zeros();
        // Lanes' bytes, aligned as they are, then lie in one block each.
        let bytes = bytes + base % WIDEST;
        Cells {
            base: base - base % WIDEST,
            shift,
            from: 1,
            latest: 0,
            table: Table::new((bytes >> shift) + 1),
            spilled: Spilled::default(),
        }
    }

    /// Starts over for shared memory of the next CTA, whose stamps begin at `from` ([`Clocks::cta_start`]); it costs
    /// nothing.
    pub fn restart(&mut self, from: u32) {
        // The clocks have come to their end.
        if from <= self.latest {
            self.table.forget();
            self.latest = 0;
        }
        self.from = from;
        if !self.spilled.is_empty() {
            self.spilled.clear();
        }
    }

    /// Checks one instruction's accesses against those before, and remembers them. Its bytes lie in the range, and each
    /// lane's are aligned to their size.
    #[inline]
    pub fn access(&mut self, request: &Request<'_>, clocks: &Clocks) -> Option<Conflict> {
        self.latest = self.latest.max(clocks.bounds(request.warp).now);
        if request.strength != Strength::Weak || request.kind == Kind::Atomic {
            return self.load(request, clocks);
        }
        let settled = match request.lanes.at {
            // Part of a grain: a copy that reads fewer bytes than the kernel's other accesses.
            _ if request.lanes.bytes >> self.shift == 0 => false,
            Pattern::Run(first) => self.run(request, first, clocks),
            Pattern::Same(_) if request.kind == Kind::Read => self.same(request, clocks),
            _ => false,
        };
        if settled {
            return None;
        }
        self.scattered(request, clocks)
    }

    /// The cells of `lane`.
    fn cells_of(&self, lanes: &Lanes<'_>, lane: u32) -> std::ops::RangeInclusive<u64> {
        let first = lanes.address(lane).wrapping_sub(self.base);
        let last = first.wrapping_add(u64::from(lanes.bytes.max(1) - 1));
        (first >> self.shift)..=(last >> self.shift)
    }

    fn address_of(&self, cell: u64) -> u64 {
        self.base.wrapping_add(cell << self.shift)
    }
}
