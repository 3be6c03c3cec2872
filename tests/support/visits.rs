//! A device that counts which kernels run on it, by name: an emulator or a GPU with a note of every launch.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use qwarp::driver::{
    DeviceFacts, DevicePtr, Driver, EventId, FunctionId, Image, Launch, MailboxId, ModuleId,
    Result, SequenceId, Target,
};
use qwarp::emu::{EmuOptions, Emulator};

/// Launches by kernel. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Visits(Rc<RefCell<BTreeMap<String, u64>>>);

impl Visits {
    /// Launches so far of kernels whose names contain `part`.
    pub fn of(&self, part: &str) -> u64 {
        let counts = self.0.borrow();
        let named = counts.iter().filter(|(name, _)| name.contains(part));
        named.map(|(_, count)| count).sum()
    }

    /// Every launch so far.
    pub fn all(&self) -> u64 {
        self.of("")
    }

    fn add(&self, kernel: &str) {
        *self.0.borrow_mut().entry(kernel.to_string()).or_default() += 1;
    }
}

/// A device, and what ran on it.
pub struct Counting {
    device: Box<dyn Driver>,
    names: RefCell<HashMap<FunctionId, String>>,
    sequences: RefCell<HashMap<SequenceId, Vec<FunctionId>>>,
    visits: Visits,
}

impl Counting {
    /// An emulator of `target` on `host_threads` threads, with or without its checks.
    pub fn new(target: Target, host_threads: usize, checks: bool) -> Counting {
        Counting::over(Box::new(Emulator::new(EmuOptions {
            target,
            host_threads,
            checks,
            counters: false,
        })))
    }

    /// A device of the caller's.
    pub fn over(device: Box<dyn Driver>) -> Counting {
        Counting {
            device,
            names: RefCell::default(),
            sequences: RefCell::default(),
            visits: Visits::default(),
        }
    }

    /// What it counts, also after it has gone into a backend.
    pub fn visits(&self) -> Visits {
        self.visits.clone()
    }

    fn note(&self, function: FunctionId) {
        let names = self.names.borrow();
        let name = names.get(&function).map_or("unknown", String::as_str);
        self.visits.add(name);
    }
}

impl Driver for Counting {
    fn facts(&self) -> &DeviceFacts {
        self.device.facts()
    }

    fn free_bytes(&self) -> Result<u64> {
        self.device.free_bytes()
    }

    fn alloc(&self, bytes: usize) -> Result<DevicePtr> {
        self.device.alloc(bytes)
    }

    fn free(&self, ptr: DevicePtr) -> Result<()> {
        self.device.free(ptr)
    }

    fn copy_in(&self, to: DevicePtr, bytes: &[u8]) -> Result<()> {
        self.device.copy_in(to, bytes)
    }

    fn copy_out(&self, from: DevicePtr, bytes: &mut [u8]) -> Result<()> {
        self.device.copy_out(from, bytes)
    }

    fn mailbox(&self, bytes: usize) -> Result<MailboxId> {
        self.device.mailbox(bytes)
    }

    fn queue_out(&self, from: DevicePtr, bytes: usize, to: MailboxId) -> Result<()> {
        self.device.queue_out(from, bytes, to)
    }

    fn collect(&self, from: MailboxId, bytes: &mut [u8]) -> Result<()> {
        self.device.collect(from, bytes)
    }

    fn fill(&self, to: DevicePtr, byte: u8, len: usize) -> Result<()> {
        self.device.fill(to, byte, len)
    }

    fn copy_within(&self, from: DevicePtr, to: DevicePtr, len: usize) -> Result<()> {
        self.device.copy_within(from, to, len)
    }

    fn load_module(&self, image: &Image<'_>) -> Result<ModuleId> {
        self.device.load_module(image)
    }

    fn function(&self, module: ModuleId, name: &str) -> Result<Option<FunctionId>> {
        let found = self.device.function(module, name)?;
        if let Some(id) = found {
            self.names.borrow_mut().insert(id, name.to_string());
        }
        Ok(found)
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
        self.note(launch.function);
        self.device.launch(launch)
    }

    fn synchronize(&self) -> Result<()> {
        self.device.synchronize()
    }

    fn event(&self) -> Result<EventId> {
        self.device.event()
    }

    fn record(&self, event: EventId) -> Result<()> {
        self.device.record(event)
    }

    fn elapsed_ms(&self, start: EventId, end: EventId) -> Result<f32> {
        self.device.elapsed_ms(start, end)
    }

    fn sequence(&self, launches: &[Launch]) -> Result<SequenceId> {
        let id = self.device.sequence(launches)?;
        let functions = launches.iter().map(|launch| launch.function).collect();
        self.sequences.borrow_mut().insert(id, functions);
        Ok(id)
    }

    fn change(&self, sequence: SequenceId, index: usize, launch: &Launch) -> Result<()> {
        self.device.change(sequence, index, launch)
    }

    fn replay(&self, sequence: SequenceId) -> Result<()> {
        if let Some(functions) = self.sequences.borrow().get(&sequence) {
            functions.iter().for_each(|id| self.note(*id));
        }
        self.device.replay(sequence)
    }
}
