//! The instruction loop of a warp.

use super::arrive::{self, Arrival};
use super::context::Context;
use super::counting::class;
use super::fault::Checked;
use super::warp::{Group, Warp};
use super::{collective, memory, poison, special};
use crate::emu::op::{BarrierKind, MemoryOp, Op, SyncOp};
use crate::emu::program::Inst;
use crate::emu::report::ReportKind;
use crate::emu::rows::LANES;

/// Why a warp stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Its slice of time is over.
    Slice,
    /// All lanes have exited.
    Done,
    /// It has come to a barrier.
    Barrier(Arrival),
}

/// What an instruction leaves to be done.
enum Next {
    /// Go on behind it.
    Advance,
    /// The place to go on is set.
    Moved,
    /// Stop.
    Pause(Pause),
}

/// Runs a warp for at most `slice` instructions; how many it ran, and why it stopped.
pub fn run(cx: &mut Context<'_>, warp: &mut Warp, slice: u32) -> Checked<(u32, Pause)> {
    let mut left = slice;
    while left > 0 {
        if cx.grid.lane_code[warp.pc as usize].is_some() {
            let ran = straight(cx, warp, left)?;
            warp.clock += u64::from(ran);
            left -= ran;
            continue;
        }
        warp.clock += 1;
        left -= 1;
        match other(cx, warp)? {
            Next::Advance => {
                warp.pc += 1;
                if warp.pc >= warp.meet {
                    regroup(cx, warp)?;
                }
            }
            Next::Moved => {}
            Next::Pause(pause) => return Ok((slice - left, pause)),
        }
    }
    warp.end_slice();
    Ok((slice, Pause::Slice))
}

/// Runs lane arithmetic up to the next instruction of another kind, or to where another group waits, and at most `most`
/// instructions; how many it ran. Most of a kernel is this, so its loop keeps to what such instructions need.
#[inline(always)]
fn straight(cx: &mut Context<'_>, warp: &mut Warp, most: u32) -> Checked<u32> {
    let (program, lane_code) = (cx.grid.program, cx.grid.lane_code);
    let attentive = cx.counters.is_some() || cx.poison.spreads;
    let active = warp.active;
    let (mut pc, mut ran, mut lanes) = (warp.pc, 0, 0);
    let result = loop {
        let Some(code) = lane_code[pc as usize] else {
            break Ok(());
        };
        let inst = &program.code[pc as usize];
        let mask = cx.guarded(inst.guard, active);
        cx.lanes.mask = mask;
        lanes += lanes_of(mask);
        if inst.watched | attentive {
            cx.pc = pc;
            if let Err(fault) = attend(cx, inst, active) {
                break Err(fault);
            }
        }
        if mask != 0 {
            code(inst, &program.lists, &mut cx.lanes);
        }
        (pc, ran) = (pc + 1, ran + 1);
        if ran == most || pc >= warp.meet {
            break Ok(());
        }
    };
    warp.pc = pc;
    cx.lane_instructions += lanes;
    result?;
    // The last one run, for a report that the warp has run too many.
    cx.pc = pc.saturating_sub(1);
    if pc >= warp.meet {
        regroup(cx, warp)?;
    }
    Ok(ran)
}

/// Runs one instruction that is no lane arithmetic.
#[inline(always)]
fn other(cx: &mut Context<'_>, warp: &mut Warp) -> Checked<Next> {
    let inst = &cx.grid.program.code[warp.pc as usize];
    let mask = cx.guarded(inst.guard, warp.active);
    cx.pc = warp.pc;
    cx.lanes.mask = mask;
    if matches!(
        inst.op,
        Op::Memory(MemoryOp::LoadMatrix { .. }) | Op::Sync(_)
    ) {
        return together(cx, warp, inst);
    }
    cx.lane_instructions += lanes_of(mask);
    if watched(cx, inst) {
        attend(cx, inst, warp.active)?;
    }
    match inst.op {
        Op::Memory(op) => {
            if mask != 0 {
                memory::execute(cx, inst, op)?;
            }
            Ok(Next::Advance)
        }
        Op::Branch { to } => branch(cx, warp, to),
        op => rare(cx, warp, inst, op),
    }
}

/// Whether there is something to do for an instruction besides running it.
#[inline(always)]
fn watched(cx: &Context<'_>, inst: &Inst) -> bool {
    inst.watched || cx.poison.spreads || cx.counters.is_some()
}

/// How many lanes a mask has; nearly always all.
#[inline(always)]
fn lanes_of(mask: u32) -> u64 {
    match mask {
        u32::MAX => 32,
        mask => u64::from(mask.count_ones()),
    }
}

/// What is done for some instructions only: counting them, following unwritten registers through them, and looking at
/// divisors.
#[cold]
fn attend(cx: &mut Context<'_>, inst: &Inst, active: u32) -> Checked<()> {
    if let Some(counters) = &mut cx.counters {
        counters.instruction(class(&inst.op), cx.lanes.mask);
    }
    if cx.grid.checks && (inst.poison || cx.poison.spreads) {
        poison::follow(cx, inst, active)?;
    }
    match inst.op.divides() {
        true => divisor(cx, inst),
        false => Ok(()),
    }
}

/// PTX leaves the result of an integer division by zero open.
fn divisor(cx: &Context<'_>, inst: &Inst) -> Checked<()> {
    let wide = inst.wide >> 2 & 1 == 1;
    let zero = |lane: &usize| match wide {
        true => cx.lanes.rows.get_wide(inst.b).0[*lane] == 0,
        false => cx.lanes.rows.get(inst.b).0[*lane] == 0,
    };
    let mut active = (0..LANES).filter(|lane| cx.lanes.mask >> lane & 1 == 1);
    match active.find(zero) {
        None => Ok(()),
        Some(lane) => {
            let what = "an integer is divided by zero".to_string();
            Err(cx.fault(ReportKind::Trap, lane as u32, what))
        }
    }
}

/// Goes on with the group furthest behind, if any can run.
fn regroup(cx: &Context<'_>, warp: &mut Warp) -> Checked<()> {
    match warp.regroup() {
        true => Ok(()),
        false => Err(arrive::stuck(cx, warp)),
    }
}

fn branch(cx: &Context<'_>, warp: &mut Warp, to: u32) -> Checked<Next> {
    let taken = cx.lanes.mask;
    if taken == 0 {
        return Ok(Next::Advance);
    }
    if taken == warp.active {
        warp.pc = to;
        if warp.diverged() {
            regroup(cx, warp)?;
        }
        return Ok(Next::Moved);
    }
    warp.split(Group {
        pc: to,
        mask: taken,
        parked: false,
    });
    warp.pc += 1;
    regroup(cx, warp)?;
    Ok(Next::Moved)
}

/// Special registers, ends, and what does nothing.
fn rare(cx: &mut Context<'_>, warp: &mut Warp, inst: &Inst, op: Op) -> Checked<Next> {
    let mask = cx.lanes.mask;
    if mask == 0 {
        return Ok(Next::Advance);
    }
    match op {
        Op::Special(register) => special::read(cx, inst, register, warp.clock),
        Op::Exit => {
            warp.exit(mask);
            if warp.live == 0 {
                return Ok(Next::Pause(Pause::Done));
            }
            if warp.active == 0 {
                regroup(cx, warp)?;
                return Ok(Next::Moved);
            }
        }
        Op::Trap => {
            let what = "the kernel stopped itself".to_string();
            return Err(cx.fault(ReportKind::Trap, mask.trailing_zeros(), what));
        }
        Op::GridWait => {
            if let Some(watch) = &mut cx.watch {
                watch.near.waited[cx.warp as usize] |= mask;
            }
        }
        Op::Nothing => {}
        // `run` and `other` have seen to these.
        Op::Alu(_) | Op::Memory(_) | Op::Sync(_) | Op::Branch { .. } => {}
    }
    Ok(Next::Advance)
}

/// Instructions that lanes run together: those that are not all there wait. One that waits is followed and counted when it
/// runs, not when it is come to.
fn together(cx: &mut Context<'_>, warp: &mut Warp, inst: &Inst) -> Checked<Next> {
    let (mask, watched) = (cx.lanes.mask, watched(cx, inst));
    if watched && cx.grid.checks {
        poison::arrive(cx, inst, warp.active)?;
    }
    let ready = match inst.op {
        _ if mask == 0 => 0,
        Op::Sync(SyncOp::Fence(_) | SyncOp::ActiveMask) => mask,
        Op::Sync(SyncOp::Barrier(_)) if mask != warp.live => 0,
        Op::Sync(SyncOp::Barrier(_)) => mask,
        _ if arrive::all_named(cx, warp, inst) => mask,
        _ => arrive::ready(cx, warp, inst)?,
    };
    if ready != mask {
        warp.split(Group {
            pc: warp.pc,
            mask: mask & !ready,
            parked: true,
        });
    }
    cx.lanes.mask = ready;
    if ready != 0 || mask == 0 {
        cx.lane_instructions += lanes_of(ready);
        if watched {
            attend(cx, inst, ready)?;
        }
    }
    match inst.op {
        _ if ready == 0 => {}
        Op::Sync(SyncOp::Barrier(kind)) => {
            let arrival = arrive::at_barrier(cx, inst, kind)?;
            if kind == BarrierKind::Arrive {
                warp.pc += 1;
            }
            return Ok(Next::Pause(Pause::Barrier(arrival)));
        }
        Op::Sync(op) => collective::execute(cx, inst, op)?,
        Op::Memory(op) => memory::execute(cx, inst, op)?,
        _ => {}
    }
    if warp.active == 0 {
        regroup(cx, warp)?;
        return Ok(Next::Moved);
    }
    Ok(Next::Advance)
}
