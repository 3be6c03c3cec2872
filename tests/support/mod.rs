//! What several test binaries share: opening engines, collecting logits, comparing distributions.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

pub mod plan;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use qwarp::DType;
use qwarp::backend::cpu::simd;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::engine::{Engine, OpenOptions, Request, open};
use safetensors::SafeTensors;

/// A path inside the repository.
pub fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

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

/// A reference file, read into memory.
pub struct Reference {
    bytes: Vec<u8>,
}

impl Reference {
    pub fn open(path: &Path) -> Self {
        Reference {
            bytes: std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        }
    }

    pub fn f32(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        self.read(name, |bytes: [u8; 4]| f32::from_le_bytes(bytes))
    }

    pub fn f64(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        self.read(name, |bytes: [u8; 8]| f64::from_le_bytes(bytes))
    }

    pub fn i32(&self, name: &str) -> (Vec<usize>, Vec<i32>) {
        self.read(name, |bytes: [u8; 4]| i32::from_le_bytes(bytes))
    }

    pub fn ids(&self, name: &str) -> Vec<u32> {
        self.read(name, |bytes: [u8; 8]| {
            u32::try_from(i64::from_le_bytes(bytes)).unwrap()
        })
        .1
    }

    pub fn has(&self, name: &str) -> bool {
        SafeTensors::deserialize(&self.bytes)
            .unwrap()
            .names()
            .contains(&name)
    }

    fn read<T, const N: usize>(
        &self,
        name: &str,
        read: impl Fn([u8; N]) -> T,
    ) -> (Vec<usize>, Vec<T>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(name).unwrap();
        let (chunks, rest) = view.data().as_chunks::<N>();
        assert!(rest.is_empty(), "{name}");
        (
            view.shape().to_vec(),
            chunks.iter().map(|&bytes| read(bytes)).collect(),
        )
    }
}

/// log of the sum of exponentials, in f64.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(max)
        + logits
            .iter()
            .map(|&x| f64::from(x - max).exp())
            .sum::<f64>()
            .ln()
}

/// KL(reference || ours) over the whole vocabulary, in f64.
pub fn kl(reference: &[f32], ours: &[f32]) -> f64 {
    let (lse_p, lse_q) = (log_sum_exp(reference), log_sum_exp(ours));
    reference
        .iter()
        .zip(ours)
        .map(|(&p, &q)| {
            let (log_p, log_q) = (f64::from(p) - lse_p, f64::from(q) - lse_q);
            log_p.exp() * (log_p - log_q)
        })
        .sum()
}

/// The largest difference of two rows; a NaN anywhere is infinite.
pub fn max_difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference = |(a, b): (&f32, &f32)| {
        let difference = f64::from((a - b).abs());
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        }
    };
    a.iter().zip(b).map(difference).fold(0.0, f64::max)
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
