//! The emulator, told at which of its calls to fail, with a list of what is still allocated.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use qwarp::driver::{
    DeviceFacts, DevicePtr, Driver, DriverError, EventId, FunctionId, Image, Launch, MailboxId,
    ModuleId, Result, SequenceId, Target,
};
use qwarp::emu::{EmuOptions, Emulator};

/// What a test sees of the device that it gave away.
#[derive(Debug, Default)]
pub struct Seen {
    /// Bytes asked for, of what is allocated now, by address.
    pub live: RefCell<BTreeMap<u64, usize>>,
    /// Allocations and copies to the device so far.
    pub calls: Cell<usize>,
}

/// The device.
#[derive(Debug)]
pub struct Failing {
    emulator: Emulator,
    /// The allocation or copy that fails, from 0.
    at: Option<usize>,
    seen: Rc<Seen>,
}

impl Failing {
    /// A device of `target` whose allocation or copy number `at`, if any, fails.
    pub fn new(target: Target, at: Option<usize>) -> (Box<Failing>, Rc<Seen>) {
        let seen = Rc::new(Seen::default());
        let emulator = Emulator::new(EmuOptions {
            target,
            host_threads: 1,
            checks: true,
            counters: false,
        });
        let failing = Failing {
            emulator,
            at,
            seen: Rc::clone(&seen),
        };
        (Box::new(failing), seen)
    }

    fn call(&self, bytes: usize) -> Result<()> {
        let number = self.seen.calls.get();
        self.seen.calls.set(number + 1);
        match self.at == Some(number) {
            false => Ok(()),
            true => Err(DriverError::OutOfMemory {
                asked: bytes as u64,
                free: 0,
            }),
        }
    }
}

impl Driver for Failing {
    fn facts(&self) -> &DeviceFacts {
        self.emulator.facts()
    }

    fn alloc(&self, bytes: usize) -> Result<DevicePtr> {
        self.call(bytes)?;
        let ptr = self.emulator.alloc(bytes)?;
        self.seen.live.borrow_mut().insert(ptr.0, bytes);
        Ok(ptr)
    }

    fn free(&self, ptr: DevicePtr) -> Result<()> {
        self.emulator.free(ptr)?;
        self.seen.live.borrow_mut().remove(&ptr.0);
        Ok(())
    }

    fn copy_in(&self, to: DevicePtr, bytes: &[u8]) -> Result<()> {
        self.call(bytes.len())?;
        self.emulator.copy_in(to, bytes)
    }

    fn copy_out(&self, from: DevicePtr, bytes: &mut [u8]) -> Result<()> {
        self.emulator.copy_out(from, bytes)
    }

    fn mailbox(&self, bytes: usize) -> Result<MailboxId> {
        self.emulator.mailbox(bytes)
    }

    fn queue_out(&self, from: DevicePtr, bytes: usize, to: MailboxId) -> Result<()> {
        self.emulator.queue_out(from, bytes, to)
    }

    fn collect(&self, from: MailboxId, bytes: &mut [u8]) -> Result<()> {
        self.emulator.collect(from, bytes)
    }

    fn fill(&self, to: DevicePtr, byte: u8, len: usize) -> Result<()> {
        self.emulator.fill(to, byte, len)
    }

    fn copy_within(&self, from: DevicePtr, to: DevicePtr, len: usize) -> Result<()> {
        self.emulator.copy_within(from, to, len)
    }

    fn load_module(&self, image: &Image<'_>) -> Result<ModuleId> {
        self.emulator.load_module(image)
    }

    fn function(&self, module: ModuleId, name: &str) -> Result<Option<FunctionId>> {
        self.emulator.function(module, name)
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
        self.emulator.launch(launch)
    }

    fn synchronize(&self) -> Result<()> {
        self.emulator.synchronize()
    }

    fn event(&self) -> Result<EventId> {
        self.emulator.event()
    }

    fn record(&self, event: EventId) -> Result<()> {
        self.emulator.record(event)
    }

    fn elapsed_ms(&self, start: EventId, end: EventId) -> Result<f32> {
        self.emulator.elapsed_ms(start, end)
    }

    fn sequence(&self, launches: &[Launch]) -> Result<SequenceId> {
        self.emulator.sequence(launches)
    }

    fn change(&self, sequence: SequenceId, index: usize, launch: &Launch) -> Result<()> {
        self.emulator.change(sequence, index, launch)
    }

    fn replay(&self, sequence: SequenceId) -> Result<()> {
        self.emulator.replay(sequence)
    }
}
