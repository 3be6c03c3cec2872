//! Result codes of the CUDA driver as errors.

use std::ffi::CStr;

use cudarc::driver::sys::{self, CUresult};

use crate::driver::{DriverError, Result};

/// An error that names the call, its code and the driver's own words, unless the call succeeded.
pub(super) fn check(call: &'static str, result: CUresult) -> Result<()> {
    if result == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    // SAFETY: both functions store a pointer to a static string, or null for a code they do not know.
    let (code, text) = unsafe {
        (
            words(result, |result, out| sys::cuGetErrorName(result, out)),
            words(result, |result, out| sys::cuGetErrorString(result, out)),
        )
    };
    Err(DriverError::Cuda { call, code, text })
}

fn words(
    result: CUresult,
    ask: impl Fn(CUresult, *mut *const std::ffi::c_char) -> CUresult,
) -> String {
    let mut text = std::ptr::null();
    if ask(result, &mut text) != CUresult::CUDA_SUCCESS || text.is_null() {
        return format!("{}", result as u32);
    }
    // SAFETY: the driver gave a static string that ends with a zero.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
