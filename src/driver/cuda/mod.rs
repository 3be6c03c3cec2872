//! The CUDA driver, loaded at run time: the same binary runs with and without a GPU.

mod call;
mod pinned;
mod probe;
mod sequence;
mod state;

pub use probe::{Gpu, MIN_DRIVER, Probe, cuda_version, probe};

use std::cell::RefCell;
use std::ffi::CString;

use cudarc::driver::sys;

use super::{
    DeviceFacts, DevicePtr, Driver, DriverError, EventId, FunctionId, Image, Launch, MailboxId,
    ModuleId, Result, SequenceId,
};
use call::check;
use pinned::{Mailbox, Ring};
use sequence::{Sequence, params};
use state::{Handles, load};

/// About what a context takes, with our modules and graphs; it differs by card and driver.
const CONTEXT_BYTES: u64 = 512 << 20;
/// The pages in which CUDA hands out memory; smaller allocations share one.
const GRANULE_BYTES: u64 = 2 << 20;

/// What GPU `ordinal` is, without taking any of it. Refuses, with the way out, where there is no driver, one that is too old,
/// no such GPU, or one older than our oldest target.
pub fn facts(ordinal: u32) -> Result<DeviceFacts> {
    use sys::CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN as MAX_SHARED,
        CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT as MULTIPROCESSORS,
    };
    let gpu = probe()?.take(ordinal)?;
    let (major, minor) = gpu.compute_capability;
    let target = gpu.target.ok_or_else(|| DriverError::Unavailable {
        reason: format!(
            "{} has compute capability {major}.{minor}, 7.5 or newer is needed; ask for another GPU or run on the \
             CPU",
            gpu.name
        ),
    })?;
    let device = probe::device(ordinal)?;
    Ok(DeviceFacts {
        name: gpu.name,
        compute_capability: gpu.compute_capability,
        target,
        memory_bytes: gpu.memory_bytes,
        multiprocessors: probe::attribute(device, MULTIPROCESSORS)?,
        max_shared_bytes: probe::attribute(device, MAX_SHARED)?,
        context_bytes: CONTEXT_BYTES,
        granule_bytes: GRANULE_BYTES,
    })
}

/// Bytes that are free on the GPU whose context is current.
fn free_bytes() -> Result<u64> {
    let (mut free, mut total) = (0, 0);
    // SAFETY: both pointers are valid for one usize.
    check("cuMemGetInfo_v2", unsafe {
        sys::cuMemGetInfo_v2(&mut free, &mut total)
    })?;
    Ok(free as u64)
}

/// One GPU, its primary context and one stream. Several may be used in turn on one thread: each call makes its own context
/// current.
#[derive(Debug)]
pub struct Cuda {
    facts: DeviceFacts,
    device: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    /// Whether launches of a sequence overlap.
    overlaps: bool,
    handles: RefCell<Handles>,
}

impl Cuda {
    /// Opens GPU `ordinal`; refuses what [`facts`] refuses. Whether this build has kernels is not asked here: loading them does.
    pub fn open(ordinal: u32) -> Result<Cuda> {
        let facts = facts(ordinal)?;
        let device = probe::device(ordinal)?;
        let overlaps = facts.target.overlaps() && probe::has_typed_edges()?;
        let mut context = std::ptr::null_mut();
        // SAFETY: the pointer is valid for one handle; released in `drop`.
        check("cuDevicePrimaryCtxRetain", unsafe {
            sys::cuDevicePrimaryCtxRetain(&mut context, device)
        })?;
        let mut cuda = Cuda {
            facts,
            device,
            context,
            stream: std::ptr::null_mut(),
            overlaps,
            handles: RefCell::new(Handles::default()),
        };
        cuda.here()?;
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: the pointer is valid for one handle; destroyed in `drop`.
        check("cuStreamCreate", unsafe {
            sys::cuStreamCreate(&mut cuda.stream, flags)
        })?;
        cuda.handles.get_mut().ring = Some(Ring::new()?);
        Ok(cuda)
    }

    /// Makes the context current: another GPU of the same thread may have been used since the last call.
    fn here(&self) -> Result<()> {
        // SAFETY: the context is retained until `drop`.
        check("cuCtxSetCurrent", unsafe {
            sys::cuCtxSetCurrent(self.context)
        })
    }
}

impl Driver for Cuda {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn free_bytes(&self) -> Result<u64> {
        self.here()?;
        free_bytes()
    }

    fn alloc(&self, bytes: usize) -> Result<DevicePtr> {
        self.here()?;
        let mut ptr = 0;
        // SAFETY: the pointer is valid for one address; CUDA refuses a size of 0.
        let result = unsafe { sys::cuMemAlloc_v2(&mut ptr, bytes.max(1)) };
        if result == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            return Err(DriverError::OutOfMemory {
                asked: bytes as u64,
                // Only for the text of this error: where even this fails, this one is the news.
                free: free_bytes().unwrap_or(0),
            });
        }
        check("cuMemAlloc_v2", result)?;
        self.handles.borrow_mut().add_memory(ptr);
        Ok(DevicePtr(ptr))
    }

    fn free(&self, ptr: DevicePtr) -> Result<()> {
        self.handles.borrow().memory(ptr.0)?;
        self.here()?;
        self.handles.borrow_mut().forget_memory(ptr.0);
        // SAFETY: the allocation is ours and given back once.
        check("cuMemFree_v2", unsafe { sys::cuMemFree_v2(ptr.0) })
    }

    fn copy_in(&self, to: DevicePtr, bytes: &[u8]) -> Result<()> {
        self.here()?;
        let mut handles = self.handles.borrow_mut();
        let ring = handles.ring.as_mut();
        ring.map_or(Ok(()), |ring| ring.send(to, bytes, self.stream))
    }

    fn copy_out(&self, from: DevicePtr, bytes: &mut [u8]) -> Result<()> {
        self.here()?;
        // SAFETY: the slice is valid for its length and borrowed until the stream has been waited for below.
        let queued = unsafe {
            sys::cuMemcpyDtoHAsync_v2(bytes.as_mut_ptr().cast(), from.0, bytes.len(), self.stream)
        };
        let waited = self.synchronize();
        check("cuMemcpyDtoHAsync_v2", queued)?;
        waited
    }

    fn mailbox(&self, bytes: usize) -> Result<MailboxId> {
        self.here()?;
        let mailbox = Mailbox::new(bytes)?;
        Ok(self.handles.borrow_mut().add_mailbox(mailbox))
    }

    fn queue_out(&self, from: DevicePtr, bytes: usize, to: MailboxId) -> Result<()> {
        self.here()?;
        let mut handles = self.handles.borrow_mut();
        handles.mailbox(to)?.queue(from, bytes, self.stream)
    }

    fn collect(&self, from: MailboxId, bytes: &mut [u8]) -> Result<()> {
        self.here()?;
        self.handles.borrow_mut().mailbox(from)?.collect(bytes)
    }

    fn fill(&self, to: DevicePtr, byte: u8, len: usize) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        self.here()?;
        // SAFETY: writes device memory only.
        check("cuMemsetD8Async", unsafe {
            sys::cuMemsetD8Async(to.0, byte, len, self.stream)
        })
    }

    fn copy_within(&self, from: DevicePtr, to: DevicePtr, len: usize) -> Result<()> {
        self.here()?;
        // SAFETY: reads and writes device memory only.
        check("cuMemcpyDtoDAsync_v2", unsafe {
            sys::cuMemcpyDtoDAsync_v2(to.0, from.0, len, self.stream)
        })
    }

    fn load_module(&self, image: &Image<'_>) -> Result<ModuleId> {
        self.here()?;
        let (major, minor) = self.facts.compute_capability;
        let module = load(image, image.target.cubin_runs_on(major, minor))?;
        Ok(self.handles.borrow_mut().add_module(module))
    }

    fn function(&self, module: ModuleId, name: &str) -> Result<Option<FunctionId>> {
        let handle = self.handles.borrow().module(module)?;
        self.here()?;
        let c_name = CString::new(name).map_err(|_| DriverError::Launch {
            kernel: name.to_string(),
            reason: "a kernel's name holds no zero byte".into(),
        })?;
        let mut function = std::ptr::null_mut();
        // SAFETY: the module is loaded and the name ends with a zero.
        let result = unsafe { sys::cuModuleGetFunction(&mut function, handle, c_name.as_ptr()) };
        if result == sys::CUresult::CUDA_ERROR_NOT_FOUND {
            return Ok(None);
        }
        check("cuModuleGetFunction", result)?;
        Ok(Some(self.handles.borrow_mut().add_function(function)))
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
        let handles = self.handles.borrow();
        let function = handles.function(launch.function)?;
        self.here()?;
        let function = function.prepared(launch.geometry.shared_bytes)?;
        let mut pointers = params(launch);
        let [grid, block] = [launch.geometry.grid, launch.geometry.block];
        // SAFETY: the parameters match the kernel's list: the generated stubs are checked against it when they are
        // built. The driver copies them before it returns.
        check("cuLaunchKernel", unsafe {
            sys::cuLaunchKernel(
                function,
                grid[0],
                grid[1],
                grid[2],
                block[0],
                block[1],
                block[2],
                launch.geometry.shared_bytes,
                self.stream,
                pointers.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        })
    }

    fn synchronize(&self) -> Result<()> {
        self.here()?;
        // SAFETY: the stream is alive.
        check("cuStreamSynchronize", unsafe {
            sys::cuStreamSynchronize(self.stream)
        })
    }

    fn event(&self) -> Result<EventId> {
        self.here()?;
        let mut event = std::ptr::null_mut();
        // SAFETY: the pointer is valid for one handle; destroyed with the tables.
        check("cuEventCreate", unsafe {
            sys::cuEventCreate(&mut event, 0)
        })?;
        Ok(self.handles.borrow_mut().add_event(event))
    }

    fn record(&self, event: EventId) -> Result<()> {
        let event = self.handles.borrow().event(event)?;
        self.here()?;
        // SAFETY: both handles are alive.
        check("cuEventRecord", unsafe {
            sys::cuEventRecord(event, self.stream)
        })
    }

    fn elapsed_ms(&self, start: EventId, end: EventId) -> Result<f32> {
        let [start, end] = {
            let handles = self.handles.borrow();
            [handles.event(start)?, handles.event(end)?]
        };
        self.here()?;
        for event in [start, end] {
            // SAFETY: the event is alive.
            check("cuEventSynchronize", unsafe {
                sys::cuEventSynchronize(event)
            })?;
        }
        let mut milliseconds = 0.0;
        // SAFETY: the pointer is valid for one f32.
        check("cuEventElapsedTime", unsafe {
            sys::cuEventElapsedTime(&mut milliseconds, start, end)
        })?;
        Ok(milliseconds)
    }

    fn sequence(&self, launches: &[Launch]) -> Result<SequenceId> {
        let nodes = {
            let handles = self.handles.borrow();
            let function = |launch: &Launch| handles.function(launch.function);
            let functions = launches.iter().map(function).collect::<Result<Vec<_>>>()?;
            self.here()?;
            let mut nodes = Vec::with_capacity(launches.len());
            for (function, launch) in functions.into_iter().zip(launches) {
                nodes.push((function.prepared(launch.geometry.shared_bytes)?, launch));
            }
            nodes
        };
        let sequence = Sequence::new(&nodes, self.overlaps)?;
        Ok(self.handles.borrow_mut().add_sequence(sequence))
    }

    fn change(&self, sequence: SequenceId, index: usize, launch: &Launch) -> Result<()> {
        self.here()?;
        let function = {
            let handles = self.handles.borrow();
            let function = handles.function(launch.function)?;
            function.prepared(launch.geometry.shared_bytes)?
        };
        let mut handles = self.handles.borrow_mut();
        handles
            .sequence_mut(sequence)?
            .change(index, function, launch)
    }

    fn replay(&self, sequence: SequenceId) -> Result<()> {
        let handles = self.handles.borrow();
        let sequence = handles.sequence(sequence)?;
        self.here()?;
        sequence.launch(self.stream)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Where this fails, so does everything below, and nothing is left to do.
        let _ = self.here();
        if !self.stream.is_null() {
            // What still runs uses the modules and memory that go next. After a fault this fails, and nothing runs.
            let _ = self.synchronize();
        }
        // Memory, modules, events and graphs go before the stream and the context they belong to.
        self.handles.borrow_mut().clear();
        // SAFETY: the stream is ours, destroyed once; the context was retained once. A failure leaves nothing to do.
        unsafe {
            if !self.stream.is_null() {
                sys::cuStreamDestroy_v2(self.stream);
            }
            sys::cuDevicePrimaryCtxRelease_v2(self.device);
        }
    }
}
