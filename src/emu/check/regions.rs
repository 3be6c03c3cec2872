//! Which ranges of global memory need a race shadow: those that a launch may write to, together with every range that
//! overlaps them, so that a load through one argument meets a store through another.

/// A range with a race shadow of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where it starts.
    pub start: u64,
    /// One past its end.
    pub end: u64,
}

/// The regions of ranges given as start, end and whether they may be written to, in ascending order.
pub fn regions(ranges: impl IntoIterator<Item = (u64, u64, bool)>) -> Vec<Region> {
    let mut ranges: Vec<_> = ranges.into_iter().filter(|(s, e, _)| s < e).collect();
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64, bool)> = Vec::new();
    for (start, end, writable) in ranges {
        match merged.last_mut() {
            Some(last) if start < last.1 => {
                last.1 = last.1.max(end);
                last.2 |= writable;
            }
            _ => merged.push((start, end, writable)),
        }
    }
    merged
        .into_iter()
        .filter(|(_, _, writable)| *writable)
        .map(|(start, end, _)| Region { start, end })
        .collect()
}

/// The region of `regions` that an address lies in, by index.
pub fn region_of(regions: &[Region], address: u64) -> Option<usize> {
    let index = regions
        .partition_point(|r| r.start <= address)
        .checked_sub(1)?;
    (address < regions.get(index)?.end).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_written_has_a_region_and_overlaps_share_one() {
        let found = regions([
            (900, 1000, true),
            (100, 200, false),
            (300, 400, true),
            (380, 500, false),
            (500, 600, false),
            (700, 700, true),
        ]);
        let expected = [(300, 500), (900, 1000)].map(|(start, end)| Region { start, end });
        assert_eq!(found, expected);
        let at = |address| region_of(&found, address);
        assert_eq!(
            [299, 300, 499, 500, 899, 950, 1000].map(at),
            [None, Some(0), Some(0), None, None, Some(1), None]
        );
    }
}
