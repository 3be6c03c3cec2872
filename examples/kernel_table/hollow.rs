//! The emulator as the device of a model without values: large copies are not made, so that weights take neither time nor
//! memory, and of each launch a few CTAs run, which are counted.

use std::cell::RefCell;
use std::rc::Rc;

use qwarp::driver::{
    Access, DeviceFacts, DevicePtr, Driver, EventId, FunctionId, Geometry, Image, Launch,
    MailboxId, ModuleId, Result, SequenceId, Target,
};
use qwarp::emu::counters::{Class, Counters};
use qwarp::emu::{EmuOptions, Emulator};

/// Larger copies are not made: block tables, positions and what else decides where kernels read is smaller.
const MOST_COPIED: usize = 1 << 20;

/// What a launch does.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub kernel: String,
    pub geometry: Geometry,
    /// Bytes of the arguments that it may read, and of those that it may write.
    pub argument_bytes: u64,
    /// Of all CTAs, from those that ran.
    pub asked_bytes: f64,
    pub mma: f64,
    pub bank_passes: f64,
    pub instructions: f64,
}

impl Seen {
    fn new(kernel: String, launch: &Launch, ran: u64, counters: &Counters) -> Seen {
        let geometry = launch.geometry;
        let ctas: u64 = geometry.grid.iter().map(|&n| u64::from(n)).product();
        let all = |of_some: u64| of_some as f64 * ctas as f64 / ran as f64;
        let bytes = launch.args.views.iter().map(|view| match view.access {
            Access::Read | Access::Write => view.bytes,
            Access::ReadWrite => 2 * view.bytes,
        });
        let warps = |class| counters.instructions(class).warps;
        Seen {
            kernel,
            geometry,
            argument_bytes: bytes.sum(),
            asked_bytes: all(counters.moved_bytes()),
            mma: all(warps(Class::Matrix)),
            bank_passes: all(counters.bank_passes()),
            instructions: all(Class::ALL.map(warps).iter().sum()),
        }
    }
}

/// A fixed sequence and its launches.
type Fixed = (SequenceId, Vec<Launch>);

/// The device, of which the backend has one handle and who asks for the launches another.
#[derive(Clone)]
pub struct Hollow {
    emulator: Rc<Emulator>,
    seen: Rc<RefCell<Vec<Seen>>>,
    sequences: Rc<RefCell<Vec<Fixed>>>,
}

impl Hollow {
    /// Of a target; of a launch, `ctas` CTAs run.
    pub fn new(target: Target, ctas: u64) -> Hollow {
        let emulator = Emulator::new(EmuOptions {
            target,
            host_threads: 2,
            checks: false,
            counters: true,
        });
        Hollow {
            emulator: Rc::new(emulator.sampling(ctas)),
            seen: Rc::default(),
            sequences: Rc::default(),
        }
    }

    /// The launches so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    fn note(&self, launches: &[Launch]) {
        let counted = self.emulator.counters();
        let seen = counted.into_iter().zip(launches).map(|(counted, launch)| {
            Seen::new(counted.kernel, launch, counted.ctas, &counted.counters)
        });
        self.seen.borrow_mut().extend(seen);
    }
}

impl Driver for Hollow {
    fn facts(&self) -> &DeviceFacts {
        self.emulator.facts()
    }

    fn alloc(&self, bytes: usize) -> Result<DevicePtr> {
        self.emulator.alloc(bytes)
    }

    fn free(&self, ptr: DevicePtr) -> Result<()> {
        self.emulator.free(ptr)
    }

    fn copy_in(&self, to: DevicePtr, bytes: &[u8]) -> Result<()> {
        match bytes.len() > MOST_COPIED {
            true => Ok(()),
            false => self.emulator.copy_in(to, bytes),
        }
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
        self.emulator.launch(launch)?;
        self.note(std::slice::from_ref(launch));
        Ok(())
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
        let id = self.emulator.sequence(launches)?;
        self.sequences.borrow_mut().push((id, launches.to_vec()));
        Ok(id)
    }

    fn change(&self, sequence: SequenceId, index: usize, launch: &Launch) -> Result<()> {
        self.emulator.change(sequence, index, launch)?;
        let mut sequences = self.sequences.borrow_mut();
        let found = sequences.iter_mut().find(|(id, _)| *id == sequence);
        if let Some(old) = found.and_then(|(_, launches)| launches.get_mut(index)) {
            *old = launch.clone();
        }
        Ok(())
    }

    fn replay(&self, sequence: SequenceId) -> Result<()> {
        self.emulator.replay(sequence)?;
        let sequences = self.sequences.borrow();
        let found = sequences.iter().find(|(id, _)| *id == sequence);
        self.note(found.map_or(&[], |(_, launches)| launches));
        Ok(())
    }
}
