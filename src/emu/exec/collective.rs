//! What the lanes of a warp do together: shuffles, votes, matches, reductions, tensor-core products.

use super::arrive::{member_mask, team};
use super::barrier::Barrier;
use super::context::{Context, list};
use super::fault::Checked;
use super::memory::clock_scope;
use super::mma::mma;
use super::poison;
use crate::emu::op::{BarrierKind, MmaForm, Op, ReduceMode, ShuffleMode, SyncOp, VoteMode};
use crate::emu::program::Inst;
use crate::emu::rows::{LANES, Row};

/// Runs an instruction for lanes that are all there.
#[inline(always)]
pub fn execute(cx: &mut Context<'_>, inst: &Inst, op: SyncOp) -> Checked<()> {
    match op {
        SyncOp::Shuffle(mode) => shuffle(cx, inst, mode),
        SyncOp::Vote(mode) => teams(cx, inst, |cx, inst, team, _| vote(cx, inst, team, mode)),
        SyncOp::MatchAny { wide } => teams(cx, inst, |cx, inst, team, _| {
            match_any(cx, inst, team, wide);
        }),
        SyncOp::MatchAll { wide } => teams(cx, inst, |cx, inst, team, _| {
            match_all(cx, inst, team, wide);
        }),
        SyncOp::Reduce(mode) => {
            teams(cx, inst, |cx, inst, team, _| reduce(cx, inst, team, mode));
        }
        SyncOp::ActiveMask => {
            let mask = cx.lanes.mask;
            cx.lanes.rows.set(inst.d, &Row::splat(mask), mask);
        }
        SyncOp::Mma(form) => product(cx, inst, form),
        SyncOp::WarpSync => teams(cx, inst, |cx, _, _, wanted| {
            let warp = cx.warp;
            if let Some(watch) = &mut cx.watch {
                watch.near.clocks.warp_sync(warp, wanted);
            }
        }),
        SyncOp::Fence(scope) => {
            let (warp, mask) = (cx.warp, cx.lanes.mask);
            if let Some(watch) = &mut cx.watch {
                watch.near.clocks.fence(warp, mask, clock_scope(scope));
            }
        }
        SyncOp::Barrier(_) => {}
    }
    Ok(())
}

/// Calls `f` for each set of lanes that named one member mask, with the set and the mask.
fn teams(cx: &mut Context<'_>, inst: &Inst, f: impl Fn(&mut Context<'_>, &Inst, u32, u32)) {
    let Some(members) = member_mask(cx, inst) else {
        return;
    };
    let mut rest = cx.lanes.mask;
    while rest != 0 {
        let lane = rest.trailing_zeros() as usize;
        let wanted = cx.lanes.rows.get(members).0[lane % LANES];
        let team = team(cx, members, rest, wanted);
        cx.lanes.mask = team;
        f(cx, inst, team, wanted);
        rest &= !team;
    }
}

/// The lane that each lane reads from, and the lanes for which it is within their segment.
#[inline(always)]
pub fn shuffle_sources(cx: &Context<'_>, inst: &Inst, mode: ShuffleMode) -> (Row, u32) {
    let (b, c) = (cx.source(inst, 1), cx.source(inst, 2));
    let rows = &cx.lanes.rows;
    match (rows.uniform(b), rows.uniform(c)) {
        // Nearly always, and quicker.
        (Some(step), Some(control)) => sources_of(mode, |_| step, |_| control),
        _ => {
            let (b, c) = (rows.get(b), rows.get(c));
            sources_of(mode, |lane| b.0[lane], |lane| c.0[lane])
        }
    }
}

#[inline(always)]
fn sources_of(mode: ShuffleMode, b: impl Fn(usize) -> u32, c: impl Fn(usize) -> u32) -> (Row, u32) {
    match mode {
        ShuffleMode::Up => sources(b, c, |lane, step, _, limit| {
            let from = lane.wrapping_sub(step);
            (from, from as i32 >= limit as i32)
        }),
        ShuffleMode::Down => sources(b, c, |lane, step, _, limit| {
            let from = lane.wrapping_add(step);
            (from, from <= limit)
        }),
        ShuffleMode::Butterfly => sources(b, c, |lane, step, _, limit| {
            (lane ^ step, lane ^ step <= limit)
        }),
        ShuffleMode::Index => sources(b, c, |lane, step, segment, limit| {
            let from = (lane & segment) | (step & !segment);
            (from, from <= limit)
        }),
    }
}

/// Asks `f` for each lane's source and whether it fits, given the lane, the step, the segment mask and the last (for
/// `.up` the first) lane of the segment. One loop without branches, so that it becomes vector code.
#[inline(always)]
fn sources(
    b: impl Fn(usize) -> u32,
    c: impl Fn(usize) -> u32,
    f: impl Fn(u32, u32, u32, u32) -> (u32, bool),
) -> (Row, u32) {
    let (mut from, mut inside) = (Row::splat(0), Row::splat(0));
    let mut all = 1;
    for at in 0..LANES {
        let lane = at as u32;
        let (step, clamp, segment) = (b(at) & 31, c(at) & 31, (c(at) >> 8) & 31);
        let limit = (lane & segment) | (clamp & !segment);
        let (source, fits) = f(lane, step, segment, limit);
        from.0[at] = if fits { source & 31 } else { lane };
        inside.0[at] = u32::from(fits);
        all &= u32::from(fits);
    }
    if all == 1 {
        return (from, u32::MAX);
    }
    let lanes = inside.0.iter().enumerate();
    (
        from,
        lanes.fold(0, |mask, (lane, fits)| mask | fits << lane),
    )
}

/// The shuffle of nearly every reduction: all lanes of the warp, each with the one that differs in the same bit. False
/// where it is another.
#[inline(always)]
fn exchange(cx: &mut Context<'_>, inst: &Inst) -> bool {
    let step = cx.lanes.rows.uniform(cx.source(inst, 1));
    let control = cx.lanes.rows.uniform(cx.source(inst, 2));
    let (Some(step), Some(31), true) = (step, control, one_team(cx, inst)) else {
        return false;
    };
    let values = cx.lanes.rows.get(inst.a);
    let row = match step {
        1 => crossed::<1>(values),
        2 => crossed::<2>(values),
        4 => crossed::<4>(values),
        8 => crossed::<8>(values),
        16 => crossed::<16>(values),
        _ => return false,
    };
    cx.lanes.rows.set(inst.d, &row, u32::MAX);
    cx.lanes.set_pred(inst.pd[0], u32::MAX);
    true
}

/// Each lane with the value of the lane `STEP` away: known here, so that it becomes moves of vectors.
#[inline(always)]
fn crossed<const STEP: usize>(values: &Row) -> Row {
    let mut row = Row::splat(0);
    for lane in 0..LANES {
        row.0[lane] = values.0[lane ^ STEP];
    }
    row
}

#[inline(always)]
fn shuffle(cx: &mut Context<'_>, inst: &Inst, mode: ShuffleMode) {
    if mode == ShuffleMode::Butterfly && exchange(cx, inst) {
        return;
    }
    let (from, inside) = shuffle_sources(cx, inst, mode);
    let mask = cx.lanes.mask;
    let values = cx.lanes.rows.get(inst.a);
    let mut row = Row::splat(0);
    for lane in 0..LANES {
        row.0[lane] = values.0[from.0[lane] as usize % LANES];
    }
    let strange = strangers(cx, inst, &from);
    if strange != 0 {
        for lane in 0..LANES {
            row.0[lane] &= (strange >> lane & 1).wrapping_sub(1);
        }
    }
    cx.lanes.rows.set(inst.d, &row, mask);
    if strange != 0 && cx.grid.checks {
        poison::spread(cx, inst, strange);
    }
    cx.lanes.set_pred(inst.pd[0], inside);
}

/// Whether the whole warp takes part, under one member mask.
#[inline(always)]
fn one_team(cx: &Context<'_>, inst: &Inst) -> bool {
    let members = member_mask(cx, inst).and_then(|slot| cx.lanes.rows.uniform(slot));
    (members, cx.lanes.mask) == (Some(u32::MAX), u32::MAX)
}

/// The lanes that read one which does not take part or is not in their own member mask: it has no value to give, and
/// what is read of it is unwritten.
#[inline(always)]
pub fn strangers(cx: &Context<'_>, inst: &Inst, from: &Row) -> u32 {
    if one_team(cx, inst) {
        return 0;
    }
    let mask = cx.lanes.mask;
    let Some(members) = member_mask(cx, inst) else {
        return 0;
    };
    let members = cx.lanes.rows.get(members);
    let strange = |lane: &usize| (members.0[*lane] & mask) >> from.0[*lane] & 1 == 0;
    let lanes = (0..LANES).filter(strange);
    lanes.fold(0, |lanes, lane| lanes | 1 << lane) & mask
}

fn vote(cx: &mut Context<'_>, inst: &Inst, team: u32, mode: VoteMode) {
    let holds = cx.lanes.pred(inst.ps[0], inst.ps_negated[0], 0) & team;
    let answer = match mode {
        VoteMode::All => holds == team,
        VoteMode::Any => holds != 0,
        VoteMode::Uniform => holds == team || holds == 0,
        VoteMode::Ballot => {
            cx.lanes.rows.set(inst.d, &Row::splat(holds), team);
            return;
        }
    };
    cx.lanes
        .set_pred(inst.pd[0], u32::from(answer).wrapping_neg());
}

/// A lane's value of 32 or 64 bits.
fn value(cx: &Context<'_>, inst: &Inst, wide: bool, lane: usize) -> u64 {
    match wide {
        true => cx.lanes.rows.get_wide(inst.a).0[lane],
        false => u64::from(cx.lanes.rows.get(inst.a).0[lane]),
    }
}

fn match_any(cx: &mut Context<'_>, inst: &Inst, team: u32, wide: bool) {
    let mut row = Row::splat(0);
    for lane in 0..LANES {
        let mine = value(cx, inst, wide, lane);
        for other in 0..LANES {
            row.0[lane] |= u32::from(value(cx, inst, wide, other) == mine) << other;
        }
        row.0[lane] &= team;
    }
    cx.lanes.rows.set(inst.d, &row, team);
}

fn match_all(cx: &mut Context<'_>, inst: &Inst, team: u32, wide: bool) {
    let first = value(cx, inst, wide, team.trailing_zeros() as usize % LANES);
    let all = (0..LANES)
        .filter(|lane| team >> lane & 1 == 1)
        .all(|lane| value(cx, inst, wide, lane) == first);
    let mask = if all { team } else { 0 };
    cx.lanes.rows.set(inst.d, &Row::splat(mask), team);
    cx.lanes.set_pred(inst.pd[0], u32::from(all).wrapping_neg());
}

fn reduce(cx: &mut Context<'_>, inst: &Inst, team: u32, mode: ReduceMode) {
    let row = cx.lanes.rows.get(inst.a);
    let values = (0..LANES)
        .filter(|lane| team >> lane & 1 == 1)
        .map(|lane| row.0[lane]);
    let joined = values.reduce(|x, y| match mode {
        ReduceMode::Add => x.wrapping_add(y),
        ReduceMode::MinUnsigned => x.min(y),
        ReduceMode::MaxUnsigned => x.max(y),
        ReduceMode::MinSigned => (x as i32).min(y as i32) as u32,
        ReduceMode::MaxSigned => (x as i32).max(y as i32) as u32,
        ReduceMode::And => x & y,
        ReduceMode::Or => x | y,
        ReduceMode::Xor => x ^ y,
    });
    cx.lanes
        .rows
        .set(inst.d, &Row::splat(joined.unwrap_or(0)), team);
}

/// Gives the lanes of a warp what a barrier's reduction found.
pub fn barrier_result(cx: &mut Context<'_>, inst: &Inst, barrier: &Barrier) {
    let Op::Sync(SyncOp::Barrier(kind)) = inst.op else {
        return;
    };
    let answer = barrier.answer(kind);
    match kind {
        BarrierKind::Count => cx
            .lanes
            .rows
            .set(inst.d, &Row::splat(answer), cx.lanes.mask),
        BarrierKind::All | BarrierKind::Any => cx.lanes.set_pred(inst.pd[0], answer),
        BarrierKind::Sync | BarrierKind::Arrive => {}
    }
}

/// Most registers of a fragment.
const FRAGMENT: usize = 4;

fn product(cx: &mut Context<'_>, inst: &Inst, form: MmaForm) {
    let slots = list(cx.grid, inst);
    let (results, mut sources) = slots.split_at(usize::from(inst.defs));
    let mut fragments = [[Row::splat(0); FRAGMENT]; 3];
    let counts = [form.a_registers(), form.b_registers(), form.d_registers()];
    for (fragment, count) in fragments.iter_mut().zip(counts) {
        let (now, later) = sources.split_at(count);
        for (row, slot) in fragment.iter_mut().zip(now) {
            *row = *cx.lanes.rows.get(*slot);
        }
        sources = later;
    }
    let mut d = [Row::splat(0); FRAGMENT];
    let [a, b, c] = &fragments;
    let [a_count, b_count, d_count] = counts;
    let target = cx.grid.program.device;
    mma(
        form,
        target,
        &a[..a_count],
        &b[..b_count],
        &c[..d_count],
        &mut d[..d_count],
    );
    for (row, slot) in d.iter().zip(results) {
        cx.lanes.rows.set(*slot, row, u32::MAX);
    }
}
