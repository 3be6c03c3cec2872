//! Weights that do not start on a cache line are copied panel by panel for long prompts, and read in place for short
//! ones: the same bits either way, across the borders of panels and blocks of tokens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use half::bf16;
use qwarp::DType;
use qwarp::backend::cpu::{CpuBackend, CpuOptions, simd};
use qwarp::backend::rng::philox;
use qwarp::backend::{Backend, SequenceSpan, StepInputs};
use qwarp::checkpoint::{Checkpoint, Weights};
use qwarp::graph::{GraphBuilder, Op, Plan, TensorSpec};
use qwarp::shape::{MaxRows, Rows};
use safetensors::serialize_to_file;
use safetensors::tensor::{Dtype, TensorView};

/// Whole cache lines a row, more rows than a panel has, and an odd number of them.
const K: usize = 96;
const N: usize = 601;

fn values(count: usize, seed: u32) -> Vec<f32> {
    (0..count)
        .map(|i| philox([i as u32, 2, 0, 0], [seed, 0])[0] as f32 / u32::MAX as f32 - 0.5)
        .collect()
}

/// Writes the matrix with its data `offset` bytes behind a cache line.
fn write(path: &Path, offset: u64) {
    let bytes: Vec<u8> = values(N * K, 1)
        .into_iter()
        .flat_map(|x| bf16::from_f32(x).to_le_bytes())
        .collect();
    for padding in 0..64 {
        let view = TensorView::new(Dtype::BF16, vec![N, K], &bytes).unwrap();
        let metadata = HashMap::from([("padding".to_string(), "x".repeat(padding))]);
        serialize_to_file([("w", view)], Some(metadata), path).unwrap();
        let file = std::fs::read(path).unwrap();
        let header = u64::from_le_bytes(file[..8].try_into().unwrap());
        if (8 + header) % 64 == offset {
            return;
        }
    }
    panic!("no padding gives offset {offset}");
}

/// `tokens` rows times the matrix, as bits.
fn product(folder: &Path, tokens: usize, threads: usize) -> Vec<u32> {
    let mut g = GraphBuilder::new(DType::Bf16);
    let input = g.input(TensorSpec {
        rows: Rows::Tokens,
        cols: K,
        dtype: DType::Bf16,
    });
    let weight = g.matrix("w", &[("w".into(), N)], K);
    let output = g
        .add("op", Op::Linear { weight, bias: None }, &[input])
        .unwrap();
    let rows = MaxRows {
        tokens,
        logits: tokens,
    };
    let plan = Plan::new(g.finish(), rows).unwrap();
    let checkpoint = Arc::new(Checkpoint::open(folder).unwrap());
    let weights = Weights::load(checkpoint, &plan.graph.weights, DType::Bf16, threads).unwrap();
    let options = CpuOptions {
        threads,
        num_blocks: 1,
        path: simd::Path::best(),
    };
    let mut backend = CpuBackend::open(plan, weights, options).unwrap();
    assert_eq!(
        backend.memory().weights.converted,
        0,
        "the matrix is read where it is mapped"
    );
    backend.write(input, &values(tokens * K, 3)).unwrap();
    let step = StepInputs {
        token_ids: vec![0; tokens],
        positions: vec![0; tokens],
        slot_mapping: vec![0; tokens],
        sequences: vec![SequenceSpan {
            tokens,
            cached: 0,
            table_start: 0,
            table_len: tokens,
        }],
        block_tables: vec![0; tokens],
        ..StepInputs::default()
    };
    backend.submit(&step).unwrap();
    let out = backend.read(output, tokens);
    out.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_matrix_off_a_cache_line_gives_the_same_bits() {
    let folders: Vec<tempfile::TempDir> = [0, 8, 40]
        .into_iter()
        .map(|offset| {
            let folder = tempfile::tempdir().unwrap();
            write(&folder.path().join("model.safetensors"), offset);
            folder
        })
        .collect();
    // The longest prompt holds all shorter ones: a row's bits do not depend on how many stand beside it.
    let longest = product(folders[0].path(), 131, 2);
    assert!(longest.iter().any(|&bits| f32::from_bits(bits) != 0.0));
    let mut compared = 0;
    for folder in &folders {
        for tokens in [1, 3, 15, 16, 127, 128, 131] {
            for threads in [1, 2] {
                let ours = product(folder.path(), tokens, threads);
                assert!(ours == longest[..tokens * N], "{tokens} tokens");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 3 * 7 * 2);
}
