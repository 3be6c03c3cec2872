//! Every call that a GPU backend makes of its driver fails in turn, from the first module to the last token: one clear error,
//! nothing left on the device, and an engine that goes on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/failing_driver.rs"]
mod failing_driver;
mod support;

use std::collections::BTreeMap;

use failing_driver::Device;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::driver::Target;
use qwarp::emu::{EmuOptions, Emulator};
use qwarp::engine::{Engine, Request, open_on};
use qwarp::{DType, Error, Result};
use support::kernels;
use support::repo;

/// Longer than a step, and with tokens of its own.
const PROMPT: [u32; 5] = [7, 3, 11, 2, 5];
const ANSWER: usize = 3;

fn device() -> Device {
    Device::new(Emulator::new(EmuOptions {
        target: Target::Sm80,
        host_threads: 1,
        checks: false,
        counters: false,
    }))
}

fn open(device: &Device) -> Result<Engine> {
    let folder = repo("tests/golden/tiny/tied-gqa6-head64-bf16");
    let config = ModelConfig::read(&folder)?;
    let limits = EngineConfig {
        dtype: DType::Bf16,
        threads: 1,
        max_num_seqs: 1,
        max_batched_tokens: 4,
        max_logit_rows: 1,
        max_model_len: 40,
    };
    open_on(Box::new(device.clone()), &folder, &config, limits)
}

/// The answer to the prompt, every step until the engine has nothing left to do.
fn answer(engine: &mut Engine) -> Result<Vec<u32>> {
    engine.submit(Request::new(PROMPT.to_vec(), ANSWER))?;
    let mut tokens = Vec::new();
    while !engine.is_idle() {
        let events = engine.step(&mut |_| {})?;
        tokens.extend(events.into_iter().filter_map(|event| event.token));
    }
    Ok(tokens)
}

/// The error is the call's, in one line.
fn is_told(error: &Error, name: &str) -> bool {
    let text = error.to_string();
    let driver = matches!(error, Error::Driver(_)) && error.exit_code() == 1;
    driver && text == format!("{name} failed: CUDA_ERROR_UNKNOWN (told to fail)")
}

#[test]
fn each_call_fails_once() {
    if !kernels::have_kernels() {
        return;
    }
    let device = device();
    let free = device.free_bytes();
    device.fail_at(None);
    let mut engine = open(&device).unwrap();
    let opening = device.names().len();
    let held = free - device.free_bytes();
    assert!(held > 0);
    let expected = answer(&mut engine).unwrap();
    assert_eq!(expected.len(), ANSWER);
    let calls = device.names();
    assert_eq!(free - device.free_bytes(), held, "steps allocate nothing");
    drop(engine);
    assert_eq!(device.free_bytes(), free);

    let mut failed: BTreeMap<&str, usize> = BTreeMap::new();
    for number in 1..=calls.len() {
        let name = calls[number - 1];
        let what = format!("call {number} of {}, {name}", calls.len());
        device.fail_at(Some(number));
        let opened = open(&device);
        let mut engine = match opened {
            Err(error) => {
                assert!(
                    number <= opening && is_told(&error, name),
                    "{what}: {error}"
                );
                assert_eq!(device.free_bytes(), free, "{what} left something behind");
                *failed.entry(name).or_default() += 1;
                continue;
            }
            Ok(engine) => engine,
        };
        assert!(number > opening, "{what}: the engine opened all the same");
        let error = answer(&mut engine).unwrap_err();
        assert!(is_told(&error, name), "{what}: {error}");
        *failed.entry(name).or_default() += 1;
        assert!(engine.is_idle(), "{what}: the request is over");
        assert_eq!(free - device.free_bytes(), held, "{what}");
        // The same engine goes on, and nothing of the failed step shows.
        assert_eq!(answer(&mut engine).unwrap(), expected, "{what}");
        drop(engine);
        assert_eq!(device.free_bytes(), free, "{what} left something behind");
    }
    println!("{failed:?}");
    assert_eq!(failed.values().sum::<usize>(), calls.len());
    for name in [
        "load_module",
        "function",
        "alloc",
        "copy_in",
        "launch",
        "mailbox",
        "sequence",
        "replay",
        "queue_out",
        "collect",
    ] {
        assert!(
            failed.contains_key(name),
            "{name} was never called: {failed:?}"
        );
    }
}

#[test]
fn memory_that_cannot_be_given_back_is_no_panic() {
    if !kernels::have_kernels() {
        return;
    }
    let device = device();
    device.fail_at(None);
    let engine = open(&device).unwrap();
    let calls = device.names().len();
    drop(engine);
    let frees = device.names().len() - calls;
    assert!(frees > 10);
    let free = device.free_bytes();
    for number in 1..=frees {
        device.fail_at(None);
        let engine = open(&device).unwrap();
        device.fail_at(Some(number));
        drop(engine);
        assert_eq!(device.names().len(), frees, "one failure stops no other");
        assert_eq!(device.free_bytes(), free);
    }
}
