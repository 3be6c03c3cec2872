//! Loading the embedded kernels on a device: every target, a kernel that a target lacks, an image replaced.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/kernels.rs"]
mod kernels;

use std::cell::RefCell;

use half::{bf16, f16};
use qwarp::backend::gpu::kernels::{ENTRIES, IMAGES, Kernels, missing};
use qwarp::driver::{DevicePtr, DriverError, Geometry, In, Out, Target};
use qwarp::emu::{EmuOptions, Emulator};

use kernels::have_kernels;

fn emulator(target: Target) -> Emulator {
    Emulator::new(EmuOptions {
        target,
        host_threads: 1,
        checks: true,
        counters: false,
    })
}

const ONE_CTA: Geometry = Geometry {
    grid: [1, 1, 1],
    block: [128, 1, 1],
    shared_bytes: 0,
};

/// Where nothing is embedded, opening a device says what to do. True if there is nothing to load.
fn refused_for_want_of_kernels() -> bool {
    let Some(reason) = missing().filter(|_| !have_kernels()) else {
        return false;
    };
    let error = Kernels::load(&emulator(Target::Sm80)).unwrap_err();
    assert_eq!(
        error.to_string(),
        reason,
        "on an emulator nothing is said of a GPU"
    );
    true
}

#[test]
fn a_kernel_that_a_target_lacks_is_refused_by_name() {
    if refused_for_want_of_kernels() {
        return;
    }
    for target in Target::ALL {
        let kernels = Kernels::load(&emulator(target)).unwrap();
        assert_eq!(kernels.target(), target);
        let input = In::<f32>::new(DevicePtr(4096), 64);
        let out = Out::<f16>::new(DevicePtr(8192), 32);
        let launch = kernels.silu_mul_f16(ONE_CTA, input, out, 32).unwrap();
        assert_eq!(launch.geometry, ONE_CTA);
        let (bytes, views) = (launch.args.bytes, launch.args.views);
        assert_eq!((bytes.len(), views.len()), (20, 2), "two pointers, one u32");
        assert_eq!((views[0].bytes, views[1].bytes), (256, 64));

        let out = Out::<bf16>::new(DevicePtr(8192), 32);
        let launch = kernels.silu_mul_bf16(ONE_CTA, input, out, 32);
        if target.has_bf16() {
            assert!(launch.is_ok(), "{target}");
            continue;
        }
        let Err(DriverError::Launch { kernel, reason }) = launch else {
            panic!("{target}: {launch:?}")
        };
        assert_eq!(kernel, "silu_mul_bf16");
        assert_eq!(reason, "it does not exist on sm_75, only on sm_80, sm_90");
    }
}

#[test]
fn a_cta_beyond_the_launch_bounds_is_refused() {
    if refused_for_want_of_kernels() {
        return;
    }
    let kernels = Kernels::load(&emulator(Target::Sm80)).unwrap();
    let facts = ENTRIES.iter().find(|entry| entry.name == "silu_mul_f16");
    let most = facts.unwrap().launch_bounds.unwrap();
    let launch = |block: [u32; 3]| {
        let input = In::<f32>::new(DevicePtr(4096), 64);
        let out = Out::<f16>::new(DevicePtr(8192), 32);
        let geometry = Geometry { block, ..ONE_CTA };
        let launch = kernels.silu_mul_f16(geometry, input, out, 32);
        launch.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(launch([most / 4, 2, 2]), Ok(()));
    let expected = format!(
        "launch of silu_mul_f16: a CTA of {} threads, its launch bounds allow {most}",
        most + 2
    );
    assert_eq!(launch([1, most / 2 + 1, 2]), Err(expected));
    let error = launch([u32::MAX; 3]).unwrap_err();
    assert!(error.contains(&u64::MAX.to_string()), "{error}");
}

#[test]
fn an_image_can_be_replaced_at_load() {
    if refused_for_want_of_kernels() {
        return;
    }
    let asked = RefCell::new(Vec::new());
    let renamed = |from: &'static str, to: &'static str| {
        Kernels::load_with(&emulator(Target::Sm80), &|image| {
            asked.borrow_mut().push((image.name, image.target));
            (image.name == "silu_mul").then(|| image.ptx.replace(from, to))
        })
    };
    // A kernel that the replaced text does not have is one that the target lacks.
    let kernels = renamed("silu_mul_f16", "other_f16").unwrap();
    let input = In::<f32>::new(DevicePtr(4096), 64);
    let out = Out::<f16>::new(DevicePtr(8192), 32);
    assert!(kernels.silu_mul_f16(ONE_CTA, input, out, 32).is_err());
    let images = IMAGES.iter().filter(|image| image.target == Target::Sm80);
    let images: Vec<_> = images.map(|image| (image.name, image.target)).collect();
    assert_eq!(*asked.borrow(), images);

    let error = renamed(".visible", ".invisible").unwrap_err().to_string();
    assert!(error.contains("silu_mul"), "{error}");
}
