//! Lifetimes to byte offsets: each tensor gets the lowest range that no live tensor holds.

use std::ops::Range;

/// Offsets are multiples of this, a cache line and an AVX-512 register.
pub const ALIGNMENT: usize = 64;

/// A buffer to place: its size and the steps at which it holds a value, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Step that writes it (0 also for graph inputs).
    pub first: usize,
    /// Last step that reads it.
    pub last: usize,
    /// Bytes at the largest number of rows.
    pub bytes: usize,
}

impl Lifetime {
    /// Whether both hold a value at some step.
    pub fn overlaps(&self, other: &Lifetime) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// First-fit placement in order of size, largest first, which keeps the total near the widest step's own need.
/// Returns one offset a buffer and the total.
pub fn place(lifetimes: &[Lifetime]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..lifetimes.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(lifetimes[index].bytes), index));
    let mut placed: Vec<(usize, Range<usize>)> = Vec::new();
    let mut offsets = vec![0; lifetimes.len()];
    let mut total = 0;
    for index in order {
        let lifetime = lifetimes[index];
        let bytes = lifetime.bytes.next_multiple_of(ALIGNMENT);
        let mut taken: Vec<Range<usize>> = placed
            .iter()
            .filter(|(other, _)| lifetimes[*other].overlaps(&lifetime))
            .map(|(_, range)| range.clone())
            .collect();
        taken.sort_by_key(|range| range.start);
        let mut offset = 0;
        for range in taken {
            if offset + bytes <= range.start {
                break;
            }
            offset = offset.max(range.end);
        }
        placed.push((index, offset..offset + bytes));
        offsets[index] = offset;
        total = total.max(offset + bytes);
    }
    (offsets, total)
}
