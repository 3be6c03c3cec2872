//! What a device is to the rest of the crate: bytes, modules, launches and events. No tensor, no model.
//!
//! Two implementations: the CUDA driver, and [`crate::emu`], which runs the same PTX on any machine and checks it. Launch
//! code is written once, against this trait.
//!
//! Work is queued in order on one stream: a launch sees everything that was queued before it. [`Driver::copy_out`],
//! [`Driver::collect`] and [`Driver::synchronize`] wait.

mod args;
mod card;
pub mod cuda;
mod error;
mod image;
mod occupancy;
mod target;

pub use args::{Access, Args, DeviceType, In, InOut, Out, View};
pub use card::{CARDS, Card};
pub use error::DriverError;
pub use occupancy::{Limit, Occupancy, Residency, occupancy};
pub use target::Target;

/// What a driver call gives back.
pub type Result<T> = std::result::Result<T, DriverError>;

/// An address on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DevicePtr(pub u64);

/// A loaded module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModuleId(pub u32);

/// A kernel of a loaded module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FunctionId(pub u32);

/// A point in the stream whose time is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(pub u32);

/// A fixed sequence of launches, each after the one before (a CUDA graph on hardware).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceId(pub u32);

/// Host memory that copies out are queued to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MailboxId(pub u32);

/// What a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Its name, such as `NVIDIA H200`.
    pub name: String,
    /// Compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// The code that it runs, of what is embedded.
    pub target: Target,
    /// Bytes of its memory.
    pub memory_bytes: u64,
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Dynamic shared memory that one CTA may ask for, in bytes.
    pub max_shared_bytes: u32,
    /// Bytes of its memory that it takes for itself: an estimate.
    pub context_bytes: u64,
    /// Large allocations take whole multiples of so many bytes: an estimate.
    pub granule_bytes: u64,
}

/// One kernel file as it is embedded: PTX text for the emulator and for cards without a cubin of their own, and a cubin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image<'a> {
    /// The kernel file's name without its extension, such as `rms_norm`.
    pub name: &'a str,
    /// What it was compiled for.
    pub target: Target,
    /// PTX text.
    pub ptx: &'a str,
    /// The cubin, where one was made.
    pub cubin: Option<&'a [u8]>,
}

/// Grid, CTA and dynamic shared memory of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// CTAs in x, y and z.
    pub grid: [u32; 3],
    /// Threads of a CTA in x, y and z.
    pub block: [u32; 3],
    /// Dynamic shared memory of a CTA in bytes.
    pub shared_bytes: u32,
}

/// A launch, ready to be queued now or put into a sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// What runs.
    pub function: FunctionId,
    /// On how many threads.
    pub geometry: Geometry,
    /// With which arguments.
    pub args: Args,
}

/// A device that runs kernels.
pub trait Driver {
    /// What it is.
    fn facts(&self) -> &DeviceFacts;

    /// Bytes of its memory that nobody holds now, other programs included.
    fn free_bytes(&self) -> Result<u64> {
        Ok(self.facts().memory_bytes)
    }

    /// Memory of `bytes` bytes, aligned to 256. Nothing has been written to it.
    fn alloc(&self, bytes: usize) -> Result<DevicePtr>;

    /// Gives back what [`Driver::alloc`] gave.
    fn free(&self, ptr: DevicePtr) -> Result<()>;

    /// Queues a copy to the device; `bytes` may change as soon as this returns.
    fn copy_in(&self, to: DevicePtr, bytes: &[u8]) -> Result<()>;

    /// Waits for everything queued, then copies from the device.
    fn copy_out(&self, from: DevicePtr, bytes: &mut [u8]) -> Result<()>;

    /// Host memory of `bytes` bytes for copies that are queued.
    fn mailbox(&self, bytes: usize) -> Result<MailboxId>;

    /// Queues a copy of `bytes` bytes from the device to a mailbox, over what was in it.
    fn queue_out(&self, from: DevicePtr, bytes: usize, to: MailboxId) -> Result<()>;

    /// Waits for the last copy queued to a mailbox, and for nothing that was queued after it, and takes its first bytes.
    fn collect(&self, from: MailboxId, bytes: &mut [u8]) -> Result<()>;

    /// Queues a fill of `len` bytes with `byte`.
    fn fill(&self, to: DevicePtr, byte: u8, len: usize) -> Result<()>;

    /// Queues a copy of `len` bytes from one place on the device to another; the two do not overlap.
    fn copy_within(&self, from: DevicePtr, to: DevicePtr, len: usize) -> Result<()>;

    /// Loads a kernel file. On the emulator this parses and decodes its PTX.
    fn load_module(&self, image: &Image<'_>) -> Result<ModuleId>;

    /// A kernel by name, or `None` where the module has none of that name.
    fn function(&self, module: ModuleId, name: &str) -> Result<Option<FunctionId>>;

    /// Queues a launch. What a kernel does wrong is reported here or by the next call that waits.
    fn launch(&self, launch: &Launch) -> Result<()>;

    /// Waits for everything queued.
    fn synchronize(&self) -> Result<()>;

    /// A new event.
    fn event(&self) -> Result<EventId>;

    /// Queues the taking of an event's time.
    fn record(&self, event: EventId) -> Result<()>;

    /// Waits for both events; milliseconds from `start` to `end`.
    fn elapsed_ms(&self, start: EventId, end: EventId) -> Result<f32>;

    /// Fixes a sequence of launches, built node by node, each depending on the one before. Where [`Target::overlaps`], each
    /// but the first may begin before the one before has ended, and must wait for it (`griddepcontrol.wait`) before it writes
    /// or reads what a launch may write; the emulator refuses a kernel that never does.
    fn sequence(&self, launches: &[Launch]) -> Result<SequenceId>;

    /// Puts another launch of the same kernel in the place of launch `index`, for the replays that are queued from now on.
    fn change(&self, sequence: SequenceId, index: usize, launch: &Launch) -> Result<()>;

    /// Queues a fixed sequence.
    fn replay(&self, sequence: SequenceId) -> Result<()>;
}
