//! What can go wrong on a device.

/// An error of a driver. Every variant names what was asked for and what stood in the way.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// No device, no driver library, or one that is too old.
    #[error("no usable GPU: {reason}")]
    Unavailable {
        /// What is missing and what to do.
        reason: String,
    },
    /// This build has no kernels to load.
    #[error("{reason}")]
    NoKernels {
        /// Why, and what to do.
        reason: String,
    },
    /// The device has no room.
    #[error("out of device memory: {asked} bytes asked for, {free} free")]
    OutOfMemory {
        /// Bytes asked for.
        asked: u64,
        /// Bytes free.
        free: u64,
    },
    /// A handle or address that the driver did not give.
    #[error("{what} {value} is not one of this device")]
    Unknown {
        /// Kind of handle.
        what: &'static str,
        /// The handle.
        value: u64,
    },
    /// A launch whose numbers the device refuses.
    #[error("launch of {kernel}: {reason}")]
    Launch {
        /// The kernel.
        kernel: String,
        /// The number and its limit.
        reason: String,
    },
    /// A module that cannot be loaded: malformed, or using what is not modelled.
    #[error("module {module}: {reason}")]
    Module {
        /// The kernel file.
        module: String,
        /// Position and instruction.
        reason: String,
    },
    /// A kernel did something wrong: the emulator's report.
    #[error("{0}")]
    Finding(Box<crate::emu::Report>),
    /// A call of the CUDA driver failed.
    #[error("{call} failed: {code} ({text})")]
    Cuda {
        /// The driver function.
        call: &'static str,
        /// Its code, such as `CUDA_ERROR_ILLEGAL_ADDRESS`.
        code: String,
        /// The driver's own description.
        text: String,
    },
}
