//! The cards that the targets are for: the one table of what a device has, after the CUDA programming guide's table of compute
//! capabilities.

use super::Target;

/// A card and one of its multiprocessors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card {
    /// Its name in tables.
    pub name: &'static str,
    /// Compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Warps that a multiprocessor holds.
    pub warps: u32,
    /// CTAs that a multiprocessor holds.
    pub ctas: u32,
    /// Shared memory of a multiprocessor, with as much of its cache as can be shared memory.
    pub shared_bytes: u32,
    /// Shared memory that one CTA may ask for.
    pub cta_shared_bytes: u32,
    /// Shared memory is given in multiples of this.
    pub shared_unit: u32,
    /// Shared memory that the system keeps for each CTA.
    pub reserved_bytes: u32,
}

/// The cards, oldest first. The first of a target is the one that the emulator stands for.
pub static CARDS: [Card; 5] = [
    Card {
        name: "T4",
        compute_capability: (7, 5),
        multiprocessors: 40,
        warps: 32,
        ctas: 16,
        shared_bytes: 64 << 10,
        cta_shared_bytes: 64 << 10,
        shared_unit: 256,
        reserved_bytes: 0,
    },
    Card {
        name: "A100",
        compute_capability: (8, 0),
        multiprocessors: 108,
        warps: 64,
        ctas: 32,
        shared_bytes: 164 << 10,
        cta_shared_bytes: 163 << 10,
        shared_unit: 128,
        reserved_bytes: 1 << 10,
    },
    Card {
        name: "A10G",
        compute_capability: (8, 6),
        multiprocessors: 80,
        warps: 48,
        ctas: 16,
        shared_bytes: 100 << 10,
        cta_shared_bytes: 99 << 10,
        shared_unit: 128,
        reserved_bytes: 1 << 10,
    },
    Card {
        name: "L4",
        compute_capability: (8, 9),
        multiprocessors: 58,
        warps: 48,
        ctas: 24,
        shared_bytes: 100 << 10,
        cta_shared_bytes: 99 << 10,
        shared_unit: 128,
        reserved_bytes: 1 << 10,
    },
    Card {
        name: "H100",
        compute_capability: (9, 0),
        multiprocessors: 132,
        warps: 64,
        ctas: 32,
        shared_bytes: 228 << 10,
        cta_shared_bytes: 227 << 10,
        shared_unit: 128,
        reserved_bytes: 1 << 10,
    },
];

impl Card {
    /// The cards that run a target's code, oldest first.
    pub fn of(target: Target) -> impl Iterator<Item = &'static Card> {
        CARDS.iter().filter(move |card| {
            let (major, minor) = card.compute_capability;
            Target::for_compute_capability(major, minor) == Some(target)
        })
    }
}
