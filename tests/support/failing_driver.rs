//! A driver that fails the call it is told to, and keeps the books of what is held.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use qwarp::driver::{
    DeviceFacts, DevicePtr, Driver, DriverError, EventId, FunctionId, Image, Launch, MailboxId,
    ModuleId, Result, SequenceId,
};
use qwarp::emu::Emulator;

/// An emulated device that outlives the engines on it, with its modules, which are slow to load.
#[derive(Clone)]
pub struct Device {
    emulator: Rc<Emulator>,
    modules: Rc<RefCell<BTreeMap<String, ModuleId>>>,
    calls: Rc<Cell<usize>>,
    fail_at: Rc<Cell<Option<usize>>>,
    names: Rc<RefCell<Vec<&'static str>>>,
}

impl Device {
    pub fn new(emulator: Emulator) -> Device {
        Device {
            emulator: Rc::new(emulator),
            modules: Rc::default(),
            calls: Rc::default(),
            fail_at: Rc::default(),
            names: Rc::default(),
        }
    }

    /// Counts calls from 1 again; the one of this number is to fail.
    pub fn fail_at(&self, call: Option<usize>) {
        self.calls.set(0);
        self.fail_at.set(call);
        self.names.borrow_mut().clear();
    }

    /// The calls since then, by name.
    pub fn names(&self) -> Vec<&'static str> {
        self.names.borrow().clone()
    }

    /// Bytes that nobody holds.
    pub fn free_bytes(&self) -> u64 {
        self.emulator.free_bytes().unwrap()
    }

    /// Notes a call; fails if it is the one.
    fn call(&self, name: &'static str) -> Result<()> {
        self.names.borrow_mut().push(name);
        self.calls.set(self.calls.get() + 1);
        if self.fail_at.get() != Some(self.calls.get()) {
            return Ok(());
        }
        Err(DriverError::Cuda {
            call: name,
            code: "CUDA_ERROR_UNKNOWN".into(),
            text: "told to fail".into(),
        })
    }
}

impl Driver for Device {
    fn facts(&self) -> &DeviceFacts {
        self.emulator.facts()
    }

    fn free_bytes(&self) -> Result<u64> {
        self.call("free_bytes")?;
        self.emulator.free_bytes()
    }

    fn alloc(&self, bytes: usize) -> Result<DevicePtr> {
        self.call("alloc")?;
        self.emulator.alloc(bytes)
    }

    /// Takes the memory back before it fails, so that what is missing afterwards was never given back.
    fn free(&self, ptr: DevicePtr) -> Result<()> {
        self.emulator.free(ptr)?;
        self.call("free")
    }

    fn copy_in(&self, to: DevicePtr, bytes: &[u8]) -> Result<()> {
        self.call("copy_in")?;
        self.emulator.copy_in(to, bytes)
    }

    fn copy_out(&self, from: DevicePtr, bytes: &mut [u8]) -> Result<()> {
        self.call("copy_out")?;
        self.emulator.copy_out(from, bytes)
    }

    fn mailbox(&self, bytes: usize) -> Result<MailboxId> {
        self.call("mailbox")?;
        self.emulator.mailbox(bytes)
    }

    fn queue_out(&self, from: DevicePtr, bytes: usize, to: MailboxId) -> Result<()> {
        self.call("queue_out")?;
        self.emulator.queue_out(from, bytes, to)
    }

    fn collect(&self, from: MailboxId, bytes: &mut [u8]) -> Result<()> {
        self.call("collect")?;
        self.emulator.collect(from, bytes)
    }

    fn fill(&self, to: DevicePtr, byte: u8, len: usize) -> Result<()> {
        self.call("fill")?;
        self.emulator.fill(to, byte, len)
    }

    fn copy_within(&self, from: DevicePtr, to: DevicePtr, len: usize) -> Result<()> {
        self.call("copy_within")?;
        self.emulator.copy_within(from, to, len)
    }

    fn load_module(&self, image: &Image<'_>) -> Result<ModuleId> {
        self.call("load_module")?;
        if let Some(module) = self.modules.borrow().get(image.name) {
            return Ok(*module);
        }
        let module = self.emulator.load_module(image)?;
        self.modules.borrow_mut().insert(image.name.into(), module);
        Ok(module)
    }

    fn function(&self, module: ModuleId, name: &str) -> Result<Option<FunctionId>> {
        self.call("function")?;
        self.emulator.function(module, name)
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
        self.call("launch")?;
        self.emulator.launch(launch)
    }

    fn synchronize(&self) -> Result<()> {
        self.call("synchronize")?;
        self.emulator.synchronize()
    }

    fn event(&self) -> Result<EventId> {
        self.call("event")?;
        self.emulator.event()
    }

    fn record(&self, event: EventId) -> Result<()> {
        self.call("record")?;
        self.emulator.record(event)
    }

    fn elapsed_ms(&self, start: EventId, end: EventId) -> Result<f32> {
        self.call("elapsed_ms")?;
        self.emulator.elapsed_ms(start, end)
    }

    fn sequence(&self, launches: &[Launch]) -> Result<SequenceId> {
        self.call("sequence")?;
        self.emulator.sequence(launches)
    }

    fn change(&self, sequence: SequenceId, index: usize, launch: &Launch) -> Result<()> {
        self.call("change")?;
        self.emulator.change(sequence, index, launch)
    }

    fn replay(&self, sequence: SequenceId) -> Result<()> {
        self.call("replay")?;
        self.emulator.replay(sequence)
    }
}
