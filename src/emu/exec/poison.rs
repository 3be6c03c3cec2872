//! Registers that hold nothing: which lanes of a row or predicate were never given a value.
//!
//! Clean code of nvcc computes on unwritten registers and throws the result away by `selp`, so computing is no finding. It
//! becomes one when the value reaches an address, a taken predicate, a store, an atomic, a tensor-core product or the
//! operands that say who takes part. The decoder knows which instructions can meet an unwritten register; a shuffle that
//! reads a lane which takes no part makes an unwritten value at run time, and from then on every instruction is followed.
//! Through the carry flag of `add.cc` and its like nothing is followed: an unwritten low half is not seen in the high one.

use super::arrive::member_mask;
use super::collective::{shuffle_sources, strangers};
use super::context::{Context, list};
use super::fault::Checked;
use super::mma::ldmatrix_lanes;
use crate::emu::op::{AluOp, MemoryOp, Op, SyncOp};
use crate::emu::program::{Inst, Pred};
use crate::emu::report::ReportKind;
use crate::emu::rows::Slot;

/// The lanes of each row and predicate of a warp that hold nothing.
pub struct Poison<'a> {
    /// A mask for each row.
    pub rows: &'a mut [u32],
    /// A mask for each predicate.
    pub preds: &'a mut [u32],
    /// Whether every instruction must be followed.
    pub spreads: bool,
}

impl Poison<'_> {
    /// Lanes in which an operand holds nothing.
    fn of(&self, slot: Slot, wide: bool) -> u32 {
        if slot.is_constant() {
            return 0;
        }
        let index = usize::from(slot.0);
        let second = if wide { self.rows[index + 1] } else { 0 };
        self.rows[index] | second
    }

    fn of_pred(&self, pred: Pred) -> u32 {
        match pred {
            Pred::NONE => 0,
            pred => self.preds[usize::from(pred.0)],
        }
    }

    /// Whether there is still something to follow that the decoder did not foresee.
    pub fn still_spreads(&self) -> bool {
        let any = |masks: &[u32]| masks.iter().any(|mask| *mask != 0);
        self.spreads && (any(self.rows) || any(self.preds))
    }

    fn set(&mut self, slot: Slot, wide: bool, mask: u32, lanes: u32) {
        if slot == Slot::NONE {
            return;
        }
        let index = usize::from(slot.0);
        for row in &mut self.rows[index..=index + usize::from(wide)] {
            *row = (*row & !mask) | lanes;
        }
    }

    fn set_pred(&mut self, pred: Pred, mask: u32, lanes: u32) {
        if pred != Pred::NONE {
            let row = &mut self.preds[usize::from(pred.0)];
            *row = (*row & !mask) | lanes;
        }
    }
}

/// Follows unwritten values through an instruction that is about to run in the lanes of `cx.lanes.mask`, of `active`.
#[cold]
pub fn follow(cx: &mut Context<'_>, inst: &Inst, active: u32) -> Checked<()> {
    let guard = cx.poison.of_pred(inst.guard.pred) & active;
    let mask = cx.lanes.mask;
    if !matches!(
        inst.op,
        Op::Alu(_) | Op::Special(_) | Op::GridWait | Op::Nothing
    ) {
        guarded(cx, inst, active)?;
    }
    let out = match inst.op {
        Op::Alu(AluOp::Select { .. }) => selected(cx, inst),
        Op::Alu(_) => sources(cx, inst, 0),
        Op::Memory(op) => memory(cx, inst, op, mask)?,
        Op::Sync(op) => together(cx, inst, op, mask)?,
        _ => 0,
    };
    if inst.defs == 0 && inst.pd == [Pred::NONE; 2] {
        return Ok(());
    }
    // Lanes whose guard holds nothing may or may not have been written.
    let (mask, out) = (mask | guard, (out & mask) | guard);
    let (grid, shuffled) = (cx.grid, matches!(inst.op, Op::Sync(SyncOp::Shuffle(_))));
    for (index, slot) in list(grid, inst)[..usize::from(inst.defs)]
        .iter()
        .enumerate()
    {
        cx.poison.set(*slot, inst.wide >> index & 1 == 1, mask, out);
    }
    for pred in inst.pd {
        cx.poison
            .set_pred(pred, mask, if shuffled { 0 } else { out });
    }
    Ok(())
}

/// Looks at what says which lanes of `active` an instruction that lanes run together waits for, before it waits: the
/// guard and the member mask.
#[cold]
pub fn arrive(cx: &Context<'_>, inst: &Inst, active: u32) -> Checked<()> {
    guarded(cx, inst, active)?;
    let named = matches!(
        inst.op,
        Op::Sync(
            SyncOp::Shuffle(_)
                | SyncOp::Vote(_)
                | SyncOp::MatchAny { .. }
                | SyncOp::MatchAll { .. }
                | SyncOp::Reduce(_)
                | SyncOp::WarpSync
        )
    );
    let members = member_mask(cx, inst).filter(|_| named);
    match members.map_or(0, |slot| cx.poison.of(slot, false)) & cx.lanes.mask {
        0 => Ok(()),
        lanes => Err(finding(cx, lanes, "the member mask")),
    }
}

/// A guard that holds nothing cannot say whether memory or other lanes are touched.
fn guarded(cx: &Context<'_>, inst: &Inst, active: u32) -> Checked<()> {
    match cx.poison.of_pred(inst.guard.pred) & active {
        0 => Ok(()),
        lanes => Err(finding(cx, lanes, "the guard")),
    }
}

/// `lanes` of the result of a shuffle hold nothing, since they read lanes that take no part. From now on every instruction
/// is followed; what the masks hold of registers that the decoder did not expect to meet is from before, and void.
#[cold]
pub fn spread(cx: &mut Context<'_>, inst: &Inst, lanes: u32) {
    let program = cx.grid.program;
    let poison = &mut cx.poison;
    if !poison.spreads {
        poison.spreads = true;
        for (row, mask) in poison.rows.iter_mut().enumerate() {
            let kept = program.poison_rows.contains(&(row as u16));
            *mask = if kept { *mask } else { 0 };
        }
        for (pred, mask) in poison.preds.iter_mut().enumerate() {
            let kept = program.poison_preds.contains(&(pred as u16));
            *mask = if kept { *mask } else { 0 };
        }
    }
    poison.set(inst.d, false, lanes, lanes);
}

/// Lanes in which any source behind the first `skip` holds nothing.
fn sources(cx: &Context<'_>, inst: &Inst, skip: usize) -> u32 {
    let first = usize::from(inst.defs) + skip;
    let slots = list(cx.grid, inst).iter().enumerate().skip(first);
    let rows = slots.fold(0, |lanes, (index, slot)| {
        lanes | cx.poison.of(*slot, inst.wide >> index & 1 == 1)
    });
    let preds = inst.ps.iter().map(|pred| cx.poison.of_pred(*pred));
    preds.fold(rows, |lanes, pred| lanes | pred)
}

/// `selp`: only the operand that is chosen counts.
fn selected(cx: &Context<'_>, inst: &Inst) -> u32 {
    let wide = inst.wide & 1 == 1;
    let (a, b) = (cx.poison.of(inst.a, wide), cx.poison.of(inst.b, wide));
    let holds = cx.lanes.pred(inst.ps[0], inst.ps_negated[0], 0);
    (a & holds) | (b & !holds) | cx.poison.of_pred(inst.ps[0])
}

fn memory(cx: &Context<'_>, inst: &Inst, op: MemoryOp, mask: u32) -> Checked<u32> {
    let wide = inst.wide >> inst.defs & 1 == 1;
    let address = match op {
        MemoryOp::AsyncCopy { .. } => sources(cx, inst, 0),
        MemoryOp::AsyncCommit | MemoryOp::AsyncWait { .. } => 0,
        MemoryOp::LoadMatrix { count, .. } => {
            let device = cx.grid.program.device;
            cx.poison.of(inst.a, wide) & ldmatrix_lanes(device, usize::from(count))
        }
        _ => cx.poison.of(inst.a, wide),
    };
    if address & mask != 0 {
        return Err(finding(cx, address & mask, "the address"));
    }
    if matches!(op, MemoryOp::Store { .. } | MemoryOp::Atomic { .. }) {
        let value = sources(cx, inst, 1) & mask;
        if value != 0 {
            return Err(finding(cx, value, "the stored value"));
        }
    }
    Ok(0)
}

fn together(cx: &mut Context<'_>, inst: &Inst, op: SyncOp, mask: u32) -> Checked<u32> {
    match op {
        SyncOp::Shuffle(mode) => {
            let who = sources(cx, inst, 1) & mask;
            if who != 0 {
                return Err(finding(cx, who, "the lane that is read"));
            }
            let values = cx.poison.of(inst.a, false);
            let (from, _) = shuffle_sources(cx, inst, mode);
            Ok((0..32).fold(strangers(cx, inst, &from), |lanes, lane| {
                lanes | (values >> from.0[lane] & 1) << lane
            }))
        }
        SyncOp::Mma(_) | SyncOp::Barrier(_) => {
            let used = sources(cx, inst, 0) & mask;
            match used {
                0 => Ok(0),
                lanes => Err(finding(cx, lanes, "an operand")),
            }
        }
        SyncOp::Vote(_) | SyncOp::MatchAny { .. } | SyncOp::MatchAll { .. } | SyncOp::Reduce(_) => {
            let any = sources(cx, inst, 0) & mask != 0;
            Ok(if any { mask } else { 0 })
        }
        SyncOp::WarpSync | SyncOp::Fence(_) | SyncOp::ActiveMask => Ok(0),
    }
}

#[cold]
fn finding(cx: &Context<'_>, lanes: u32, what: &str) -> Box<super::fault::Fault> {
    let what = format!("{what} comes from a register that was never written");
    cx.fault(
        ReportKind::UninitializedRegister,
        lanes.trailing_zeros(),
        what,
    )
}
