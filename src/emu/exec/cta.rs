//! A CTA: its warps in turn, its barriers, its memory. One is kept for each host thread and used for one CTA after the
//! other.

use std::cell::Cell;

use super::alu::LaneState;
use super::arrive::Arrival;
use super::barrier::Barriers;
use super::collective::barrier_result;
use super::context::Context;
use super::fault::{Checked, Fault, Spot};
use super::grid::Grid;
use super::memory::local_stride;
use super::poison::Poison;
use super::progress::Progress;
use super::step::{self, Pause};
use super::warp::{Status, Warp};
use super::watch::{Near, Watch};
use crate::emu::check::Cells;
use crate::emu::counters::Counters;
use crate::emu::op::{BarrierKind, Op, Special};
use crate::emu::report::ReportKind;
use crate::emu::rows::{LANES, Row, Rows};

/// Instructions that a warp runs before the next has its turn.
const SLICE: u32 = 4096;
/// What unwritten registers and memory hold, so that a kernel that uses them does not work by luck.
const UNWRITTEN: u32 = 0xcdcd_cdcd;

/// The state of a CTA.
pub struct Cta<'g> {
    grid: &'g Grid<'g>,
    index: u64,
    warps: Vec<Warp>,
    registers: Vec<Row>,
    preds: Vec<u32>,
    carry: Vec<u32>,
    poison_rows: Vec<u32>,
    poison_preds: Vec<u32>,
    spreads: Vec<bool>,
    shared: Vec<Cell<u32>>,
    local: Vec<Cell<u32>>,
    barriers: Barriers,
    /// The counters, where something is counted.
    pub counters: Option<Counters>,
    /// The checks' part, where they are made.
    pub near: Option<Near>,
    left: u64,
    progress: Progress,
    /// Whether memory was changed, or a barrier come to, since a look was remembered.
    changed: bool,
    /// Whether a spinning kernel can be told from its registers: it does not read the clock.
    timeless: bool,
    /// Instructions run so far by all CTAs, counted a lane.
    pub lane_instructions: u64,
}

/// `count` values, where the host has room for them: a module's sizes and a launch's decide how many.
fn filled<T: Clone>(count: usize, value: T) -> Option<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).ok()?;
    values.resize(count, value);
    Some(values)
}

impl<'g> Cta<'g> {
    /// Room for the CTAs of a launch; `None` where the host has none.
    pub fn new(grid: &'g Grid<'g>, near: Option<Near>) -> Option<Cta<'g>> {
        let warps = grid.warps as usize;
        let (rows, preds) = (
            usize::from(grid.program.rows),
            usize::from(grid.program.preds),
        );
        let words = |bytes: usize| filled(bytes.div_ceil(4), Cell::new(UNWRITTEN));
        let local = LANES * local_stride(grid.program.local_bytes) as usize;
        Some(Cta {
            grid,
            index: 0,
            warps: Vec::with_capacity(warps),
            registers: filled(warps * rows, Row::splat(UNWRITTEN))?,
            preds: filled(warps * preds, 0)?,
            carry: vec![0; warps],
            poison_rows: filled(warps * rows, 0)?,
            poison_preds: filled(warps * preds, 0)?,
            spreads: vec![false; warps],
            shared: words(grid.shared_bytes as usize)?,
            local: words(warps * local)?,
            barriers: Barriers::default(),
            counters: grid.counters.then(Counters::default),
            near,
            left: 0,
            progress: Progress::default(),
            changed: false,
            timeless: !grid
                .program
                .code
                .iter()
                .any(|inst| inst.op == Op::Special(Special::Clock)),
            lane_instructions: 0,
        })
    }

    /// Runs a CTA to its end; `far` are the shadows of global memory.
    pub fn run(&mut self, index: u64, far: &mut [Cells]) -> Checked<()> {
        self.begin(index);
        let result = self.rounds(far);
        let unwritten = self.near.as_mut().and_then(|near| near.unwritten.take());
        match (result, unwritten) {
            (Err(fault), _) if fault.kind == ReportKind::Race => Err(fault),
            (_, Some(unwritten)) => Err(unwritten),
            (result, None) => result,
        }
    }

    /// Gives the warps their turns until none can run.
    fn rounds(&mut self, far: &mut [Cells]) -> Checked<()> {
        loop {
            let mut ran = false;
            let count = self.warps.len();
            for turn in 0..count {
                let warp = match self.grid.descending {
                    true => count - 1 - turn,
                    false => turn,
                };
                if self.warps[warp].status == Status::Ready {
                    ran = true;
                    self.turn(warp as u32, far)?;
                }
            }
            if !ran {
                break;
            }
            self.look()?;
        }
        let waits = |warp: &Warp| matches!(warp.status, Status::Waiting { .. });
        match self.warps.iter().any(waits) {
            true => Err(self.deadlock()),
            false => Ok(()),
        }
    }

    /// Ends a CTA that can only do for ever what it does.
    fn look(&mut self) -> Checked<()> {
        let (registers, flags) = (&self.registers, (&self.preds[..], &self.carry[..]));
        let still = self.timeless
            && self
                .progress
                .stands_still(registers, flags, &self.warps, &mut self.changed);
        if !still {
            return Ok(());
        }
        let ready = |warp: &Warp| warp.status == Status::Ready;
        let warp = self.warps.iter().position(ready).unwrap_or(0);
        let what = "the CTA waits for what nothing can change any more".to_string();
        let (lanes, pc) = (self.warps[warp].active, self.warps[warp].pc);
        let at = self.spot(warp as u32, lanes, pc);
        Err(Fault::new(ReportKind::NoProgress, at, what))
    }

    fn begin(&mut self, index: u64) {
        let program = self.grid.program;
        self.index = index;
        self.left = self.grid.budget;
        self.progress.begin();
        self.warps.clear();
        for warp in 0..self.grid.warps {
            self.warps.push(Warp::new(self.grid.lanes(warp)));
        }
        if let Some(near) = &mut self.near {
            near.begin(self.grid, index);
        }
        self.barriers = Barriers::default();
        self.shared.fill(Cell::new(UNWRITTEN));
        self.local.fill(Cell::new(UNWRITTEN));
        self.carry.fill(0);
        self.spreads.fill(false);
        self.poison_rows.fill(0);
        self.poison_preds.fill(0);
        for warp in 0..self.grid.warps as usize {
            let rows = warp * usize::from(program.rows);
            for row in &program.poison_rows {
                self.poison_rows[rows + usize::from(*row)] = u32::MAX;
                self.registers[rows + usize::from(*row)] = Row::splat(UNWRITTEN);
            }
            let preds = warp * usize::from(program.preds);
            for pred in &program.poison_preds {
                self.poison_preds[preds + usize::from(*pred)] = u32::MAX;
                self.preds[preds + usize::from(*pred)] = 0;
            }
        }
    }

    /// Gives a warp its turn.
    fn turn(&mut self, warp: u32, far: &mut [Cells]) -> Checked<()> {
        let slice = self.left.min(u64::from(SLICE)) as u32;
        let (mut cx, state) = self.context(warp, far);
        let result = step::run(&mut cx, state, slice);
        let (ran, at, changed) = (cx.lane_instructions, cx.pc, cx.changed);
        let spreads = cx.poison.still_spreads();
        self.lane_instructions += ran;
        self.changed |= changed;
        self.spreads[warp as usize] = spreads;
        let (steps, pause) = result?;
        self.left -= u64::from(steps);
        match pause {
            Pause::Slice if self.left == 0 => return Err(self.endless(warp, at)),
            Pause::Slice => {}
            Pause::Done => {
                self.warps[warp as usize].status = Status::Done;
                self.release_complete();
            }
            Pause::Barrier(arrival) => self.arrive(warp, arrival)?,
        }
        Ok(())
    }

    fn context<'c>(&'c mut self, warp: u32, far: &'c mut [Cells]) -> (Context<'c>, &'c mut Warp) {
        let grid = self.grid;
        let index = warp as usize;
        let (rows, preds) = (
            usize::from(grid.program.rows),
            usize::from(grid.program.preds),
        );
        let (rows, preds) = (
            index * rows..(index + 1) * rows,
            index * preds..(index + 1) * preds,
        );
        let local = LANES * local_stride(grid.program.local_bytes) as usize / 4;
        let cx = Context {
            grid,
            cta: self.index,
            cta_id: grid.cta(self.index),
            warp,
            pc: 0,
            lanes: LaneState {
                rows: Rows {
                    registers: &mut self.registers[rows.clone()],
                    constants: &grid.program.constants,
                },
                preds: &mut self.preds[preds.clone()],
                carry: &mut self.carry[index],
                mask: 0,
            },
            poison: Poison {
                rows: &mut self.poison_rows[rows],
                preds: &mut self.poison_preds[preds],
                spreads: self.spreads[index],
            },
            counters: self.counters.as_mut(),
            watch: self.near.as_mut().map(|near| Watch { near, far }),
            lane_instructions: 0,
            changed: false,
            shared: &self.shared,
            local: &self.local[index * local..(index + 1) * local],
        };
        (cx, &mut self.warps[index])
    }

    fn arrive(&mut self, warp: u32, arrival: Arrival) -> Checked<()> {
        self.changed = true;
        let barrier = &mut self.barriers[usize::from(arrival.barrier)];
        if !barrier.arrive(warp, arrival) {
            let name = |count: Option<u32>| count.map_or("all".into(), |count| count.to_string());
            let what = format!(
                "barrier {} of {} threads, which others wait for with {}",
                arrival.barrier,
                name(arrival.count),
                name(barrier.count)
            );
            let first = barrier.first;
            let at = self.spot(warp, arrival.lanes, arrival.pc);
            let fault = Fault::new(ReportKind::Divergence, at, what);
            return Err(match first {
                Some((warp, first)) => fault.with_other(self.spot(warp, first.lanes, first.pc)),
                None => fault,
            });
        }
        if arrival.kind == BarrierKind::Arrive {
            if let Some(near) = &mut self.near {
                near.clocks.arrive(u32::from(arrival.barrier), warp);
            }
        } else {
            self.warps[warp as usize].status = Status::Waiting {
                barrier: arrival.barrier,
            };
        }
        self.release_complete();
        Ok(())
    }

    /// Lets the warps of every complete barrier go on.
    fn release_complete(&mut self) {
        let bit = |done: u32, (index, warp): (usize, &Warp)| {
            done | u32::from(warp.status == Status::Done) << index
        };
        let exited = self.warps.iter().enumerate().fold(0, bit);
        let all = u32::MAX >> (32 - self.grid.warps);
        for index in 0..self.barriers.len() {
            if !self.barriers[index].complete(exited, all) {
                continue;
            }
            let barrier = std::mem::take(&mut self.barriers[index]);
            if let Some(near) = &mut self.near {
                // Without a count the warps that have exited are among those that the barrier orders.
                let gone = if barrier.count.is_none() { exited } else { 0 };
                near.clocks.barrier(index as u32, barrier.waiting | gone);
            }
            for warp in (0..self.grid.warps).filter(|warp| barrier.waiting >> warp & 1 == 1) {
                let (mut cx, state) = self.context(warp, &mut []);
                let inst = &cx.grid.program.code[state.pc as usize];
                cx.lanes.mask = state.active;
                barrier_result(&mut cx, inst, &barrier);
                state.pc += 1;
                state.status = Status::Ready;
            }
        }
    }

    fn spot(&self, warp: u32, lanes: u32, pc: u32) -> Spot {
        Spot {
            cta: self.index,
            thread: warp * LANES as u32 + lanes.trailing_zeros().min(31),
            pc,
        }
    }

    #[cold]
    fn endless(&self, warp: u32, pc: u32) -> Box<Fault> {
        let what = format!(
            "the CTA has run {} instructions and is not at its end",
            self.grid.budget
        );
        let at = self.spot(warp, self.warps[warp as usize].active, pc);
        Fault::new(ReportKind::NoProgress, at, what)
    }

    /// Warps wait at barriers, and nobody is left who could come.
    #[cold]
    fn deadlock(&self) -> Box<Fault> {
        let first = self
            .barriers
            .iter()
            .enumerate()
            .find(|(_, b)| b.waiting != 0);
        let Some((index, barrier)) = first else {
            return Fault::new(
                ReportKind::Divergence,
                self.spot(0, 1, 0),
                "warps wait at no barrier".into(),
            );
        };
        let wanted = match barrier.count {
            Some(count) => count,
            None => self.grid.warps * 32,
        };
        let threads = barrier.threads();
        let waiting = barrier.waiting.trailing_zeros();
        let warp = &self.warps[waiting as usize];
        let what = format!(
            "barrier {index}: {threads} threads have come, in whole warps, of {wanted}; nobody else can come"
        );
        let at = self.spot(waiting, warp.active, warp.pc);
        let fault = Fault::new(ReportKind::Divergence, at, what);
        let elsewhere =
            self.warps.iter().enumerate().find(|(index, warp)| {
                barrier.arrived >> index & 1 == 0 && warp.status != Status::Done
            });
        match elsewhere {
            Some((index, warp)) => fault.with_other(self.spot(index as u32, warp.active, warp.pc)),
            None => fault,
        }
    }
}
