//! Opening a backend: an allocation that fails leaves nothing behind.

use qwarp::DType;
use qwarp::backend::gpu::{GpuBackend, GpuOptions};
use qwarp::backend::{Backend, SequenceSpan, StepInputs};
use qwarp::driver::Target;

use crate::failing::{Failing, Seen};
use crate::kernels::have_kernels;
use crate::{TIED, plan, weights};

const OPTIONS: GpuOptions = GpuOptions {
    num_blocks: 4,
    max_num_seqs: 2,
    max_model_len: 50,
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

/// A sequence is only as long as what it was opened with is sized for, even where there are blocks for more.
#[test]
fn a_sequence_that_is_too_long_is_refused() {
    if !have_kernels() {
        return;
    }
    let mut backend = open(None).0.unwrap();
    let step = |cached: usize, tokens: usize| StepInputs {
        token_ids: vec![1; tokens],
        positions: (cached as u32..).take(tokens).collect(),
        slot_mapping: (cached as u32..).take(tokens).collect(),
        sequences: vec![SequenceSpan {
            tokens,
            cached,
            table_start: 0,
            table_len: 4,
        }],
        block_tables: vec![0, 1, 2, 3],
        logit_rows: vec![0],
        ..StepInputs::default()
    };
    for cached in [0, 20] {
        backend.submit(&step(cached, 20)).unwrap();
    }
    backend.submit(&step(40, 10)).unwrap();
    let error = backend.submit(&step(50, 1)).unwrap_err().to_string();
    assert_eq!(
        error,
        "positions of a sequence: found 51, expected at most 50"
    );
}
