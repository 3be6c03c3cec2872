//! What one instruction of one warp may touch.

use std::cell::Cell;

use super::alu::LaneState;
use super::fault::{Fault, Spot};
use super::grid::Grid;
use super::poison::Poison;
use super::watch::Watch;
use crate::emu::counters::Counters;
use crate::emu::program::{GuardSlot, Inst, Pred};
use crate::emu::report::ReportKind;
use crate::emu::rows::Slot;

/// A warp of a CTA while it runs.
pub struct Context<'a> {
    /// The launch.
    pub grid: &'a Grid<'a>,
    /// The CTA's index in the grid.
    pub cta: u64,
    /// The CTA's coordinates.
    pub cta_id: [u32; 3],
    /// The warp's index in the CTA.
    pub warp: u32,
    /// The instruction's index in the code.
    pub pc: u32,
    /// Registers, predicates, carry flags, and the lanes that take part.
    pub lanes: LaneState<'a>,
    /// Which registers hold nothing.
    pub poison: Poison<'a>,
    /// The counters, where something is counted.
    pub counters: Option<&'a mut Counters>,
    /// The checks, where they are made.
    pub watch: Option<Watch<'a>>,
    /// Instructions run so far, counted a lane.
    pub lane_instructions: u64,
    /// Set by whatever changes memory.
    pub changed: bool,
    /// The CTA's shared memory.
    pub shared: &'a [Cell<u32>],
    /// The local memory of the warp's lanes, one after the other.
    pub local: &'a [Cell<u32>],
}

/// All register operands of an instruction, destinations first.
#[inline(always)]
pub fn list<'a>(grid: &Grid<'a>, inst: &Inst) -> &'a [Slot] {
    let start = inst.list as usize;
    let count = usize::from(inst.defs) + usize::from(inst.uses);
    &grid.program.lists[start..start + count]
}

impl Context<'_> {
    /// Source operand `index`.
    #[inline(always)]
    pub fn source(&self, inst: &Inst, index: usize) -> Slot {
        list(self.grid, inst)
            .get(usize::from(inst.defs) + index)
            .copied()
            .unwrap_or(Slot::NONE)
    }

    /// The lanes of `active` in which a guard holds.
    #[inline(always)]
    pub fn guarded(&self, guard: GuardSlot, active: u32) -> u32 {
        if guard.pred == Pred::NONE {
            return active;
        }
        let pred = self.lanes.preds[usize::from(guard.pred.0)];
        active & (pred ^ u32::from(guard.negated).wrapping_neg())
    }

    /// A lane at the current instruction.
    pub fn spot(&self, lane: u32) -> Spot {
        Spot {
            cta: self.cta,
            thread: self.warp * 32 + lane,
            pc: self.pc,
        }
    }

    /// A finding at the current instruction.
    #[cold]
    pub fn fault(&self, kind: ReportKind, lane: u32, what: String) -> Box<Fault> {
        Fault::new(kind, self.spot(lane), what)
    }
}
