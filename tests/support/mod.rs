//! What several test binaries share: opening engines, collecting logits, comparing distributions.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

pub mod by_hand;
pub mod golden_run;
pub mod kernels;
pub mod plan;
pub mod real_case;
pub mod reference;
pub mod tiny;
pub mod visits;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use qwarp::DType;
use qwarp::backend::cpu::simd;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::engine::{Engine, OpenOptions, Request, open};
use safetensors::SafeTensors;

pub use reference::{Reference, kl, log_sum_exp, max_difference, repo};

/// The real model's folder; its absence is a failure with the way out, never a skip.
pub fn real_model() -> PathBuf {
    let folder = repo("models/qwen2.5-coder-0.5b-instruct");
    assert!(
        folder.join("config.json").exists(),
        "{} is missing: run tools/get-model",
        folder.display()
    );
    folder
}

/// Held by tests that run a whole model on every core: two at once would only wait for each other.
pub fn all_cores() -> MutexGuard<'static, ()> {
    static CORES: Mutex<()> = Mutex::new(());
    CORES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a test runs a model.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub dtype: DType,
    pub threads: usize,
    pub chunk: usize,
    pub path: simd::Path,
}

impl Run {
    pub fn new(dtype: DType) -> Self {
        Run {
            dtype,
            threads: 2,
            chunk: 128,
            path: simd::Path::best(),
        }
    }
}

/// An engine for sequences of up to `max_len` tokens.
pub fn engine(folder: &Path, run: Run, max_len: usize) -> Engine {
    let config = ModelConfig::read(folder).unwrap();
    let engine = EngineConfig {
        dtype: run.dtype,
        threads: run.threads,
        max_num_seqs: 1,
        max_batched_tokens: run.chunk,
        max_logit_rows: run.chunk,
        max_model_len: max_len,
    };
    open(
        folder,
        &config,
        OpenOptions {
            engine,
            path: run.path,
        },
    )
    .unwrap()
    .engine
}

/// The logits of every prompt position.
pub fn prompt_logits(folder: &Path, run: Run, tokens: &[u32]) -> Vec<Vec<f32>> {
    let mut engine = engine(folder, run, tokens.len() + 1);
    let request = Request {
        wanted_logits: 0..tokens.len(),
        ..Request::new(tokens.to_vec(), 0)
    };
    engine.submit(request).unwrap();
    let mut logits = vec![Vec::new(); tokens.len()];
    while !engine.is_idle() {
        engine
            .step(&mut |row| logits[row.position] = row.logits.to_vec())
            .unwrap();
    }
    assert!(
        logits.iter().all(|row| !row.is_empty()),
        "a position without logits"
    );
    logits
}

/// Greedy tokens after `prompt`.
pub fn greedy(engine: &mut Engine, prompt: &[u32], count: usize) -> Vec<u32> {
    engine.submit(Request::new(prompt.to_vec(), count)).unwrap();
    let mut tokens = Vec::new();
    while !engine.is_idle() {
        tokens.extend(
            engine
                .step(&mut |_| {})
                .unwrap()
                .into_iter()
                .filter_map(|event| event.token),
        );
    }
    tokens
}

/// The bits of every row, for comparisons that must be exact.
pub fn bits(rows: &[Vec<f32>]) -> Vec<Vec<u32>> {
    rows.iter()
        .map(|row| row.iter().map(|x| x.to_bits()).collect())
        .collect()
}

/// A copy of a checkpoint of one f32 file with one tensor multiplied by `factor`.
pub fn scaled_copy(from: &str, tensor: &str, factor: f32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        repo(from).join("config.json"),
        folder.path().join("config.json"),
    )
    .unwrap();
    let mut bytes = std::fs::read(repo(from).join("model.safetensors")).unwrap();
    let view_range = {
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let data = tensors.tensor(tensor).unwrap().data();
        let start = data.as_ptr() as usize - bytes.as_ptr() as usize;
        start..start + data.len()
    };
    for value in bytes[view_range].as_chunks_mut::<4>().0 {
        *value = (f32::from_le_bytes(*value) * factor).to_le_bytes();
    }
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    folder
}
