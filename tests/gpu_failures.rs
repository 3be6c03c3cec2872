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

/// For one sequence of up to 40 positions.
fn open(device: &Device) -> Result<Engine> {
    open_with(device, 4, 40)
}

fn open_with(device: &Device, chunk: usize, positions: usize) -> Result<Engine> {
    let folder = repo("tests/golden/tiny/tied-gqa6-head64-bf16");
    let config = ModelConfig::read(&folder)?;
    let limits = EngineConfig {
        dtype: DType::Bf16,
        threads: 1,
        max_num_seqs: 1,
        max_batched_tokens: chunk,
        max_logit_rows: chunk,
        max_model_len: positions,
    };
    open_on(Box::new(device.clone()), &folder, &config, limits)
}

/// The answer to the prompt, every step until the engine has nothing left to do.
fn answer(engine: &mut Engine) -> Result<Vec<u32>> {
    let (tokens, mut errors) = tokens_and_errors(engine, Request::new(PROMPT.to_vec(), ANSWER));
    errors.pop().map_or(Ok(tokens), Err)
}

/// What comes of a request until the engine has nothing left to do: its tokens, and every error on the way.
fn tokens_and_errors(engine: &mut Engine, request: Request) -> (Vec<u32>, Vec<Error>) {
    engine.submit(request).unwrap();
    let (mut tokens, mut errors) = (Vec::new(), Vec::new());
    while !engine.is_idle() {
        match engine.step(&mut |_| {}) {
            Ok(events) => tokens.extend(events.into_iter().filter_map(|event| event.token)),
            Err(error) => errors.push(error),
        }
    }
    (tokens, errors)
}

/// Fails each call of the steps of a request in turn, on one engine. The answer up to there has come, the error once, and the
/// same request afterwards is answered as before. The calls, by name.
fn each_call_of_steps_fails(
    device: &Device,
    engine: &mut Engine,
    request: &Request,
    which: fn(&str) -> bool,
) -> BTreeMap<&'static str, usize> {
    let answered = |engine: &mut Engine| {
        let (tokens, errors) = tokens_and_errors(engine, request.clone());
        assert!(errors.is_empty(), "{errors:?}");
        tokens
    };
    let expected = answered(engine);
    device.fail_at(None);
    assert_eq!(answered(engine), expected);
    let calls = device.names();
    let mut failed: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, name) in (1..).zip(&calls).filter(|(_, name)| which(name)) {
        device.fail_at(Some(number));
        let (tokens, errors) = tokens_and_errors(engine, request.clone());
        let what = format!("call {number} of {}, {name}", calls.len());
        let [error] = &errors[..] else {
            panic!("{what}: {errors:?}");
        };
        assert!(is_told(error, name), "{what}: {error}");
        assert!(tokens.len() < expected.len(), "{what}");
        assert!(expected.starts_with(&tokens), "{what}: {tokens:?}");
        *failed.entry(name).or_default() += 1;
        assert_eq!(answered(engine), expected, "{what}");
    }
    println!("{failed:?}");
    failed
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

#[test]
fn steps_that_are_submitted_early_fail_once_and_lose_no_token() {
    if !kernels::have_kernels() {
        return;
    }
    let device = device();
    let mut engine = open(&device).unwrap();
    engine.set_run_ahead(true);
    let request = Request::new(PROMPT.to_vec(), 5);
    let failed = each_call_of_steps_fails(&device, &mut engine, &request, |_| true);
    for name in ["copy_in", "launch", "replay", "queue_out", "collect"] {
        assert!(failed.contains_key(name), "{name}: {failed:?}");
    }
    // The second step that draws fails before the first has been asked for its token: that still comes.
    device.fail_at(None);
    let mut places = Vec::new();
    tokens_and_errors(&mut engine, request.clone());
    for (number, name) in (1..).zip(device.names()) {
        if name == "replay" {
            places.push(number);
        }
    }
    device.fail_at(Some(places[1]));
    let (tokens, errors) = tokens_and_errors(&mut engine, request);
    assert_eq!(
        (tokens.len(), errors.len()),
        (1, 1),
        "{tokens:?} {errors:?}"
    );
}

#[test]
fn a_change_of_a_fixed_sequence_that_fails_is_made_again() {
    if !kernels::have_kernels() {
        return;
    }
    const PROMPT_LEN: usize = 254;
    let device = device();
    let mut engine = open_with(&device, 64, 272).unwrap();
    // Past 256 positions attention has a second chunk; the next prompt begins with one again.
    let prompt: Vec<u32> = (0..PROMPT_LEN as u32).map(|i| i * 37 % 113).collect();
    let request = Request::new(prompt.clone(), 6);
    let failed = each_call_of_steps_fails(&device, &mut engine, &request, |name| name == "change");
    assert!(failed["change"] >= 2, "{failed:?}");
    // What the replayed steps drew is what one prefill of the whole finds most probable.
    let (answer, _) = tokens_and_errors(&mut engine, request);
    let whole = [&prompt[..], &answer].concat();
    let all = Request {
        wanted_logits: PROMPT_LEN - 1..whole.len(),
        ..Request::new(whole, 0)
    };
    engine.submit(all).unwrap();
    let mut best = Vec::new();
    while !engine.is_idle() {
        let mut greatest = |row: qwarp::engine::PositionLogits<'_>| {
            let of = |(token, logit): (usize, &f32)| (*logit, token as u32);
            let by_logit = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0);
            let token = row.logits.iter().enumerate().map(of).max_by(by_logit);
            best.push(token.unwrap().1);
        };
        engine.step(&mut greatest).unwrap();
    }
    assert_eq!(best[..answer.len()], answer);
}
