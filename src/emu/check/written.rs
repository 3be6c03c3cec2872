//! Which bytes have ever been written: a bit each, shared by host threads.

use std::sync::atomic::{AtomicU64, Ordering};

use super::lanes::{Lanes, Pattern};

/// The written bits of a byte range. Setting a bit that another host thread tests at the same time is a race of the kernel
/// (which the race check finds) and harmless here.
#[derive(Debug, Default)]
pub struct Written {
    base: u64,
    bytes: u64,
    words: Vec<AtomicU64>,
}

impl Written {
    /// `bytes` bytes from address `base`, none written. `None` where the host has no room for the bits.
    pub fn new(base: u64, bytes: u64) -> Option<Written> {
        let words = usize::try_from(bytes.div_ceil(64)).ok()?;
        Some(Written {
            base,
            bytes,
            words: bytemuck::try_zeroed_vec(words).ok()?,
        })
    }

    /// Nothing is written any more: for the shared and local memory of the next CTA.
    pub fn reset(&mut self) {
        for word in &mut self.words {
            *word.get_mut() = 0;
        }
    }

    /// Marks `bytes` bytes from `address`.
    pub fn set(&self, address: u64, bytes: u64) {
        self.each_word(address, bytes, |word, mask| {
            // A word written whole needs no read: nobody clears bits.
            if mask == u64::MAX {
                word.store(mask, Ordering::Relaxed);
            } else if word.load(Ordering::Relaxed) & mask != mask {
                word.fetch_or(mask, Ordering::Relaxed);
            }
            true
        });
    }

    /// Takes the marks of `bytes` bytes from `address` away: what they held means nothing any more.
    pub fn clear(&self, address: u64, bytes: u64) {
        self.each_word(address, bytes, |word, mask| {
            word.fetch_and(!mask, Ordering::Relaxed);
            true
        });
    }

    /// The first byte of `bytes` bytes from `address` that nobody wrote.
    pub fn first_unwritten(&self, address: u64, bytes: u64) -> Option<u64> {
        let all = self.each_word(address, bytes, |word, mask| {
            word.load(Ordering::Relaxed) & mask == mask
        });
        if all {
            return None;
        }
        (address..address.saturating_add(bytes)).find(|byte| {
            let at = byte.wrapping_sub(self.base);
            self.words
                .get((at / 64) as usize)
                .is_none_or(|word| (word.load(Ordering::Relaxed) >> (at % 64)) & 1 == 0)
        })
    }

    /// Marks what a warp instruction writes.
    #[inline]
    pub fn set_lanes(&self, lanes: &Lanes<'_>) {
        match lanes.at {
            Pattern::Run(first) => self.set(first, lanes.run_bytes()),
            Pattern::Same(address) => self.set(address, u64::from(lanes.bytes)),
            Pattern::Each(addresses) => {
                for lane in lanes.active() {
                    let address = addresses[lane as usize];
                    match self.bits_of(address, lanes.bytes) {
                        Some((word, mask)) if word.load(Ordering::Relaxed) & mask == mask => {}
                        _ => self.set(address, u64::from(lanes.bytes)),
                    }
                }
            }
        }
    }

    /// The first lane of a warp instruction that reads a byte nobody wrote, and that byte's address.
    #[inline]
    pub fn unwritten_lane(&self, lanes: &Lanes<'_>) -> Option<(u32, u64)> {
        let bytes = u64::from(lanes.bytes);
        match lanes.at {
            Pattern::Run(first) => {
                let byte = self.first_unwritten(first, lanes.run_bytes())?;
                Some((lanes.first_lane() + ((byte - first) / bytes) as u32, byte))
            }
            Pattern::Same(address) => {
                let byte = self.first_unwritten(address, bytes)?;
                Some((lanes.first_lane(), byte))
            }
            Pattern::Each(addresses) => lanes.active().find_map(|lane| {
                let address = addresses[lane as usize];
                match self.bits_of(address, lanes.bytes) {
                    Some((word, mask)) if word.load(Ordering::Relaxed) & mask == mask => None,
                    _ => self
                        .first_unwritten(address, bytes)
                        .map(|byte| (lane, byte)),
                }
            }),
        }
    }

    /// The bits of one lane, if they lie in one word.
    #[inline(always)]
    fn bits_of(&self, address: u64, bytes: u32) -> Option<(&AtomicU64, u64)> {
        let at = address.wrapping_sub(self.base);
        let mask = (1 << (bytes % 64)) - 1;
        let inside = at % 64 + u64::from(bytes) <= 64 && at < self.bytes;
        let word = self.words.get((at / 64) as usize)?;
        inside.then_some((word, mask << (at % 64)))
    }

    /// Calls `each` with every word of the range and the bits of it that count, until it answers false: then false, else
    /// true. What lies outside is left out of a set, and counts as unwritten.
    #[inline]
    fn each_word(&self, address: u64, bytes: u64, each: impl Fn(&AtomicU64, u64) -> bool) -> bool {
        let start = address.wrapping_sub(self.base);
        let Some(end) = start.checked_add(bytes).filter(|end| *end <= self.bytes) else {
            return false;
        };
        let mut at = start;
        while at < end {
            let low = at % 64;
            let count = (64 - low).min(end - at);
            let mask = (u64::MAX >> (64 - count)) << low;
            let Some(word) = self.words.get((at / 64) as usize) else {
                return false;
            };
            if !each(word, mask) {
                return false;
            }
            at += count;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_exactly_the_bytes_named() {
        for (start, len) in [
            (0, 1),
            (3, 61),
            (3, 62),
            (63, 2),
            (60, 200),
            (128, 64),
            (299, 1),
        ] {
            let written = Written::new(1000, 300).unwrap();
            written.set(1000 + start, len);
            for byte in 0..300 {
                let unwritten = written.first_unwritten(1000 + byte, 1).is_some();
                assert_eq!(unwritten, !(start..start + len).contains(&byte), "{byte}");
            }
        }
    }

    #[test]
    fn names_the_first_byte_and_its_lane() {
        let written = Written::new(64, 4096).unwrap();
        written.set(64, 70);
        assert_eq!(written.first_unwritten(64, 70), None);
        assert_eq!(written.first_unwritten(64, 128), Some(134));
        let run = std::array::from_fn(|lane| 64 + 4 * lane as u64);
        let lanes = Lanes::of(u32::MAX, 4, &run);
        assert_eq!(written.unwritten_lane(&lanes), Some((17, 134)));
        let late = Lanes::of(!0xffff, 4, &run);
        assert_eq!(written.unwritten_lane(&late), Some((17, 134)));
        let back = std::array::from_fn(|lane| 64 + 4 * (31 - lane as u64));
        let lanes = Lanes::of(u32::MAX, 4, &back);
        assert_eq!(written.unwritten_lane(&lanes), Some((0, 64 + 124)));
        written.set_lanes(&lanes);
        assert_eq!(written.unwritten_lane(&lanes), None);
        assert_eq!(written.first_unwritten(64, 129), Some(64 + 128));
    }

    #[test]
    fn a_reset_and_the_outside_are_unwritten() {
        let mut written = Written::new(0, 100).unwrap();
        written.set(0, 100);
        assert_eq!(written.first_unwritten(0, 100), None);
        assert_eq!(written.first_unwritten(90, 20), Some(100));
        written.reset();
        assert_eq!(written.first_unwritten(99, 1), Some(99));
    }
}
