//! Decoding of prefetches: they only move data nearer, so nothing is left of them.

use super::qualifiers::named_space;
use crate::emu::op::Op;
use crate::emu::program::error::DecodeError;
use crate::emu::program::parts::{Parts, operands};
use crate::emu::program::{Decoded, Resolver};
use crate::emu::ptx::{Instruction, Space};

/// `prefetch{.global,.local}.{L1,L2} [a]`, `prefetch.global.L2::evict_{last,normal} [a]`, `prefetchu.L1 [a]`.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    const LEVELS: [&str; 4] = ["L1", "L2", "L2::evict_last", "L2::evict_normal"];
    let mut parts = Parts::new(at, 1);
    let space = parts.peek().and_then(named_space);
    let space = space.filter(|space| matches!(space, Space::Global | Space::Local));
    let levels = match (at.parts[0].as_str(), space) {
        ("prefetchu", _) => &LEVELS[..1],
        (_, Some(Space::Global)) => &LEVELS[..],
        _ => &LEVELS[..2],
    };
    if space.is_some() && at.parts[0] == "prefetch" {
        parts.take();
    }
    if !levels.iter().any(|level| parts.accept(level)) {
        return Err(parts.refuse());
    }
    parts.end()?;
    names.address(at, &operands(at, 1, 1)?[0])?;
    Ok(Decoded::new(Op::Nothing))
}
