//! The same bits, always: threads, prefill chunks, SIMD paths, decode against prefill.
//!
//! On the real model a covering part of the product runs; `QWARP_TEST_ALL=1` in the environment runs all of it, which takes
//! some twenty minutes: `QWARP_TEST_ALL=1 cargo test --release --test invariance the_real_model -- --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

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

/// One run of the real model's prompt, or of its beginning: no logits depend on what follows.
struct Combination {
    path: simd::Path,
    threads: usize,
    chunk: usize,
    tokens: usize,
}

/// Every path with every thread count and chunk, or enough of them to meet each value: the slow paths then run the small
/// chunks over as much as it takes to merge two KV chunks.
fn combinations(whole: usize, all: bool) -> Vec<Combination> {
    let mut found = Vec::new();
    for (index, path) in simd::Path::available().into_iter().enumerate() {
        let wanted: Vec<(usize, usize, usize)> = if all {
            let chunks = [1, 7, 64, 512, whole];
            let pairs = [1, 2].map(|threads| chunks.map(|chunk| (threads, chunk, whole)));
            pairs.into_iter().flatten().collect()
        } else if index == 0 {
            let part = CHUNK + 44;
            let longer = [(2, 512, whole), (2, 64, whole), (1, whole, whole)];
            [&longer[..], &[(2, 7, part), (2, 1, part)]].concat()
        } else {
            vec![(2, whole, whole), (1, 7, CHUNK + 9)]
        };
        for (threads, chunk, tokens) in wanted {
            found.push(Combination {
                path,
                threads,
                chunk,
                tokens,
            });
        }
    }
    found
}

/// Whether `QWARP_TEST_ALL` asks for the whole product on the real model.
fn all() -> bool {
    std::env::var_os("QWARP_TEST_ALL").is_some()
}

#[test]
fn the_real_model_gives_the_same_bits_for_paths_threads_and_chunks() {
    let _cores = support::all_cores();
    let folder = real_model();
    let tokens = prompt(700, 150_000);
    assert!(
        tokens.len().div_ceil(CHUNK) >= 3,
        "at least three KV chunks merge"
    );
    let run = |path, threads, chunk, count: usize| {
        let run = Run {
            path,
            threads,
            chunk,
            dtype: DType::Bf16,
        };
        row_hashes(&folder, run, &tokens[..count])
    };
    let first = run(simd::Path::best(), 2, 700, 700);
    assert!(
        first.windows(2).all(|pair| pair[0] != pair[1]),
        "rows differ from each other"
    );
    let (mut compared, mut rows) = (0, 0);
    for item in combinations(tokens.len(), all()) {
        let name = item.path.name();
        let found = run(item.path, item.threads, item.chunk, item.tokens);
        assert!(
            found == first[..item.tokens],
            "{name}, {} threads, chunks of {}",
            item.threads,
            item.chunk
        );
        compared += 1;
        rows += item.tokens;
    }
    let paths = simd::Path::available().len();
    let least = if all() {
        paths * 10
    } else {
        5 + (paths - 1) * 2
    };
    assert_eq!(compared, least);
    println!("{compared} combinations, {rows} rows of logits, equal to the first run's bits");
}

/// A tiny checkpoint of every layout: those of more than 2^18 bytes are the same ones with wider heads, for kernels.
fn tiny_models() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repo("tests/golden/tiny")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| weight_bytes(folder) <= 1 << 18);
    folders.sort();
    assert_eq!(folders.len(), 8);
    folders
}

fn weight_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap());
    let weights = files.filter(|file| {
        let name = file.file_name();
        let name = name.to_str().unwrap();
        name.starts_with("model") && name.ends_with(".safetensors")
    });
    weights.map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn tiny_models_give_the_same_bits_for_paths_threads_chunks_and_types() {
    let _cores = support::all_cores();
    let paths = simd::Path::available();
    let tokens = prompt(512, 120);
    let mut compared = 0;
    for folder in tiny_models() {
        for dtype in [DType::Bf16, DType::F16, DType::F32] {
            let whole = Run {
                chunk: 512,
                ..Run::new(dtype)
            };
            let first = bits(&prompt_logits(&folder, whole, &tokens));
            for &path in &paths {
                for threads in [1, 2] {
                    for chunk in [1, 7, 64, 300, 512] {
                        let run = Run {
                            dtype,
                            threads,
                            chunk,
                            path,
                        };
                        let found = bits(&prompt_logits(&folder, run, &tokens));
                        assert!(found == first, "{} {run:?}", folder.display());
                        compared += 1;
                    }
                }
            }
        }
    }
    assert_eq!(compared, 8 * 3 * paths.len() * 2 * 5);
    println!("{compared} combinations on {} SIMD paths", paths.len());
}

/// Prompt and greedy answer, and the hash of the logits behind each token of the answer but the last.
fn decode(folder: &Path, run: Run, prompt: &[u32], count: usize) -> (Vec<u32>, Vec<u64>) {
    let request = Request {
        wanted_logits: prompt.len()..prompt.len() + count - 1,
        ..Request::new(prompt.to_vec(), count)
    };
    let mut engine = engine(folder, run, prompt.len() + count);
    engine.submit(request).unwrap();
    let (mut tokens, mut hashes) = (prompt.to_vec(), Vec::new());
    while !engine.is_idle() {
        let events = engine
            .step(&mut |row| {
                assert_eq!(row.position, prompt.len() + hashes.len());
                hashes.push(hash(row.logits));
            })
            .unwrap();
        tokens.extend(events.iter().filter_map(|event| event.token));
    }
    assert_eq!(tokens.len(), prompt.len() + count);
    assert_eq!(hashes.len(), count - 1);
    (tokens, hashes)
}

/// Decodes on every path with these thread counts, and prefills what came out once. Returns how many runs were compared.
fn decode_everywhere(
    folder: &Path,
    dtype: DType,
    threads: &[usize],
    prompt: &[u32],
    count: usize,
) -> usize {
    let best = Run {
        chunk: 64,
        ..Run::new(dtype)
    };
    let (tokens, hashes) = decode(folder, best, prompt, count);
    let prefilled = row_hashes(folder, best, &tokens[..tokens.len() - 1]);
    assert!(
        hashes == prefilled[prompt.len()..],
        "{} {dtype}",
        folder.display()
    );
    let mut compared = 1;
    for path in simd::Path::available() {
        for &threads in threads {
            let run = Run {
                path,
                threads,
                ..best
            };
            if (path, threads) != (best.path, best.threads) {
                let found = decode(folder, run, prompt, count);
                let same = found.0 == tokens && found.1 == hashes;
                assert!(same, "{} {run:?}", folder.display());
                compared += 1;
            }
        }
    }
    compared
}

#[test]
fn the_real_model_decodes_the_bits_of_prefill_on_every_path() {
    let _cores = support::all_cores();
    let threads: &[usize] = if all() { &[1, 2] } else { &[2] };
    let prompt = prompt(500, 150_000);
    let compared = decode_everywhere(&real_model(), DType::Bf16, threads, &prompt, 40);
    assert_eq!(compared, simd::Path::available().len() * threads.len());
    println!("{compared} combinations");
}

#[test]
fn tiny_models_decode_the_bits_of_prefill_on_every_path() {
    let _cores = support::all_cores();
    let prompt = prompt(200, 120);
    let mut compared = 0;
    for folder in tiny_models() {
        for dtype in [DType::Bf16, DType::F16, DType::F32] {
            // Beyond the first KV chunk.
            compared += decode_everywhere(&folder, dtype, &[1, 2], &prompt, CHUNK);
        }
    }
    assert_eq!(compared, 8 * 3 * simd::Path::available().len() * 2);
    println!("{compared} combinations");
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
