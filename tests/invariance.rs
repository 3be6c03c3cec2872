//! The same bits, always: threads, prefill chunks, SIMD paths, decode against prefill.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use qwarp::DType;
use qwarp::backend::cpu::attention::CHUNK;
use qwarp::backend::cpu::simd;
use qwarp::backend::rng::philox;
use qwarp::backend::sampling::SamplingParams;
use qwarp::engine::Request;
use support::{Run, bits, engine, prompt_logits, real_model, repo};

/// Distinct-looking ids below `vocab`, from a counter.
fn prompt(count: usize, vocab: u32) -> Vec<u32> {
    (0..count as u32)
        .map(|i| philox([i, 0, 0, 0], [11, 0])[0] % vocab)
        .collect()
}

fn hash(logits: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    logits.iter().for_each(|x| x.to_bits().hash(&mut hasher));
    hasher.finish()
}

/// A hash of every row's bits: 700 rows of a real vocabulary are 425 MB.
fn row_hashes(folder: &Path, run: Run, tokens: &[u32]) -> Vec<u64> {
    let mut engine = engine(folder, run, tokens.len() + 1);
    let request = Request {
        wanted_logits: 0..tokens.len(),
        ..Request::new(tokens.to_vec(), 0)
    };
    engine.submit(request).unwrap();
    let mut hashes = vec![0; tokens.len()];
    while !engine.is_idle() {
        engine
            .step(&mut |row| hashes[row.position] = hash(row.logits))
            .unwrap();
    }
    assert!(hashes.iter().all(|&hash| hash != 0));
    hashes
}

#[test]
fn the_real_model_gives_the_same_bits_for_threads_and_chunks() {
    let _cores = support::all_cores();
    let folder = real_model();
    let tokens = prompt(700, 150_000);
    assert!(
        tokens.len().div_ceil(CHUNK) >= 3,
        "at least three KV chunks merge"
    );
    let run = |threads, chunk| {
        row_hashes(
            &folder,
            Run {
                threads,
                chunk,
                ..Run::new(DType::Bf16)
            },
            &tokens,
        )
    };
    let whole = run(2, 700);
    assert!(
        whole.windows(2).all(|pair| pair[0] != pair[1]),
        "rows differ from each other"
    );
    for (threads, chunk) in [(2, 512), (2, 64), (2, 7), (2, 1), (1, 700), (1, 64)] {
        assert!(
            run(threads, chunk) == whole,
            "{threads} threads, chunks of {chunk}"
        );
    }
}

#[test]
fn tiny_models_give_the_same_bits_for_paths_threads_chunks_and_types() {
    let _cores = support::all_cores();
    let paths = simd::Path::available();
    let mut runs = 0;
    for name in [
        "tied-gqa7-bf16",
        "untied-gqa6-f16-sharded",
        "tied-mha-f32-v5",
        "untied-gqa2-head128-bf16",
    ] {
        let folder = repo("tests/golden/tiny").join(name);
        let tokens = prompt(512, 120);
        for dtype in [DType::Bf16, DType::F16, DType::F32] {
            let first = prompt_logits(
                &folder,
                Run {
                    chunk: 512,
                    ..Run::new(dtype)
                },
                &tokens,
            );
            for &path in &paths {
                for threads in [1, 2] {
                    for chunk in [1, 7, 64, 300] {
                        let run = Run {
                            dtype,
                            threads,
                            chunk,
                            path,
                        };
                        assert!(
                            bits(&prompt_logits(&folder, run, &tokens)) == bits(&first),
                            "{name} {run:?}"
                        );
                        runs += 1;
                    }
                }
            }
        }
    }
    assert_eq!(runs, 4 * 3 * paths.len() * 8);
    println!("{runs} runs on {} SIMD paths", paths.len());
}

#[test]
fn decoding_gives_the_bits_of_prefill() {
    let _cores = support::all_cores();
    for (folder, dtype, prompt_len, count) in [
        (real_model(), DType::Bf16, 500, 40),
        (
            repo("tests/golden/tiny/untied-mha-f32"),
            DType::F32,
            250,
            250,
        ),
    ] {
        let prompt = prompt(prompt_len, 120);
        let run = Run {
            chunk: 64,
            ..Run::new(dtype)
        };
        let request = Request {
            wanted_logits: prompt_len..prompt_len + count - 1,
            ..Request::new(prompt.clone(), count)
        };
        let mut engine = engine(&folder, run, prompt_len + count);
        engine.submit(request).unwrap();
        let (mut tokens, mut decoded) = (prompt, Vec::new());
        while !engine.is_idle() {
            let events = engine
                .step(&mut |row| decoded.push((row.position, hash(row.logits))))
                .unwrap();
            tokens.extend(events.iter().filter_map(|event| event.token));
        }
        assert_eq!(
            (tokens.len(), decoded.len()),
            (prompt_len + count, count - 1)
        );
        let prefilled = row_hashes(&folder, run, &tokens[..tokens.len() - 1]);
        for (position, hash) in decoded {
            assert_eq!(hash, prefilled[position], "position {position}");
        }
    }
}

/// A request in which every setting that shapes a draw is on.
fn sampled() -> Request {
    Request {
        params: SamplingParams {
            temperature: 1.3,
            top_k: 60,
            top_p: 0.97,
            min_p: 0.03,
            repetition_penalty: 1.1,
            presence_penalty: 0.4,
            frequency_penalty: 0.3,
            seed: 7,
        },
        logit_bias: vec![(5, 3.0), (9, -100.0)].into(),
        choice: 2,
        ..Request::new(prompt(77, 120), 60)
    }
}

fn answer(request: &Request, threads: usize, chunk: usize) -> Vec<u32> {
    let folder = repo("tests/golden/tiny/tied-gqa7-bf16");
    let run = Run {
        threads,
        chunk,
        ..Run::new(DType::Bf16)
    };
    let mut engine = engine(&folder, run, 400);
    engine.submit(request.clone()).unwrap();
    let mut tokens = Vec::new();
    while !engine.is_idle() {
        let events = engine.step(&mut |_| {}).unwrap();
        tokens.extend(events.iter().filter_map(|event| event.token));
    }
    tokens
}

#[test]
fn a_seed_gives_the_same_tokens_for_runs_threads_and_chunks() {
    let _cores = support::all_cores();
    let request = sampled();
    let first = answer(&request, 1, 77);
    assert_eq!(first.len(), 60);
    for (threads, chunk) in [(1, 77), (1, 1), (2, 7), (2, 64)] {
        let again = answer(&request, threads, chunk);
        assert_eq!(again, first, "{threads} threads, chunks of {chunk}");
    }
}

#[test]
fn every_sampling_setting_reaches_the_draw() {
    let _cores = support::all_cores();
    type Change = fn(&mut Request);
    let changes: [(&str, Change); 10] = [
        ("temperature", |r| r.params.temperature = 0.8),
        ("top_k", |r| r.params.top_k = 3),
        ("top_p", |r| r.params.top_p = 0.5),
        ("min_p", |r| r.params.min_p = 0.5),
        ("repetition_penalty", |r| r.params.repetition_penalty = 1.0),
        ("presence_penalty", |r| r.params.presence_penalty = -2.0),
        ("frequency_penalty", |r| r.params.frequency_penalty = -2.0),
        ("seed", |r| r.params.seed += 1 << 40),
        ("logit_bias", |r| r.logit_bias = vec![(9, 100.0)].into()),
        ("choice", |r| r.choice += 1),
    ];
    let first = answer(&sampled(), 2, 64);
    assert!(!first.contains(&9), "a token biased by -100 was drawn");
    for (name, change) in changes {
        let mut request = sampled();
        change(&mut request);
        let other = answer(&request, 2, 64);
        assert_ne!(other, first, "{name} changes nothing");
        if name == "logit_bias" {
            assert_eq!(other, [9; 60], "a token biased by 100 is always drawn");
        }
    }
}
