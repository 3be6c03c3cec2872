//! Which bytes the lanes of one warp instruction touch. Most instructions touch one run of bytes or one address; finding
//! that once lets every check and counter treat the warp as a whole.

use crate::emu::rows::LANES;

/// How the addresses of the active lanes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern<'a> {
    /// The active lanes are consecutive, and so are their bytes, in lane order: the address of the first active lane.
    Run(u64),
    /// All active lanes at one address.
    Same(u64),
    /// Anything else: an address a lane; those of inactive lanes mean nothing.
    Each(&'a [u64; LANES]),
}

/// The bytes that the lanes of a warp instruction touch: `bytes` from each active lane's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes<'a> {
    /// Active lanes; at least one.
    pub mask: u32,
    /// Bytes of a lane, 1 to 16 (32 for the widest vectors).
    pub bytes: u32,
    /// Where.
    pub at: Pattern<'a>,
}

impl<'a> Lanes<'a> {
    /// Finds the pattern of `addresses`.
    #[inline(always)]
    pub fn of(mask: u32, bytes: u32, addresses: &'a [u64; LANES]) -> Lanes<'a> {
        let first_lane = mask.trailing_zeros() as usize % LANES;
        let first = addresses[first_lane];
        let at = if is_run(mask, bytes, first, addresses) {
            Pattern::Run(first)
        } else if is_same(mask, first, addresses) {
            Pattern::Same(first)
        } else {
            Pattern::Each(addresses)
        };
        Lanes { mask, bytes, at }
    }

    /// The first active lane.
    #[inline]
    pub fn first_lane(&self) -> u32 {
        self.mask.trailing_zeros()
    }

    /// Where `lane` starts.
    #[inline]
    pub fn address(&self, lane: u32) -> u64 {
        match self.at {
            Pattern::Run(first) => {
                let step = lane.wrapping_sub(self.first_lane());
                first.wrapping_add(u64::from(step) * u64::from(self.bytes))
            }
            Pattern::Same(address) => address,
            Pattern::Each(addresses) => addresses[lane as usize % LANES],
        }
    }

    /// Bytes of all active lanes of a [`Pattern::Run`].
    #[inline]
    pub fn run_bytes(&self) -> u64 {
        u64::from(self.mask.count_ones()) * u64::from(self.bytes)
    }

    /// The active lanes, ascending.
    #[inline]
    pub fn active(&self) -> Active {
        Active(self.mask)
    }
}

/// The lanes of a mask, ascending.
#[derive(Debug, Clone)]
pub struct Active(u32);

impl Active {
    /// The lanes of `mask`.
    #[inline]
    pub fn of(mask: u32) -> Active {
        Active(mask)
    }
}

impl Iterator for Active {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let lane = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(lane)
    }
}

/// Whether the lanes of `mask` stand side by side, as their addresses do.
#[inline(always)]
fn is_run(mask: u32, bytes: u32, first: u64, addresses: &[u64; LANES]) -> bool {
    if mask == u32::MAX {
        let mut wrong = 0;
        for lane in 0..LANES {
            let expected = first.wrapping_add(lane as u64 * u64::from(bytes));
            wrong |= addresses[lane] ^ expected;
        }
        return wrong == 0;
    }
    let low = mask.trailing_zeros();
    let run = mask >> (low % 32);
    run & run.wrapping_add(1) == 0
        && Active::of(mask).all(|lane| {
            let step = u64::from(lane - low) * u64::from(bytes);
            addresses[lane as usize] == first.wrapping_add(step)
        })
}

/// Whether all lanes of `mask` are at `first`.
#[inline(always)]
fn is_same(mask: u32, first: u64, addresses: &[u64; LANES]) -> bool {
    let mut wrong = 0;
    for lane in 0..LANES {
        let active = u64::from((mask >> lane) & 1).wrapping_neg();
        wrong |= (addresses[lane] ^ first) & active;
    }
    wrong == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strided(step: u64) -> [u64; LANES] {
        std::array::from_fn(|lane| 1000 + lane as u64 * step)
    }

    #[test]
    fn a_run_is_found_for_any_consecutive_lanes() {
        let addresses = strided(4);
        for mask in [u32::MAX, 1, 0b111, 0xff00, 1 << 31, 0x7fff_fffe] {
            let lanes = Lanes::of(mask, 4, &addresses);
            let first = addresses[mask.trailing_zeros() as usize];
            assert_eq!(lanes.at, Pattern::Run(first), "{mask:#x}");
            assert!(
                lanes
                    .active()
                    .all(|l| lanes.address(l) == addresses[l as usize])
            );
        }
    }

    #[test]
    fn holes_and_other_steps_are_no_run() {
        let addresses = strided(4);
        assert!(matches!(
            Lanes::of(0b101, 4, &addresses).at,
            Pattern::Each(_)
        ));
        assert!(matches!(
            Lanes::of(u32::MAX, 8, &addresses).at,
            Pattern::Each(_)
        ));
        assert!(matches!(
            Lanes::of(0b11, 2, &addresses).at,
            Pattern::Each(_)
        ));
    }

    #[test]
    fn one_address_is_found_whatever_inactive_lanes_hold() {
        let mut addresses = [64; LANES];
        addresses[5] = 1;
        assert_eq!(
            Lanes::of(!(1 << 5), 4, &addresses).at,
            Pattern::Same(64),
            "lane 5 is inactive"
        );
        assert!(matches!(
            Lanes::of(u32::MAX, 4, &addresses).at,
            Pattern::Each(_)
        ));
    }
}
