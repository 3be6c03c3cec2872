//! What the emulated device holds: memory, modules, events and sequences by number.

use std::time::Instant;

use super::Counted;
use crate::driver::{
    DevicePtr, DriverError, EventId, FunctionId, Image, Launch, MailboxId, ModuleId, Result,
    SequenceId, Target,
};
use crate::emu::exec::alu::{Alu, LaneCode};
use crate::emu::memory::{self, Allocation, Content, Device};
use crate::emu::program::{Program, decode_module};
use crate::emu::ptx;
use crate::emu::report::{Place, Report, ReportKind};

/// A loaded kernel.
#[derive(Debug)]
pub struct Kernel {
    /// The decoded program.
    pub program: Program,
    /// What [`Alu::lane_code`] gives for it.
    pub lane_code: Vec<Option<LaneCode>>,
}

/// Host memory that copies are queued to; here they are made at once.
#[derive(Debug)]
struct Mailbox {
    room: usize,
    content: Option<Vec<u8>>,
}

/// The state of a device.
#[derive(Debug)]
pub struct State {
    /// Its memory.
    pub memory: Device,
    /// Instructions run so far, counted a lane.
    pub lane_instructions: u64,
    /// What launches did, until somebody asks.
    pub counted: Vec<Counted>,
    alu: Alu,
    /// The kernels of all modules.
    kernels: Vec<Kernel>,
    /// The first kernel of each module and one past its last.
    modules: Vec<std::ops::Range<usize>>,
    events: Vec<Option<Instant>>,
    sequences: Vec<Vec<Launch>>,
    mailboxes: Vec<Mailbox>,
}

fn unknown(what: &'static str, value: u64) -> DriverError {
    DriverError::Unknown { what, value }
}

/// The finding for a copy, to the host or the device, of bytes that nobody wrote.
fn unwritten(to: &str, allocation: &Allocation, from: DevicePtr, len: usize, hole: u64) -> Report {
    let byte = hole - allocation.address;
    Report {
        kind: ReportKind::UninitializedRead,
        kernel: format!("a copy to the {to}"),
        what: format!("copy of {len} bytes from {:#x}", from.0),
        place: Place {
            cta: [0; 3],
            thread: [0; 3],
            ptx_line: 0,
            instruction: format!("the {to} copies {len} bytes"),
            source: None,
        },
        other: None,
        memory: Some(format!(
            "allocation of {} bytes, byte {byte}",
            allocation.bytes
        )),
        value: None,
    }
}

impl State {
    /// A device of `capacity` bytes that holds nothing.
    pub fn new(capacity: u64, alu: Alu) -> State {
        State {
            memory: Device::new(capacity),
            lane_instructions: 0,
            counted: Vec::new(),
            alu,
            kernels: Vec::new(),
            modules: Vec::new(),
            events: Vec::new(),
            sequences: Vec::new(),
            mailboxes: Vec::new(),
        }
    }

    /// See [`crate::driver::Driver::alloc`].
    pub fn alloc(&mut self, bytes: usize) -> Result<DevicePtr> {
        let asked = bytes as u64;
        let given = self.memory.alloc(asked);
        given
            .map(DevicePtr)
            .map_err(|free| DriverError::OutOfMemory { asked, free })
    }

    /// See [`crate::driver::Driver::free`].
    pub fn free(&mut self, ptr: DevicePtr) -> Result<()> {
        match self.memory.free(ptr.0) {
            true => Ok(()),
            false => Err(unknown("address", ptr.0)),
        }
    }

    fn find(&self, at: DevicePtr, len: usize) -> Result<(&Allocation, &Content)> {
        let found = self.memory.find(at.0, len as u64);
        found.ok_or_else(|| unknown("address range from", at.0))
    }

    /// See [`crate::driver::Driver::copy_in`].
    pub fn copy_in(&self, to: DevicePtr, bytes: &[u8]) -> Result<()> {
        let (allocation, content) = self.find(to, bytes.len())?;
        let offset = (to.0 - allocation.address) as usize;
        memory::write(&content.words[..], offset, bytes);
        content.written.set(to.0, bytes.len() as u64);
        Ok(())
    }

    /// See [`crate::driver::Driver::copy_out`].
    pub fn copy_out(&self, from: DevicePtr, bytes: &mut [u8], checks: bool) -> Result<()> {
        self.read("host", from, bytes, checks)
    }

    fn read(&self, to: &str, from: DevicePtr, bytes: &mut [u8], checks: bool) -> Result<()> {
        let (allocation, content) = self.find(from, bytes.len())?;
        let hole = content.written.first_unwritten(from.0, bytes.len() as u64);
        if let Some(hole) = hole.filter(|_| checks && !bytes.is_empty()) {
            let report = unwritten(to, allocation, from, bytes.len(), hole);
            return Err(DriverError::Finding(Box::new(report)));
        }
        let offset = (from.0 - allocation.address) as usize;
        memory::read(&content.words[..], offset, bytes);
        Ok(())
    }

    /// See [`crate::driver::Driver::copy_within`].
    pub fn copy_within(
        &self,
        from: DevicePtr,
        to: DevicePtr,
        len: usize,
        checks: bool,
    ) -> Result<()> {
        // Both are looked for before the host takes memory for so many bytes.
        self.find(from, len)?;
        self.find(to, len)?;
        if from.0.abs_diff(to.0) < len as u64 {
            return Err(unknown("place apart from what is copied there", to.0));
        }
        let mut bytes = vec![0; len];
        self.read("device", from, &mut bytes, checks)?;
        self.copy_in(to, &bytes)
    }

    /// See [`crate::driver::Driver::mailbox`].
    pub fn add_mailbox(&mut self, room: usize) -> Result<MailboxId> {
        let content = None;
        self.mailboxes.push(Mailbox { room, content });
        Ok(MailboxId(self.mailboxes.len() as u32 - 1))
    }

    /// See [`crate::driver::Driver::queue_out`].
    pub fn queue_out(
        &mut self,
        from: DevicePtr,
        len: usize,
        to: MailboxId,
        checks: bool,
    ) -> Result<()> {
        let fits = |mailbox: &&Mailbox| mailbox.room >= len;
        let mailbox = self.mailboxes.get(to.0 as usize).filter(fits);
        mailbox.ok_or_else(|| unknown("mailbox of that size", u64::from(to.0)))?;
        let mut bytes = vec![0; len];
        self.copy_out(from, &mut bytes, checks)?;
        self.mailboxes[to.0 as usize].content = Some(bytes);
        Ok(())
    }

    /// See [`crate::driver::Driver::collect`].
    pub fn collect(&self, from: MailboxId, bytes: &mut [u8]) -> Result<()> {
        let mailbox = self.mailboxes.get(from.0 as usize);
        let content = mailbox.and_then(|mailbox| mailbox.content.as_ref());
        let content = content.and_then(|content| content.get(..bytes.len()));
        bytes.copy_from_slice(content.ok_or_else(|| unknown("filled mailbox", u64::from(from.0)))?);
        Ok(())
    }

    /// See [`crate::driver::Driver::fill`].
    pub fn fill(&self, to: DevicePtr, byte: u8, len: usize) -> Result<()> {
        let (allocation, content) = self.find(to, len)?;
        let offset = (to.0 - allocation.address) as usize;
        memory::fill(&content.words[..], offset, len, byte);
        content.written.set(to.0, len as u64);
        Ok(())
    }

    /// See [`crate::driver::Driver::load_module`].
    pub fn load_module(&mut self, image: &Image<'_>, target: Target) -> Result<ModuleId> {
        let refuse = |reason: String| DriverError::Module {
            module: image.name.into(),
            reason,
        };
        let module = ptx::parse(image.ptx).map_err(|error| refuse(error.to_string()))?;
        if module.target > target.number() {
            let reason = format!("it is for sm_{}, the device is {target}", module.target);
            return Err(refuse(reason));
        }
        let programs = decode_module(&module, target);
        let programs = programs.map_err(|error| refuse(error.to_string()))?;
        let first = self.kernels.len();
        let alu = self.alu;
        self.kernels
            .extend(programs.into_iter().map(|program| Kernel {
                lane_code: alu.lane_code(&program),
                program,
            }));
        self.modules.push(first..self.kernels.len());
        Ok(ModuleId(self.modules.len() as u32 - 1))
    }

    /// See [`crate::driver::Driver::function`].
    pub fn function(&self, module: ModuleId, name: &str) -> Result<Option<FunctionId>> {
        let range = self.modules.get(module.0 as usize);
        let range = range.ok_or_else(|| unknown("module", u64::from(module.0)))?;
        let mut kernels = range.clone();
        let found = kernels.find(|&index| self.kernels[index].program.name == name);
        Ok(found.map(|index| FunctionId(index as u32)))
    }

    /// A kernel.
    pub fn kernel(&self, function: FunctionId) -> Result<&Kernel> {
        let kernel = self.kernels.get(function.0 as usize);
        kernel.ok_or_else(|| unknown("function", u64::from(function.0)))
    }

    /// A new event.
    pub fn add_event(&mut self) -> EventId {
        self.events.push(None);
        EventId(self.events.len() as u32 - 1)
    }

    /// Takes an event's time.
    pub fn record(&mut self, event: EventId, now: Instant) -> Result<()> {
        let slot = self.events.get_mut(event.0 as usize);
        *slot.ok_or_else(|| unknown("event", u64::from(event.0)))? = Some(now);
        Ok(())
    }

    /// When an event was recorded.
    pub fn recorded(&self, event: EventId) -> Result<Instant> {
        let slot = self.events.get(event.0 as usize).copied().flatten();
        slot.ok_or_else(|| unknown("recorded event", u64::from(event.0)))
    }

    /// A new sequence.
    pub fn add_sequence(&mut self, launches: Vec<Launch>) -> SequenceId {
        self.sequences.push(launches);
        SequenceId(self.sequences.len() as u32 - 1)
    }

    /// See [`crate::driver::Driver::change`].
    pub fn change_sequence(
        &mut self,
        sequence: SequenceId,
        index: usize,
        launch: &Launch,
    ) -> Result<()> {
        let launches = self.sequences.get_mut(sequence.0 as usize);
        let launches = launches.ok_or_else(|| unknown("sequence", u64::from(sequence.0)))?;
        let same = |old: &&mut Launch| old.function == launch.function;
        let old = launches.get_mut(index).filter(same);
        *old.ok_or_else(|| unknown("launch of that kernel in the sequence", index as u64))? =
            launch.clone();
        Ok(())
    }

    /// The launches of a sequence.
    pub fn sequence(&self, sequence: SequenceId) -> Result<Vec<Launch>> {
        let launches = self.sequences.get(sequence.0 as usize).cloned();
        launches.ok_or_else(|| unknown("sequence", u64::from(sequence.0)))
    }
}
