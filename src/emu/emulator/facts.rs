//! What the emulated device says of itself.

use crate::driver::{Card, DeviceFacts, Target};

/// Bytes of its memory; the host's pages are taken as they are touched.
const MEMORY_BYTES: u64 = 16 << 30;

/// The facts of the device that stands for a target: its first card. Where the cards of a target differ, shared memory is
/// that of the smallest, so that what runs here runs on all of them.
pub fn of(target: Target) -> DeviceFacts {
    let first = Card::of(target).next();
    let number = target.number();
    DeviceFacts {
        name: format!("emulated {target}"),
        compute_capability: (number / 10, number % 10),
        target,
        memory_bytes: MEMORY_BYTES,
        multiprocessors: first.map_or(1, |card| card.multiprocessors),
        max_shared_bytes: Card::of(target)
            .map(|card| card.cta_shared_bytes)
            .min()
            .unwrap_or(0),
        context_bytes: 0,
        granule_bytes: 1,
    }
}
