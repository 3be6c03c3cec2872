//! Opening a backend: an allocation that fails leaves nothing behind.

use qwarp::DType;
use qwarp::backend::gpu::{GpuBackend, GpuOptions};
use qwarp::driver::Target;

use crate::failing::{Failing, Seen};
use crate::kernels::have_kernels;
use crate::{TIED, plan, weights};

const OPTIONS: GpuOptions = GpuOptions {
    num_blocks: 4,
    max_num_seqs: 2,
};

fn open(at: Option<usize>) -> (Result<GpuBackend, String>, std::rc::Rc<Seen>) {
    let (driver, seen) = Failing::new(Target::Sm80, at);
    let plan = plan(TIED, DType::F16);
    let weights = weights(TIED, &plan);
    let opened = GpuBackend::open(plan, |_| Ok(weights), 2, OPTIONS, driver);
    (opened.map_err(|error| error.to_string()), seen)
}

#[test]
fn whatever_fails_at_the_start_leaves_nothing_behind() {
    if !have_kernels() {
        return;
    }
    let (opened, seen) = open(None);
    let calls = seen.calls.get();
    let live: usize = seen.live.borrow().values().sum();
    assert_eq!(opened.as_ref().unwrap().device_bytes(), live as u64);
    drop(opened);
    assert!(seen.live.borrow().is_empty());
    // Weights by allocation and copy, each of which `weights` fails in turn; then the ten buffers, whose first, one in the
    // middle and last fail here.
    assert!(calls > 30, "{calls} calls");
    for at in [calls - 10, calls - 5, calls - 1] {
        let (opened, seen) = open(Some(at));
        let error = opened.unwrap_err();
        assert!(error.contains("out of device memory"), "{at}: {error}");
        assert_eq!(seen.calls.get(), at + 1, "it went on after {error}");
        assert!(seen.live.borrow().is_empty(), "call {at}");
    }
}

#[test]
fn f32_is_refused_before_anything_is_allocated() {
    let (driver, seen) = Failing::new(Target::Sm80, None);
    let plan = plan(TIED, DType::F32);
    let weights = weights(TIED, &plan);
    let error = GpuBackend::open(plan, |_| Ok(weights), 2, OPTIONS, driver).unwrap_err();
    assert!(
        error.to_string().contains("f16 or bf16 on a GPU"),
        "{error}"
    );
    assert_eq!(seen.calls.get(), 0);
}
