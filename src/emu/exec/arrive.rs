//! Who must come to an instruction before it can run.
//!
//! Warp-level `.sync` instructions wait for all lanes of their member mask that have not exited (PTX: "all non-exited
//! threads corresponding to membermask"), so a lane that exited is not missed; a shuffle that reads it gets an unwritten
//! value. PTX lets those lanes come to several instructions with the same qualifiers and the same mask, as in both branches
//! of an `if`; here they must come to one, and lanes that wait at two are refused as not modelled. `mma` and `ldmatrix`
//! need the whole warp. A barrier of the CTA is `.aligned`: the lanes of a warp must come to one and the same instruction.
//! Without a count it waits for all threads that have not exited, as `__syncthreads` does since sm_70; with one, exited
//! threads do not count, and a barrier that lacks them hangs on hardware and is a finding.

use super::context::Context;
use super::fault::{Checked, Fault, Spot};
use super::warp::{Group, Warp};
use crate::emu::op::{BarrierKind, Op, SyncOp};
use crate::emu::program::Inst;
use crate::emu::report::ReportKind;
use crate::emu::rows::Slot;

/// Barriers of a CTA.
pub const BARRIERS: u32 = 16;

/// A warp that has come to a barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The barrier.
    pub barrier: u8,
    /// The instruction.
    pub pc: u32,
    /// Threads that take part; `None` for all that have not exited.
    pub count: Option<u32>,
    /// What is done there.
    pub kind: BarrierKind,
    /// The warp's lanes.
    pub lanes: u32,
    /// Those whose predicate holds.
    pub holds: u32,
}

/// Whether the lanes of the current mask are those that the instruction names, all alike, as nearly all do.
#[inline(always)]
pub fn all_named(cx: &Context<'_>, warp: &Warp, inst: &Inst) -> bool {
    let mask = cx.lanes.mask;
    let last = usize::from(inst.defs) + usize::from(inst.uses);
    let members = (inst.list as usize + last)
        .checked_sub(1)
        .and_then(|index| cx.grid.program.lists.get(index));
    let wanted = match members {
        Some(slot) if member_mask(cx, inst).is_some() => cx.lanes.rows.uniform(*slot),
        _ => None,
    };
    wanted.is_some_and(|wanted| mask & !wanted == 0 && wanted & warp.live & !mask == 0)
}

/// The lanes of the current mask whose partners are all there.
pub fn ready(cx: &Context<'_>, warp: &Warp, inst: &Inst) -> Checked<u32> {
    let mask = cx.lanes.mask;
    let Some(members) = member_mask(cx, inst) else {
        return whole_warp(cx, warp, mask);
    };
    let mut ready = 0;
    let mut rest = mask;
    while rest != 0 {
        let lane = rest.trailing_zeros();
        let wanted = cx.lanes.rows.get(members).0[lane as usize];
        let team = team(cx, members, rest, wanted);
        rest &= !team;
        if team & !wanted != 0 {
            let lane = (team & !wanted).trailing_zeros();
            let what = format!("lane {lane} is not in its own member mask {wanted:#010x}");
            return Err(cx.fault(ReportKind::Divergence, lane, what));
        }
        let otherwise = wanted & mask & !team;
        if otherwise != 0 {
            let lane = team.trailing_zeros();
            let what = format!(
                "lanes {team:#010x} name member mask {wanted:#010x}, lanes {otherwise:#010x} of it another"
            );
            return Err(cx.fault(ReportKind::Divergence, lane, what));
        }
        if wanted & warp.live & !team == 0 {
            ready |= team;
        }
    }
    Ok(ready)
}

/// The lanes of `mask` that hold `wanted` as their member mask.
pub fn team(cx: &Context<'_>, members: Slot, mask: u32, wanted: u32) -> u32 {
    if cx.lanes.rows.uniform(members) == Some(wanted) {
        return mask;
    }
    let row = cx.lanes.rows.get(members);
    let mut same = 0;
    for (lane, value) in row.0.iter().enumerate() {
        same |= u32::from(*value == wanted) << lane;
    }
    same & mask
}

/// The operand that holds the member mask: the last one; `None` for instructions of the whole warp.
#[inline(always)]
pub fn member_mask(cx: &Context<'_>, inst: &Inst) -> Option<Slot> {
    match inst.op {
        Op::Sync(SyncOp::Mma(_)) | Op::Memory(_) => None,
        _ => Some(cx.source(inst, usize::from(inst.uses).saturating_sub(1))),
    }
}

fn whole_warp(cx: &Context<'_>, warp: &Warp, mask: u32) -> Checked<u32> {
    if mask == u32::MAX {
        return Ok(mask);
    }
    if mask != warp.live {
        return Ok(0);
    }
    let what = format!(
        "lanes {:#010x} of the warp have exited or never were",
        !mask
    );
    Err(cx.fault(ReportKind::Divergence, mask.trailing_zeros(), what))
}

/// A whole warp's arrival at a barrier of the CTA.
pub fn at_barrier(cx: &Context<'_>, inst: &Inst, kind: BarrierKind) -> Checked<Arrival> {
    let barrier = uniform(cx, inst, 0, "barrier number")?;
    let count = match inst.uses {
        2 => Some(uniform(cx, inst, 1, "thread count")?),
        _ => None,
    };
    let lane = cx.lanes.mask.trailing_zeros();
    if barrier >= BARRIERS {
        let what = format!("barrier {barrier}: there are {BARRIERS}");
        return Err(cx.fault(ReportKind::Divergence, lane, what));
    }
    let most = cx.grid.warps * 32;
    if count.is_some_and(|count| count == 0 || count % 32 != 0 || count > most) {
        let count = count.unwrap_or(0);
        let what =
            format!("barrier {barrier} of {count} threads: the CTA has {most} in whole warps");
        return Err(cx.fault(ReportKind::Divergence, lane, what));
    }
    Ok(Arrival {
        barrier: barrier as u8,
        pc: cx.pc,
        count,
        kind,
        lanes: cx.lanes.mask,
        holds: cx.lanes.pred(inst.ps[0], inst.ps_negated[0], 0) & cx.lanes.mask,
    })
}

/// An operand that must be the same in all lanes.
fn uniform(cx: &Context<'_>, inst: &Inst, index: usize, name: &str) -> Checked<u32> {
    let operand = cx.source(inst, index);
    if let Some(value) = cx.lanes.rows.uniform(operand) {
        return Ok(value);
    }
    let row = cx.lanes.rows.get(operand);
    let first = cx.lanes.mask.trailing_zeros();
    let value = row.0[first as usize % 32];
    for lane in 0..32 {
        if cx.lanes.mask >> lane & 1 == 1 && row.0[lane] != value {
            let what = format!(
                "the {name} is {} here and {value} in lane {first}",
                row.0[lane]
            );
            return Err(cx.fault(ReportKind::Divergence, lane as u32, what));
        }
    }
    Ok(value)
}

/// The finding for a warp none of whose groups can run.
#[cold]
pub fn stuck(cx: &Context<'_>, warp: &Warp) -> Box<Fault> {
    let Some(group) = warp.groups.first() else {
        let what = "the warp has no lanes".to_string();
        return cx.fault(ReportKind::Divergence, 0, what);
    };
    let inst = &cx.grid.program.code[group.pc as usize];
    let lane = group.mask.trailing_zeros();
    let wanted = match inst.op {
        Op::Sync(SyncOp::Barrier(_)) => warp.live,
        _ => match member_mask(cx, inst) {
            Some(members) => cx.lanes.rows.get(members).0[lane as usize % 32] & warp.live,
            None => warp.live,
        },
    };
    let missing = wanted & !group.mask;
    let at = Spot {
        pc: group.pc,
        ..cx.spot(lane)
    };
    let mask = group.mask;
    let elsewhere = |other: &&Group| other.mask & missing != 0;
    let elsewhere = warp.groups.iter().find(elsewhere);
    let alike = elsewhere.is_some_and(|other| meets(cx, inst, other, wanted));
    let what = match missing {
        0 => format!("lanes {mask:#010x} wait with different member masks"),
        _ if alike => format!(
            "lanes {mask:#010x} wait for lanes {missing:#010x}, which wait at another such instruction with the same member \
             mask: PTX lets them meet, which is not modelled; put one instruction where the branches have joined"
        ),
        _ => format!("lanes {mask:#010x} wait for lanes {missing:#010x}, which do not come"),
    };
    let fault = Fault::new(ReportKind::Divergence, at, what);
    match elsewhere {
        Some(other) => {
            let lane = (other.mask & missing).trailing_zeros();
            fault.with_other(Spot {
                pc: other.pc,
                ..cx.spot(lane)
            })
        }
        None => fault,
    }
}

/// Whether PTX would let a group meet lanes that wait at `inst` for the lanes `wanted`.
fn meets(cx: &Context<'_>, inst: &Inst, other: &Group, wanted: u32) -> bool {
    let aligned = matches!(
        inst.op,
        Op::Memory(_) | Op::Sync(SyncOp::Mma(_) | SyncOp::Barrier(_))
    );
    let there = &cx.grid.program.code[other.pc as usize];
    let same = |members: Slot| {
        let row = cx.lanes.rows.get(members);
        let mut lanes = (0..32).filter(|lane| (other.mask & wanted) >> lane & 1 == 1);
        lanes.all(|lane: usize| row.0[lane] == wanted)
    };
    !aligned && there.op == inst.op && member_mask(cx, there).is_some_and(same)
}
