//! Several sequences at once: each gets the bits it gets alone, blocks come back, a failed step takes only its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;

use qwarp::backend::cpu::simd;
use qwarp::backend::rng::philox;
use qwarp::backend::sampling::SamplingParams;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::engine::{Engine, FinishReason, OpenOptions, Request, SequenceId, open};
use qwarp::{DType, Error};
use support::repo;

const MAX_LEN: usize = 400;

fn engine(dtype: DType, seqs: usize, chunk: usize, max_model_len: usize) -> Engine {
    let folder = repo("tests/golden/tiny/tied-gqa7-bf16");
    let config = ModelConfig::read(&folder).unwrap();
    let engine = EngineConfig {
        dtype,
        threads: 2,
        max_num_seqs: seqs,
        max_batched_tokens: chunk,
        max_logit_rows: chunk,
        max_model_len,
    };
    open(
        &folder,
        &config,
        OpenOptions {
            engine,
            path: simd::Path::best(),
        },
    )
    .unwrap()
    .engine
}

fn request(seed: u32, length: usize, max_tokens: usize) -> Request {
    let prompt: Vec<u32> = (0..length as u32)
        .map(|i| philox([i, 3, 0, 0], [seed, 0])[0] % 120)
        .collect();
    let params = SamplingParams {
        temperature: 0.8,
        seed: u64::from(seed),
        ..SamplingParams::GREEDY
    };
    Request {
        params,
        wanted_logits: 0..MAX_LEN,
        ..Request::new(prompt, max_tokens)
    }
}

/// What a sequence produced: its tokens, and the bits of every logits row by position.
#[derive(Debug, Default, PartialEq)]
struct Output {
    tokens: Vec<u32>,
    rows: BTreeMap<usize, Vec<u32>>,
    finish: Option<FinishReason>,
}

/// Steps once and files what came out.
fn step(engine: &mut Engine, outputs: &mut BTreeMap<SequenceId, Output>) -> usize {
    let mut seen = 0;
    let events = engine
        .step(&mut |row| {
            seen += 1;
            let bits = row.logits.iter().map(|x| x.to_bits()).collect();
            outputs
                .entry(row.id)
                .or_default()
                .rows
                .insert(row.position, bits);
        })
        .unwrap();
    for event in events {
        let output = outputs.entry(event.id).or_default();
        output.tokens.extend(event.token);
        output.finish = event.finish;
    }
    seen
}

fn alone(request: &Request) -> Output {
    let mut engine = engine(DType::Bf16, 1, 64, MAX_LEN);
    let id = engine.submit(request.clone()).unwrap();
    let mut outputs = BTreeMap::new();
    while !engine.is_idle() {
        step(&mut engine, &mut outputs);
    }
    outputs.remove(&id).unwrap()
}

#[test]
fn a_sequence_among_others_gets_the_bits_it_gets_alone() {
    let requests: Vec<Request> = [
        (1, 300, 20),
        (2, 1, 90),
        (3, 75, 33),
        (4, 17, 60),
        (5, 130, 7),
    ]
    .map(|(seed, length, count)| request(seed, length, count))
    .into();
    let mut engine = engine(DType::Bf16, 3, 48, MAX_LEN);
    let mut outputs = BTreeMap::new();
    let (mut ids, mut widest) = (Vec::new(), 0);
    let mut waiting = requests.iter();
    // They arrive one after the other, more than may run at once, so blocks are reused and neighbours change.
    loop {
        if ids.len() < 5 {
            ids.push(engine.submit(waiting.next().unwrap().clone()).unwrap());
        }
        step(&mut engine, &mut outputs);
        let running = ids
            .iter()
            .filter(|id| engine.computed(**id).is_some())
            .count();
        widest = widest.max(running);
        if engine.is_idle() {
            break;
        }
    }
    assert_eq!(widest, 3, "three sequences ran side by side");
    for (id, request) in ids.iter().zip(&requests) {
        let expected = alone(request);
        assert_eq!(expected.tokens.len(), request.max_tokens);
        assert!(
            outputs[id] == expected,
            "sequence {id:?} differs from its solo run"
        );
    }
}

#[test]
fn a_cancelled_sequence_leaves_its_neighbours_alone() {
    let mut engine = engine(DType::Bf16, 2, 32, MAX_LEN);
    let (kept, dropped, later) = (request(6, 90, 40), request(7, 120, 200), request(8, 33, 12));
    let mut outputs = BTreeMap::new();
    let kept_id = engine.submit(kept.clone()).unwrap();
    let dropped_id = engine.submit(dropped).unwrap();
    let later_id = engine.submit(later.clone()).unwrap();
    for _ in 0..8 {
        step(&mut engine, &mut outputs);
    }
    assert!(engine.computed(later_id).is_none(), "no room for a third");
    assert!(engine.cancel(dropped_id));
    assert!(!engine.cancel(dropped_id), "it is gone");
    while !engine.is_idle() {
        step(&mut engine, &mut outputs);
    }
    assert!(outputs[&kept_id] == alone(&kept));
    assert!(outputs[&later_id] == alone(&later));
}

#[test]
fn a_sequence_ends_where_the_context_ends() {
    for (prompt, expected) in [(40, 0), (39, 1), (30, 10)] {
        let mut engine = engine(DType::Bf16, 1, 64, 40);
        let id = engine.submit(request(9, prompt, 100)).unwrap();
        let mut outputs = BTreeMap::new();
        while !engine.is_idle() {
            step(&mut engine, &mut outputs);
        }
        assert_eq!(outputs[&id].tokens.len(), expected, "prompt of {prompt}");
        assert_eq!(outputs[&id].finish, Some(FinishReason::ContextFull));
    }
    let refused = engine(DType::Bf16, 1, 64, 40).submit(request(9, 41, 1));
    assert!(matches!(refused, Err(Error::Argument { .. })));
}

/// An f16 run of a model whose values leave f16 says where, and the engine goes on.
#[test]
fn a_value_outside_f16_is_an_error_with_its_place() {
    let folder = support::scaled_copy(
        "tests/golden/tiny/untied-mha-f32",
        "model.layers.1.mlp.up_proj.weight",
        3e4,
    );
    let config = ModelConfig::read(folder.path()).unwrap();
    let open = |dtype| {
        let engine = EngineConfig {
            dtype,
            threads: 2,
            max_num_seqs: 1,
            max_batched_tokens: 64,
            max_logit_rows: 64,
            max_model_len: MAX_LEN,
        };
        open(
            folder.path(),
            &config,
            OpenOptions {
                engine,
                path: simd::Path::best(),
            },
        )
        .unwrap()
        .engine
    };
    let mut engine = open(DType::F16);
    engine.submit(request(10, 20, 2)).unwrap();
    let error = engine.step(&mut |_| {}).unwrap_err().to_string();
    for part in ["layer 1 silu mul", "row", "f16", "--dtype bf16 or f32"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(engine.is_idle(), "the failed sequence is gone");
    let mut fine = open(DType::Bf16);
    fine.submit(request(10, 20, 2)).unwrap();
    assert!(fine.step(&mut |_| {}).is_ok());
}
