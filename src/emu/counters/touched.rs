//! Which sectors of global memory a launch reads and writes at all, however often it does: what has to come from memory and
//! go back to it where every cache is large enough.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Direction;
use super::requests::SECTOR;
use crate::emu::check::{Lanes, Pattern};

/// Sectors of a word of the map.
const SECTORS: u64 = u64::BITS as u64;

/// A stretch of memory, and a bit for each of its sectors and directions.
#[derive(Debug)]
struct Area {
    /// Its sectors.
    sectors: Range<u64>,
    /// Those that were read, and those that were written.
    touched: [Box<[AtomicU64]>; 2],
}

/// The sectors that a launch touched. Threads of the host share it: which of them comes first changes nothing.
#[derive(Debug)]
pub struct Touched {
    /// In order of their sectors, none of which is in two.
    areas: Vec<Area>,
}

impl Touched {
    /// Of these ranges of addresses; `None` where the host has no room for the bits.
    pub fn new(ranges: impl Iterator<Item = Range<u64>>) -> Option<Touched> {
        let sectors = ranges.map(|range| range.start / SECTOR..range.end.div_ceil(SECTOR));
        let mut sectors: Vec<Range<u64>> = sectors.collect();
        sectors.sort_by_key(|range| range.start);
        sectors.dedup_by(|next, kept| {
            let joined = next.start <= kept.end;
            if joined {
                kept.end = kept.end.max(next.end);
            }
            joined
        });
        let area = |sectors: Range<u64>| {
            let words = (sectors.end - sectors.start).div_ceil(SECTORS) as usize;
            let bits = || bytemuck::allocation::try_zeroed_slice_box(words).ok();
            Some(Area {
                touched: [bits()?, bits()?],
                sectors,
            })
        };
        let areas = sectors.into_iter().map(area).collect::<Option<_>>()?;
        Some(Touched { areas })
    }

    /// Marks what a request touches; all of it lies in one of the ranges.
    #[inline]
    pub fn mark(&self, direction: Direction, lanes: &Lanes<'_>) {
        let first = lanes.address(lanes.first_lane());
        let at = (self.areas).partition_point(|area| area.sectors.end <= first / SECTOR);
        let Some(area) = self.areas.get(at) else {
            return;
        };
        match lanes.at {
            Pattern::Run(first) => area.mark(direction, first, lanes.run_bytes()),
            Pattern::Same(address) => area.mark(direction, address, u64::from(lanes.bytes)),
            Pattern::Each(addresses) => {
                for lane in lanes.active() {
                    area.mark(direction, addresses[lane as usize], u64::from(lanes.bytes));
                }
            }
        }
    }

    /// Sectors that were touched.
    pub fn sectors(&self, direction: Direction) -> u64 {
        let words = (self.areas.iter()).flat_map(|area| &area.touched[direction as usize]);
        words
            .map(|word| u64::from(word.load(Ordering::Relaxed).count_ones()))
            .sum()
    }
}

impl Area {
    fn mark(&self, direction: Direction, address: u64, bytes: u64) {
        for sector in address / SECTOR..(address + bytes).div_ceil(SECTOR) {
            let index = sector.wrapping_sub(self.sectors.start);
            let word = self.touched[direction as usize].get((index / SECTORS) as usize);
            let bit = 1 << (index % SECTORS);
            // Most sectors are touched again and again, and a plain load costs the host's cores less than an exchange.
            if let Some(word) = word.filter(|word| word.load(Ordering::Relaxed) & bit == 0) {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn marked(touched: &Touched, direction: Direction, mask: u32, bytes: u32, at: [u64; 32]) {
        touched.mark(direction, &Lanes::of(mask, bytes, &at));
    }

    #[test]
    fn a_sector_counts_once_in_each_direction() {
        // The second range overlaps the first; the third ends within a sector.
        let ranges = [4096..4096 + 512, 4200..8192, 20_000..20_100];
        let touched = Touched::new(ranges.into_iter()).unwrap();
        assert_eq!(touched.areas.len(), 2);
        let run: [u64; 32] = std::array::from_fn(|lane| 4096 + 16 * lane as u64);
        for _ in 0..3 {
            marked(&touched, Direction::Read, u32::MAX, 16, run);
        }
        assert_eq!(touched.sectors(Direction::Read), 16);
        assert_eq!(touched.sectors(Direction::Write), 0);
        // One sector that is known, by all lanes at once, and 32 by a stride, of which the first is known.
        marked(&touched, Direction::Read, u32::MAX, 4, [4600; 32]);
        let stride: [u64; 32] = std::array::from_fn(|lane| 4592 + 96 * lane as u64);
        marked(&touched, Direction::Read, u32::MAX, 4, stride);
        assert_eq!(touched.sectors(Direction::Read), 16 + 31);
        // A run across the border of two sectors, by five lanes, in the other range.
        let run: [u64; 32] = std::array::from_fn(|lane| 20_020 + 4 * lane as u64);
        marked(&touched, Direction::Write, 0x1f, 4, run);
        assert_eq!(touched.sectors(Direction::Write), 2);
        assert_eq!(touched.sectors(Direction::Read), 16 + 31);
    }
}
