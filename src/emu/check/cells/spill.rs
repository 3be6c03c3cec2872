//! Members of a set of unordered readers or atomics that do not fit in their cell.

use super::super::lanes::Active;
use super::Entry;

/// Groups kept for one cell.
const MOST: usize = 64;

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

/// Adds `entry` to `groups`, after dropping the members that need no longer be kept.
pub(super) fn add(
    groups: &mut Vec<Group>,
    entry: Entry,
    wrote: bool,
    needless: impl Fn(Entry, bool) -> bool,
) {
    let lane = 1 << (entry.thread() % 32);
    if let Some(group) = groups.iter_mut().find(|g| g.takes(entry, wrote)) {
        group.lanes |= lane;
        return;
    }
    groups.retain_mut(|group| {
        let mut kept = 0;
        for member in group.entries().filter(|m| !needless(*m, group.wrote)) {
            kept |= 1 << (member.thread() % 32);
        }
        group.lanes = kept;
        kept != 0
    });
    if groups.len() >= MOST {
        // The first stands for what came long before, the last ones for what runs now.
        groups.remove(1);
    }
    groups.push(Group {
        entry,
        lanes: lane,
        wrote,
    });
}
