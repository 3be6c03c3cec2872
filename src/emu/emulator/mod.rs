//! The emulator as a device: the second implementation of [`Driver`].
//!
//! Everything happens in the call that asks for it: a launch has run, and what it did wrong is its result, when
//! [`Driver::launch`] returns. After a finding the device goes on; what the kernel had written stays written. The times of
//! events are the host's.

mod facts;
mod prepare;
mod state;

use std::cell::RefCell;
use std::time::Instant;

use super::counters::Counters;
use super::exec;
use super::exec::alu::Alu;
use crate::driver::{
    DeviceFacts, DevicePtr, Driver, DriverError, EventId, FunctionId, Geometry, Image, Launch,
    MailboxId, ModuleId, Result, SequenceId, Target,
};
use state::State;

/// Warp instructions that one CTA may run before it counts as endless.
const MAX_INSTRUCTIONS: u64 = 1 << 26;

/// What an emulator is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmuOptions {
    /// The generation that it stands for.
    pub target: Target,
    /// Host threads that run CTAs; results do not depend on them, unless CTAs race.
    pub host_threads: usize,
    /// Whether races and unwritten memory are looked for. Bounds, alignment and barriers always are.
    pub checks: bool,
    /// Whether instructions and memory traffic are counted.
    pub counters: bool,
}

/// What a launch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The kernel.
    pub kernel: String,
    /// Its grid and CTA.
    pub geometry: Geometry,
    /// CTAs that ran: all of the grid, or those of [`Emulator::sampling`].
    pub ctas: u64,
    /// Their instructions and traffic.
    pub counters: Counters,
}

/// How CTAs and warps take turns.
#[derive(Debug, Clone, Copy)]
struct Turns {
    /// Warp instructions that one CTA may run.
    budget: u64,
    /// Whether the last is the first.
    descending: bool,
    /// CTAs of a launch that run.
    most: u64,
}

/// A GPU in software.
#[derive(Debug)]
pub struct Emulator {
    options: EmuOptions,
    facts: DeviceFacts,
    turns: Turns,
    state: RefCell<State>,
}

impl Emulator {
    /// A device without memory in use and without modules.
    pub fn new(options: EmuOptions) -> Emulator {
        let facts = facts::of(options.target);
        Emulator {
            options,
            turns: Turns {
                budget: MAX_INSTRUCTIONS,
                descending: false,
                most: u64::MAX,
            },
            state: RefCell::new(State::new(facts.memory_bytes, Alu::detect())),
            facts,
        }
    }

    /// The same with another bound on the warp instructions of one CTA.
    pub fn with_budget(mut self, instructions: u64) -> Emulator {
        self.turns.budget = instructions;
        self
    }

    /// The same with CTAs and warps run from the last to the first, each in as long turns as before. A kernel that is right
    /// gives the same; one whose order was luck often does not.
    pub fn descending(mut self) -> Emulator {
        self.turns.descending = true;
        self
    }

    /// The same with at most `ctas` CTAs of a launch run, evenly spread over its grid: for counting what launches of thousands
    /// of like CTAs do. Whatever the others should have written is not there.
    pub fn sampling(mut self, ctas: u64) -> Emulator {
        self.turns.most = ctas.max(1);
        self
    }

    /// Instructions run so far, counted a lane.
    pub fn instructions(&self) -> u64 {
        self.state.borrow().lane_instructions
    }

    /// What the launches since the last call did, in order; nothing without [`EmuOptions::counters`].
    pub fn counters(&self) -> Vec<Counted> {
        std::mem::take(&mut self.state.borrow_mut().counted)
    }

    fn run(&self, launch: &Launch) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let (lane_instructions, counted, report) = {
            let grid = prepare::grid(&state, launch, &self.facts, &self.options, self.turns)?;
            if self.options.checks {
                prepare::forget_outputs(&grid);
                prepare::note_written(&grid);
            }
            let outcome = exec::run(&grid, self.options.host_threads);
            let outcome = outcome.ok_or_else(|| DriverError::Launch {
                kernel: grid.program.name.clone(),
                reason: "the host has no memory for its registers, its local and shared memory, or what the checks keep".into(),
            })?;
            let report = outcome.fault.map(|fault| fault.report(&grid));
            let counted = outcome.counters.map(|counters| Counted {
                kernel: grid.program.name.clone(),
                geometry: launch.geometry,
                ctas: grid.turns(),
                counters,
            });
            (outcome.lane_instructions, counted, report)
        };
        state.lane_instructions += lane_instructions;
        // Where CTAs stop at a finding of another depends on the host; what is counted until then means nothing.
        state.counted.extend(counted.filter(|_| report.is_none()));
        report.map_or(Ok(()), |report| Err(DriverError::Finding(Box::new(report))))
    }
}

impl Driver for Emulator {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn free_bytes(&self) -> Result<u64> {
        Ok(self.state.borrow().memory.free_bytes())
    }

    fn alloc(&self, bytes: usize) -> Result<DevicePtr> {
        self.state.borrow_mut().alloc(bytes)
    }

    fn free(&self, ptr: DevicePtr) -> Result<()> {
        self.state.borrow_mut().free(ptr)
    }

    fn copy_in(&self, to: DevicePtr, bytes: &[u8]) -> Result<()> {
        self.state.borrow().copy_in(to, bytes)
    }

    fn copy_out(&self, from: DevicePtr, bytes: &mut [u8]) -> Result<()> {
        self.state
            .borrow()
            .copy_out(from, bytes, self.options.checks)
    }

    fn mailbox(&self, bytes: usize) -> Result<MailboxId> {
        self.state.borrow_mut().add_mailbox(bytes)
    }

    fn queue_out(&self, from: DevicePtr, bytes: usize, to: MailboxId) -> Result<()> {
        let checks = self.options.checks;
        self.state.borrow_mut().queue_out(from, bytes, to, checks)
    }

    fn collect(&self, from: MailboxId, bytes: &mut [u8]) -> Result<()> {
        self.state.borrow().collect(from, bytes)
    }

    fn fill(&self, to: DevicePtr, byte: u8, len: usize) -> Result<()> {
        self.state.borrow().fill(to, byte, len)
    }

    fn copy_within(&self, from: DevicePtr, to: DevicePtr, len: usize) -> Result<()> {
        self.state
            .borrow()
            .copy_within(from, to, len, self.options.checks)
    }

    fn load_module(&self, image: &Image<'_>) -> Result<ModuleId> {
        self.state
            .borrow_mut()
            .load_module(image, self.options.target)
    }

    fn function(&self, module: ModuleId, name: &str) -> Result<Option<FunctionId>> {
        self.state.borrow().function(module, name)
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
        self.run(launch)
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn event(&self) -> Result<EventId> {
        Ok(self.state.borrow_mut().add_event())
    }

    fn record(&self, event: EventId) -> Result<()> {
        self.state.borrow_mut().record(event, Instant::now())
    }

    fn elapsed_ms(&self, start: EventId, end: EventId) -> Result<f32> {
        let state = self.state.borrow();
        let (start, end) = (state.recorded(start)?, state.recorded(end)?);
        Ok(end.saturating_duration_since(start).as_secs_f32() * 1e3)
    }

    fn sequence(&self, launches: &[Launch]) -> Result<SequenceId> {
        let mut state = self.state.borrow_mut();
        for (index, launch) in launches.iter().enumerate() {
            let grid = prepare::grid(&state, launch, &self.facts, &self.options, self.turns)?;
            if index > 0 && self.options.target.overlaps() && !grid.program.waits {
                return Err(DriverError::Launch {
                    kernel: grid.program.name.clone(),
                    reason: "it follows another in a sequence and never waits for it (griddepcontrol.wait)"
                        .into(),
                });
            }
        }
        Ok(state.add_sequence(launches.to_vec()))
    }

    fn change(&self, sequence: SequenceId, index: usize, launch: &Launch) -> Result<()> {
        let mut state = self.state.borrow_mut();
        prepare::grid(&state, launch, &self.facts, &self.options, self.turns)?;
        state.change_sequence(sequence, index, launch)
    }

    fn replay(&self, sequence: SequenceId) -> Result<()> {
        let launches = self.state.borrow().sequence(sequence)?;
        launches.iter().try_for_each(|launch| self.run(launch))
    }
}
