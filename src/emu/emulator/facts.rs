//! What the emulated device says of itself.

use crate::driver::{DeviceFacts, Target};

/// Bytes of its memory; the host's pages are taken as they are touched.
const MEMORY_BYTES: u64 = 16 << 30;

/// The facts of the device that stands for a target. Where the cards of a target differ, shared memory is that of the
/// smallest (T4; A10G and L4; H100), so that what runs here runs on all of them.
pub fn of(target: Target) -> DeviceFacts {
    let (compute_capability, multiprocessors, shared_kib) = match target {
        Target::Sm75 => ((7, 5), 40, 64),
        Target::Sm80 => ((8, 0), 108, 99),
        Target::Sm90 => ((9, 0), 132, 227),
    };
    DeviceFacts {
        name: format!("emulated {target}"),
        compute_capability,
        target,
        memory_bytes: MEMORY_BYTES,
        multiprocessors,
        max_shared_bytes: shared_kib << 10,
    }
}
