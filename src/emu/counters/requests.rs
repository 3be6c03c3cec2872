//! What one memory request costs: sectors of global memory, passes over the banks of shared memory.

use std::collections::BTreeSet;

use crate::emu::check::{Lanes, Pattern};
use crate::emu::rows::LANES;

/// Spaces that are counted.
pub(super) const SPACES: usize = 4;
/// Bytes of a sector, the unit in which caches and memory are read.
pub(super) const SECTOR: u64 = 32;
/// Banks of shared memory.
const BANKS: usize = 32;
/// Bytes of a bank's word.
const WORD: u64 = 4;

/// Which memory a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// Global memory.
    Global,
    /// Shared memory.
    Shared,
    /// Local memory.
    Local,
    /// Constant memory.
    Const,
}

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To registers.
    Read,
    /// From registers.
    Write,
}

/// Sectors that a request touches, and how many its distinct bytes would fill.
pub(super) fn sectors(lanes: &Lanes<'_>) -> (u64, u64) {
    match lanes.at {
        Pattern::Run(first) => {
            let end = first + lanes.run_bytes();
            let touched = end.div_ceil(SECTOR) - first / SECTOR;
            (touched, lanes.run_bytes().div_ceil(SECTOR))
        }
        Pattern::Same(_) => (1, 1),
        Pattern::Each(addresses) => {
            let (addresses, count) = distinct(lanes, addresses);
            let addresses = &addresses[..count];
            // Aligned accesses of up to 32 bytes lie in one sector each.
            let mut touched = 0;
            let mut last = None;
            for address in addresses {
                let sector = address / SECTOR;
                touched += u64::from(last != Some(sector));
                last = Some(sector);
            }
            let bytes = count as u64 * u64::from(lanes.bytes);
            (touched, bytes.div_ceil(SECTOR))
        }
    }
}

/// The same for local memory, by addresses within each lane's own: word by word, the 32 lanes' lie side by side.
pub(super) fn interleaved(lanes: &Lanes<'_>) -> (u64, u64) {
    /// Lanes whose words share a sector.
    const SIDE_BY_SIDE: u64 = SECTOR / WORD;
    let sectors = lanes.active().flat_map(|lane| {
        let (first, bytes) = (lanes.address(lane), u64::from(lanes.bytes.max(1)));
        let words = first / WORD..=(first + bytes - 1) / WORD;
        words.map(move |word| word * (LANES as u64 / SIDE_BY_SIDE) + u64::from(lane) / SIDE_BY_SIDE)
    });
    let touched: BTreeSet<u64> = sectors.collect();
    (touched.len() as u64, lanes.run_bytes().div_ceil(SECTOR))
}

/// Passes over the banks that a request needs, and how many it would need without conflicts.
///
/// As on hardware, accesses of up to 4 bytes are served for the whole warp at once, of 8 bytes by half warps, of 16 bytes by
/// quarters. A pass serves one word of each bank, to any number of lanes.
pub(super) fn banks(lanes: &Lanes<'_>) -> (u64, u64) {
    let words = u64::from(lanes.bytes).div_ceil(WORD).max(1);
    let lanes_a_phase = (LANES as u64 / words).max(1) as u32;
    let (mut passes, mut ideal) = (0, 0);
    for phase in (0..LANES as u32).step_by(lanes_a_phase as usize) {
        let in_phase = (u32::MAX >> (32 - lanes_a_phase)) << phase;
        if lanes.mask & in_phase != 0 {
            passes += passes_of(lanes, lanes.mask & in_phase, words);
            ideal += 1;
        }
    }
    (passes, ideal)
}

/// Passes for the lanes of `mask`: the most distinct words that one bank must serve.
fn passes_of(lanes: &Lanes<'_>, mask: u32, words: u64) -> u64 {
    // Accesses are aligned to their size: the words of two lanes are the same or have none in common.
    let mut asked = [0; LANES];
    let mut count = 0;
    for lane in (Lanes { mask, ..*lanes }).active() {
        let first = lanes.address(lane) / WORD;
        if !asked[..count].contains(&first) {
            asked[count] = first;
            count += 1;
        }
    }
    let mut of_bank = [0; BANKS];
    for first in &asked[..count] {
        for word in *first..first + words {
            of_bank[(word % BANKS as u64) as usize] += 1;
        }
    }
    of_bank.into_iter().max().unwrap_or(0)
}

/// The distinct addresses of the active lanes, ascending, and how many there are.
fn distinct(lanes: &Lanes<'_>, addresses: &[u64; LANES]) -> ([u64; LANES], usize) {
    let mut sorted = [0; LANES];
    let mut count = 0;
    for lane in lanes.active() {
        sorted[count] = addresses[lane as usize];
        count += 1;
    }
    sorted[..count].sort_unstable();
    let mut kept = 0;
    for at in 0..count {
        if kept == 0 || sorted[kept - 1] != sorted[at] {
            sorted[kept] = sorted[at];
            kept += 1;
        }
    }
    (sorted, kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Active lanes, bytes of each, addresses; what it costs and would at best.
    type Case = (u32, u32, [u64; LANES], (u64, u64));

    fn by(lane: impl Fn(u64) -> u64) -> [u64; LANES] {
        std::array::from_fn(|l| lane(l as u64))
    }

    #[test]
    fn sectors_of_runs_broadcasts_and_strides() {
        let cases: Vec<Case> = vec![
            (u32::MAX, 4, by(|l| 256 + 4 * l), (4, 4)),
            (u32::MAX, 4, by(|l| 260 + 4 * l), (5, 4)),
            (u32::MAX, 16, by(|l| 512 + 16 * l), (16, 16)),
            (u32::MAX, 2, by(|l| 64 + 2 * l), (2, 2)),
            (u32::MAX, 4, by(|_| 128), (1, 1)),
            (u32::MAX, 4, by(|l| 128 * l), (32, 4)),
            (0x0000_ffff, 4, by(|l| 8 * (15 - l % 16)), (4, 2)),
        ];
        for (mask, bytes, addresses, expected) in cases {
            let lanes = Lanes::of(mask, bytes, &addresses);
            assert_eq!(sectors(&lanes), expected, "{mask:#x} {bytes} {addresses:?}");
        }
    }

    #[test]
    fn sectors_of_local_memory_are_shared_by_eight_lanes() {
        let cases: Vec<Case> = vec![
            // A variable of the whole warp lies side by side.
            (u32::MAX, 4, by(|_| 16), (4, 4)),
            (u32::MAX, 8, by(|_| 16), (8, 8)),
            (u32::MAX, 16, by(|_| 0), (16, 16)),
            (0x0000_00ff, 4, by(|_| 4), (1, 1)),
            // One lane of each eight still takes a sector each.
            (0x0101_0101, 4, by(|_| 4), (4, 1)),
            // A byte of each lane's word.
            (u32::MAX, 1, by(|_| 5), (4, 1)),
            // Every lane at another word.
            (u32::MAX, 4, by(|l| 4 * l), (32, 4)),
        ];
        for (mask, bytes, addresses, expected) in cases {
            let lanes = Lanes::of(mask, bytes, &addresses);
            assert_eq!(
                interleaved(&lanes),
                expected,
                "{mask:#x} {bytes} {addresses:?}"
            );
        }
    }

    #[test]
    fn passes_over_the_banks() {
        let cases: Vec<Case> = vec![
            (u32::MAX, 4, by(|l| 4 * l), (1, 1)),
            (u32::MAX, 4, by(|_| 8), (1, 1)),
            // Two rows of 64 bytes, broadcast to two lanes each.
            (u32::MAX, 2, by(|l| 2 * l), (1, 1)),
            (u32::MAX, 4, by(|l| 8 * l), (2, 1)),
            (u32::MAX, 4, by(|l| 128 * l), (32, 1)),
            (u32::MAX, 4, by(|l| 132 * l), (1, 1)),
            (u32::MAX, 8, by(|l| 8 * l), (2, 2)),
            (u32::MAX, 16, by(|l| 16 * l), (4, 4)),
            // Rows of 128 bytes: eight lanes of a phase on the same four banks.
            (u32::MAX, 16, by(|l| 128 * l), (32, 4)),
        ];
        for (mask, bytes, addresses, expected) in cases {
            let lanes = Lanes::of(mask, bytes, &addresses);
            assert_eq!(banks(&lanes), expected, "{mask:#x} {bytes} {addresses:?}");
        }
    }

    #[test]
    fn phases_without_lanes_cost_nothing() {
        let addresses = by(|l| 16 * l);
        let lanes = Lanes::of(0x00ff_0000, 16, &addresses);
        assert_eq!(banks(&lanes), (1, 1));
    }
}
