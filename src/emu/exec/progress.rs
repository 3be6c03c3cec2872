//! Whether a CTA that runs on still gets anywhere. A CTA whose registers and places are what they were before, while it
//! changed nothing in memory, will do the same for ever: threads that wait for a flag which nobody can set.

use super::warp::Warp;
use crate::emu::rows::Row;

/// Rounds before anything is looked at, so that kernels that end soon pay nothing.
const FIRST: u64 = 16;

/// What a CTA looked like at some round.
#[derive(Default)]
pub struct Progress {
    round: u64,
    next: u64,
    registers: Vec<Row>,
    preds: Vec<u32>,
    carry: Vec<u32>,
    warps: Vec<Warp>,
}

impl Progress {
    /// The next CTA.
    pub fn begin(&mut self) {
        self.round = 0;
        self.next = FIRST;
        self.warps.clear();
    }

    /// Called after each round; whether the CTA is where it was before. `changed` tells whether it changed memory or came
    /// to a barrier since then, and is taken back when a new look is remembered.
    pub fn stands_still(
        &mut self,
        registers: &[Row],
        (preds, carry): (&[u32], &[u32]),
        warps: &[Warp],
        changed: &mut bool,
    ) -> bool {
        self.round += 1;
        if self.round < FIRST {
            return false;
        }
        let same_places = |(one, other): (&Warp, &Warp)| one.same_place(other);
        if !*changed
            && self.warps.len() == warps.len()
            && self.warps.iter().zip(warps).all(same_places)
            && (&self.preds[..], &self.carry[..]) == (preds, carry)
            && self.registers == registers
        {
            return true;
        }
        if self.round >= self.next {
            self.next = 2 * self.round;
            self.registers.clear();
            self.registers.extend_from_slice(registers);
            self.preds.clear();
            self.preds.extend_from_slice(preds);
            self.carry.clear();
            self.carry.extend_from_slice(carry);
            self.warps.clear();
            self.warps.extend_from_slice(warps);
            *changed = false;
        }
        false
    }
}
