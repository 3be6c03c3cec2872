//! Members of a set of unordered readers or atomics that do not fit in their cell.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::super::lanes::Active;
use super::Entry;

/// Groups kept for one cell.
const MOST: usize = 64;
/// Groups from which on those that need not be kept are looked for.
const MANY: usize = 4;

/// Accesses of lanes of one warp with one stamp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// The first of them; stands for all but for the lane.
    entry: Entry,
    lanes: u32,
    /// Whether they wrote.
    pub wrote: bool,
}

impl Group {
    /// The members, one entry each.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + use<> {
        let entry = self.entry;
        Active::of(self.lanes).map(move |lane| Entry {
            clock: entry.clock,
            who: (entry.who & !31) | lane,
        })
    }

    fn takes(&self, other: Entry, wrote: bool) -> bool {
        self.wrote == wrote
            && self.entry.clock == other.clock
            && self.entry.thread() / 32 == other.thread() / 32
            && self.entry.strength() == other.strength()
    }
}

/// Adds `entry`, made by `lanes` of its warp, to `groups`; where there are many, the members that need no longer be kept are
/// dropped first.
pub(super) fn add(
    groups: &mut Vec<Group>,
    entry: Entry,
    lanes: u32,
    wrote: bool,
    needless: impl Fn(Entry, bool) -> bool,
) {
    if let Some(group) = groups.iter_mut().find(|g| g.takes(entry, wrote)) {
        group.lanes |= lanes;
        return;
    }
    if groups.len() >= MANY {
        groups.retain_mut(|group| {
            let mut kept = 0;
            for member in group.entries().filter(|m| !needless(*m, group.wrote)) {
                kept |= 1 << (member.thread() % 32);
            }
            group.lanes = kept;
            kept != 0
        });
    }
    if groups.len() >= MOST {
        // The first stands for what came long before, the last ones for what runs now.
        groups.remove(1);
    }
    groups.push(Group {
        entry,
        lanes,
        wrote,
    });
}

/// The groups of each cell, by its number.
pub(super) type Spilled = HashMap<u64, Vec<Group>, BuildHasherDefault<CellHasher>>;

/// Hashes a cell's number: it comes from a kernel under test, and many in one bucket would only be slow.
#[derive(Debug, Default)]
pub(super) struct CellHasher(u64);

impl Hasher for CellHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The table takes its bucket from the low bits and a tag from the high ones.
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}
