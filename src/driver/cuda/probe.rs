//! Is there a GPU, and a driver that is new enough? Everything is asked before a weight is read, and each answer says
//! what to do.
//!
//! cudarc panics where the library or a symbol is missing, so both are looked for here first.

use cudarc::driver::sys;

use super::call::check;
use crate::driver::{DriverError, Result, Target};

/// The CUDA version that driver 525 brings, as `cuDriverGetVersion` counts.
const MIN_CUDA: i32 = 12_000;
/// The first CUDA version with `cuGraphAddDependencies_v2`. Older drivers run a sequence's kernels one after the other.
const TYPED_EDGES: i32 = 12_030;
/// The oldest driver series that accepts the embedded code, for messages.
pub const MIN_DRIVER: u32 = 525;

/// Every function of the driver that [`super::Cuda`] calls.
const SYMBOLS: &[&str] = &[
    "cuCtxSetCurrent",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDeviceTotalMem_v2",
    "cuDriverGetVersion",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventElapsedTime",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuFuncSetAttribute",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuGraphAddKernelNode_v2",
    "cuGraphCreate",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphExecKernelNodeSetParams_v2",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuInit",
    "cuLaunchKernel",
    "cuMemAlloc_v2",
    "cuMemFreeHost",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemHostAlloc",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemsetD8Async",
    "cuModuleGetFunction",
    "cuModuleLoadDataEx",
    "cuModuleUnload",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamSynchronize",
];

/// A GPU that the driver lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its number.
    pub ordinal: u32,
    /// Its name.
    pub name: String,
    /// Compute capability.
    pub compute_capability: (u32, u32),
    /// Bytes of its memory.
    pub memory_bytes: u64,
    /// The code it runs, where any of ours runs on it.
    pub target: Option<Target>,
}

/// What the driver says of itself and its GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The newest CUDA version the driver speaks: 12040 is 12.4.
    pub cuda_version: i32,
    /// Its GPUs.
    pub gpus: Vec<Gpu>,
    /// Those that did not answer, by number, with what the driver said: the others are of use all the same.
    pub silent: Vec<(u32, String)>,
}

impl Probe {
    /// A GPU by number, or why it cannot be had and what can.
    pub(super) fn take(self, ordinal: u32) -> Result<Gpu> {
        let count = self.gpus.len() + self.silent.len();
        if let Some((_, said)) = self.silent.iter().find(|(silent, _)| *silent == ordinal) {
            return Err(unavailable(format!(
                "GPU {ordinal} does not answer: {said}; ask for another or run on the CPU"
            )));
        }
        let listed = match count {
            0 => "none".to_string(),
            1 => "only GPU 0".to_string(),
            _ => format!("GPU 0 to {}", count - 1),
        };
        let found = self.gpus.into_iter().find(|gpu| gpu.ordinal == ordinal);
        found.ok_or_else(|| {
            unavailable(format!(
                "GPU {ordinal} was asked for, the driver lists {listed} (CUDA_VISIBLE_DEVICES hides others); ask for one of \
                 these or run on the CPU"
            ))
        })
    }
}

fn unavailable(reason: String) -> DriverError {
    DriverError::Unavailable { reason }
}

/// The driver library, its symbols and its version. Nothing of CUDA may be called before this has passed.
fn library() -> Result<i32> {
    // SAFETY: opens a shared library by its well-known name; its initialisers are the CUDA driver's own.
    if !unsafe { sys::is_culib_present() } {
        let reason = format!(
            "libcuda.so.1 was not found or cannot be loaded; install the NVIDIA driver, {MIN_DRIVER} or newer, or run on the CPU"
        );
        return Err(unavailable(reason));
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| is_missing(symbol)) {
        let reason = format!(
            "libcuda.so.1 has no {symbol}: the NVIDIA driver is too old, {MIN_DRIVER} or newer is needed"
        );
        return Err(unavailable(reason));
    }
    let mut version = 0;
    // SAFETY: the symbol exists; the pointer is valid for one i32.
    check("cuDriverGetVersion", unsafe {
        sys::cuDriverGetVersion(&mut version)
    })?;
    if version < MIN_CUDA {
        let (major, minor) = (version / 1000, version % 1000 / 10);
        let reason = format!(
            "the NVIDIA driver speaks CUDA {major}.{minor}, 12.0 is needed: install driver {MIN_DRIVER} or newer"
        );
        return Err(unavailable(reason));
    }
    Ok(version)
}

/// The newest CUDA version that the driver speaks: 12040 is 12.4.
pub fn cuda_version() -> Result<i32> {
    library()
}

/// Whether a graph's edges can say what of a node they wait for.
pub(super) fn has_typed_edges() -> Result<bool> {
    Ok(cuda_version()? >= TYPED_EDGES && !is_missing("cuGraphAddDependencies_v2"))
}

/// Whether the driver's library, which must be there, lacks a function.
fn is_missing(symbol: &str) -> bool {
    // SAFETY: the library is present, so this does not panic; it is loaded once and never unloaded. The symbol is only looked
    // up, never called through this type.
    unsafe { sys::culib().get::<*const ()>(symbol.as_bytes()) }.is_err()
}

/// Initialises the driver and lists its GPUs.
pub fn probe() -> Result<Probe> {
    let cuda_version = library()?;
    // SAFETY: the library was checked; flags must be 0.
    let initialised = unsafe { sys::cuInit(0) };
    if initialised == sys::CUresult::CUDA_ERROR_NO_DEVICE {
        return Ok(Probe {
            cuda_version,
            gpus: Vec::new(),
            silent: Vec::new(),
        });
    }
    check("cuInit", initialised).map_err(|error| {
        let (major, minor) = (cuda_version / 1000, cuda_version % 1000 / 10);
        unavailable(format!(
            "the driver (CUDA {major}.{minor}) does not start: {error}; see whether nvidia-smi works: after an update of the \
             driver restart the machine, in a container pass the GPU through, or run on the CPU"
        ))
    })?;
    let mut count = 0;
    // SAFETY: the pointer is valid for one i32.
    check("cuDeviceGetCount", unsafe {
        sys::cuDeviceGetCount(&mut count)
    })?;
    let mut probe = Probe {
        cuda_version,
        gpus: Vec::new(),
        silent: Vec::new(),
    };
    for ordinal in 0..count.unsigned_abs() {
        match gpu(ordinal) {
            Ok(gpu) => probe.gpus.push(gpu),
            Err(error) => probe.silent.push((ordinal, error.to_string())),
        }
    }
    Ok(probe)
}

/// The device handle of GPU `ordinal`.
pub(super) fn device(ordinal: u32) -> Result<sys::CUdevice> {
    let mut device = 0;
    // SAFETY: the pointer is valid for one device handle; an ordinal out of range is an error code.
    check("cuDeviceGet", unsafe {
        sys::cuDeviceGet(&mut device, ordinal as i32)
    })?;
    Ok(device)
}

/// An attribute of a GPU.
pub(super) fn attribute(device: sys::CUdevice, attribute: sys::CUdevice_attribute) -> Result<u32> {
    let mut value = 0;
    // SAFETY: the pointer is valid for one i32.
    check("cuDeviceGetAttribute", unsafe {
        sys::cuDeviceGetAttribute(&mut value, attribute, device)
    })?;
    Ok(value.unsigned_abs())
}

fn gpu(ordinal: u32) -> Result<Gpu> {
    use sys::CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
    };
    let device = device(ordinal)?;
    let mut name = [0u8; 256];
    // SAFETY: the buffer has the length given with it; the driver ends the name with a zero inside it.
    check("cuDeviceGetName", unsafe {
        sys::cuDeviceGetName(name.as_mut_ptr().cast(), name.len() as i32, device)
    })?;
    let mut bytes = 0;
    // SAFETY: the pointer is valid for one usize.
    check("cuDeviceTotalMem_v2", unsafe {
        sys::cuDeviceTotalMem_v2(&mut bytes, device)
    })?;
    let (major, minor) = (attribute(device, MAJOR)?, attribute(device, MINOR)?);
    let end = name
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(name.len());
    Ok(Gpu {
        ordinal,
        name: String::from_utf8_lossy(&name[..end]).into_owned(),
        compute_capability: (major, minor),
        memory_bytes: bytes as u64,
        target: Target::for_compute_capability(major, minor),
    })
}
