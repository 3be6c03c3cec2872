//! The sixteen barriers of a CTA.

use super::arrive::{Arrival, BARRIERS};
use crate::emu::op::BarrierKind;

/// A barrier that some warps have come to.
#[derive(Debug, Clone, Default)]
pub struct Barrier {
    /// Warps that have come, waiting or not.
    pub arrived: u32,
    /// Warps that wait.
    pub waiting: u32,
    /// Threads that have come, in whole warps.
    threads: u32,
    /// Threads that take part, where the instruction says.
    pub count: Option<u32>,
    /// Threads whose predicate held.
    pub holds: u32,
    /// Threads whose predicate was asked for.
    asked: u32,
    /// The first arrival, and its warp.
    pub first: Option<(u32, Arrival)>,
}

impl Barrier {
    /// Threads that have come.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// Adds a warp; `false` where it names another count than those before it.
    pub fn arrive(&mut self, warp: u32, arrival: Arrival) -> bool {
        if self.arrived != 0 && self.count != arrival.count {
            return false;
        }
        self.count = arrival.count;
        self.first.get_or_insert((warp, arrival));
        self.arrived |= 1 << warp;
        self.threads += 32;
        if arrival.kind != BarrierKind::Arrive {
            self.waiting |= 1 << warp;
        }
        if matches!(
            arrival.kind,
            BarrierKind::Count | BarrierKind::All | BarrierKind::Any
        ) {
            self.holds += arrival.holds.count_ones();
            self.asked += arrival.lanes.count_ones();
        }
        true
    }

    /// Whether all are there; `exited` are the warps that have no threads left, of `all`.
    pub fn complete(&self, exited: u32, all: u32) -> bool {
        match self.count {
            _ if self.arrived == 0 => false,
            Some(count) => self.threads >= count,
            None => self.arrived | exited == all,
        }
    }

    /// What a reduction gives.
    pub fn answer(&self, kind: BarrierKind) -> u32 {
        match kind {
            BarrierKind::Count => self.holds,
            BarrierKind::All => u32::from(self.holds == self.asked).wrapping_neg(),
            _ => u32::from(self.holds != 0).wrapping_neg(),
        }
    }
}

/// All barriers of a CTA.
pub type Barriers = [Barrier; BARRIERS as usize];
