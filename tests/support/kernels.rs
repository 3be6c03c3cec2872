//! Whether there are kernels to test with: a build without nvcc has none, and says so.
#![allow(dead_code, reason = "each program uses its own part")]

use qwarp::backend::gpu::kernels::{IMAGES, missing};

/// What defects and instruction forms are named by: the PTX of this compiler.
const PINNED: &str = "V13.0.88";

/// Says why a test has nothing to do; where kernels are required, that is a failure.
pub fn skip(reason: &str) {
    let required = std::env::var_os("REQUIRE_PTX").is_some_and(|value| value == "1");
    assert!(!required, "REQUIRE_PTX=1, but {reason}");
    println!("skipped: {reason}");
}

/// Whether this build has kernels.
pub fn have_kernels() -> bool {
    if let Some(reason) = missing() {
        assert!(IMAGES.is_empty() && reason.contains("tools/get-nvcc"));
        skip(reason);
    }
    missing().is_none()
}

/// Whether they are those of the compiler that `tools/get-nvcc` gets.
pub fn have_pinned_kernels() -> bool {
    let pinned = IMAGES.iter().all(|image| image.ptx.contains(PINNED));
    if !pinned {
        skip(&format!(
            "the kernels are of another nvcc than {PINNED}: run tools/get-nvcc and build with NVCC=.toolchain/cuda-13.0/bin/nvcc"
        ));
    }
    have_kernels() && pinned
}
