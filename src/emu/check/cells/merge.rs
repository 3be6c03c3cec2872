//! Conflicts between CTAs of different shards, found after a launch. Such CTAs are never ordered: a grid whose CTAs speak to
//! each other runs in one shard.

use super::super::access::{Conflict, Strength};
use super::super::clocks::Clocks;
use super::block::{Block, CELLS};
use super::{Cells, Entry};

/// The conflict at the lowest address between CTAs of different shards, each given as its cells of one range and its
/// clocks, in shard order; where `counts` is given, only CTAs for which it holds. The answer depends on what each shard did, not on when.
///
/// A cell holds its last write and a reader, so a shard's plain store that was followed by an atomic of the same place
/// shows as the atomic: kernels with global atomics have one shard.
pub fn first_conflict(
    shards: &[(&Cells, &Clocks)],
    counts: Option<&dyn Fn(u64) -> bool>,
) -> Option<Conflict> {
    let mut blocks: Vec<(u32, usize, &Block)> = Vec::new();
    for (shard, (cells, _)) in shards.iter().enumerate() {
        blocks.extend(cells.table.in_use().map(|(place, b)| (place, shard, b)));
    }
    blocks.sort_by_key(|(place, shard, _)| (*place, *shard));
    blocks
        .chunk_by(|one, other| one.0 == other.0)
        .filter(|same_place| same_place.len() > 1)
        .find_map(|same_place| conflict_in(same_place, shards, counts))
}

/// An access that a shard made of a cell.
#[derive(Clone, Copy)]
struct Made {
    shard: usize,
    entry: Entry,
    wrote: bool,
}

/// The first conflict in the blocks of one place.
fn conflict_in(
    blocks: &[(u32, usize, &Block)],
    shards: &[(&Cells, &Clocks)],
    counts: Option<&dyn Fn(u64) -> bool>,
) -> Option<Conflict> {
    for at in 0..CELLS {
        let mut write: Option<Made> = None;
        let mut read: Option<Made> = None;
        for (place, shard, block) in blocks {
            let (cells, clocks) = shards.get(*shard)?;
            let made = |entry: Entry, wrote| {
                let counts = entry.clock >= cells.from
                    && counts.is_none_or(|counts| counts(clocks.cta_of(entry.clock)));
                counts.then_some(Made {
                    shard: *shard,
                    entry,
                    wrote,
                })
            };
            let wrote = made(block.write.get(at), true);
            let has_read = made(block.read[0].get(at), false);
            let pairs = [(write, wrote), (read, wrote), (write, has_read)];
            for pair in pairs {
                if let (Some(one), Some(other)) = pair
                    && one.entry.strength().min(other.entry.strength()) != Strength::Gpu
                {
                    let cell = u64::from(*place) * CELLS as u64 + at as u64;
                    return report(cells.address_of(cell), one, other, shards);
                }
            }
            write = write.or(wrote);
            read = read.or(has_read);
        }
    }
    None
}

/// The two accesses, that of the lower CTA first.
fn report(address: u64, one: Made, other: Made, shards: &[(&Cells, &Clocks)]) -> Option<Conflict> {
    let access = |made: Made| Some(made.entry.access(made.wrote, shards.get(made.shard)?.1));
    let (mut earlier, mut later) = (access(one)?, access(other)?);
    if later.cta < earlier.cta {
        std::mem::swap(&mut earlier, &mut later);
    }
    Some(Conflict {
        address,
        earlier,
        later,
    })
}
