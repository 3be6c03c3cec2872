//! Time of one op on all threads of the backend, as a plan of that op alone, at the shapes of Qwen2.5-0.5B in bf16.
//! `cargo bench --bench steps`

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up ends by panicking"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use half::bf16;
use qwarp::DType;
use qwarp::backend::cpu::{CpuBackend, CpuOptions, simd};
use qwarp::backend::{Backend, SequenceSpan, StepInputs};
use qwarp::checkpoint::{Checkpoint, Weights};
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::graph::{Graph, GraphBuilder, Op, Plan, TensorId, TensorSpec};
use qwarp::shape::{Heads, MaxRows, Rows};
use safetensors::serialize_to_file;
use safetensors::tensor::{Dtype, TensorView};

const HIDDEN: usize = 896;
const INNER: usize = 4864;
const VOCAB: usize = 151_936;
const HEADS: Heads = Heads {
    query: 14,
    kv: 2,
    dim: 64,
};
/// Tokens of a prefill chunk.
const CHUNK: usize = 512;
/// Attention ops behind one RoPE, without which there is no cache: enough that its time does not show.
const REPEATS: u32 = 8;

fn value(index: usize) -> f32 {
    ((index * 37 % 1009) as f32 - 504.0) / 700.0
}

/// A backend over `graph`, whose weights are named by their parts, for `positions` of one sequence.
fn open(graph: Graph, positions: usize) -> CpuBackend {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = Vec::new();
    for weight in &graph.weights {
        for (name, rows) in &weight.parts {
            let shape: Vec<usize> = std::iter::once(*rows).chain(weight.cols).collect();
            let elements = 0..shape.iter().product();
            let bytes = elements.flat_map(|i| bf16::from_f32(value(i)).to_le_bytes());
            tensors.push((name.clone(), shape, bytes.collect::<Vec<u8>>()));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::BF16, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    let checkpoint = Arc::new(Checkpoint::open(folder.path()).unwrap());
    let rows = MaxRows {
        tokens: CHUNK,
        logits: 1,
    };
    let plan = Plan::new(graph, rows).unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let weights = Weights::load(checkpoint, &plan.graph.weights, DType::Bf16, threads).unwrap();
    let options = CpuOptions {
        threads,
        num_blocks: positions.div_ceil(BLOCK_SIZE),
        path: simd::Path::best(),
    };
    CpuBackend::open(plan, weights, options).unwrap()
}

/// The step of `tokens` tokens behind `cached` ones, in blocks that stand in no order.
fn step(tokens: usize, cached: usize) -> StepInputs {
    let blocks = (cached + tokens).div_ceil(BLOCK_SIZE);
    let table: Vec<u32> = (0..blocks as u32).map(|b| b ^ 1).collect();
    // The last block of an odd number has no neighbour to change places with.
    let table: Vec<u32> = table.iter().map(|&b| b.min(blocks as u32 - 1)).collect();
    let positions: Vec<u32> = (cached as u32..(cached + tokens) as u32).collect();
    let slot =
        |&p: &u32| table[p as usize / BLOCK_SIZE] * BLOCK_SIZE as u32 + p % BLOCK_SIZE as u32;
    StepInputs {
        token_ids: (0..tokens).map(|t| (t * 7919 % VOCAB) as u32).collect(),
        slot_mapping: positions.iter().map(slot).collect(),
        positions,
        sequences: vec![SequenceSpan {
            tokens,
            cached,
            table_start: 0,
            table_len: blocks,
        }],
        block_tables: table,
        ..StepInputs::default()
    }
}

fn spec(cols: usize, dtype: DType) -> TensorSpec {
    TensorSpec {
        rows: Rows::Tokens,
        cols,
        dtype,
    }
}

/// Fills a graph input with rows that differ.
fn fill(backend: &mut CpuBackend, input: TensorId, cols: usize) {
    let x: Vec<f32> = (0..CHUNK * cols).map(value).collect();
    backend.write(input, &x).unwrap();
}

fn bench(c: &mut Criterion, name: &str, mut backend: CpuBackend) {
    for tokens in [1, CHUNK] {
        let inputs = step(tokens, 0);
        c.bench_function(&format!("{name}/{tokens}"), |b| {
            b.iter(|| backend.submit(&inputs).unwrap());
        });
    }
}

fn rows(c: &mut Criterion) {
    let mut g = GraphBuilder::new(DType::Bf16);
    let table = g.table("embed", "embed".into(), VOCAB, HIDDEN);
    g.add("embed", Op::Embed { table }, &[]).unwrap();
    bench(c, "embed", open(g.finish(), CHUNK));

    let mut g = GraphBuilder::new(DType::Bf16);
    let x = g.input(spec(HIDDEN, DType::F32));
    let weight = g.vector("norm", &[("norm".into(), HIDDEN)]);
    let norm = Op::RmsNorm { weight, eps: 1e-6 };
    g.add("norm", norm, &[x]).unwrap();
    let mut backend = open(g.finish(), CHUNK);
    fill(&mut backend, x, HIDDEN);
    bench(c, "rms_norm", backend);

    let mut g = GraphBuilder::new(DType::Bf16);
    let x = g.input(spec(2 * INNER, DType::F32));
    g.add("silu", Op::SiluMul, &[x]).unwrap();
    let mut backend = open(g.finish(), CHUNK);
    fill(&mut backend, x, 2 * INNER);
    bench(c, "silu_mul", backend);

    let (mut backend, x) = attention(0, CHUNK);
    fill(&mut backend, x, HEADS.q_dim() + 2 * HEADS.kv_dim());
    bench(c, "rope_append", backend);
}

/// A RoPE with `count` attention ops behind it, and its input.
fn attention(count: u32, positions: usize) -> (CpuBackend, TensorId) {
    let mut g = GraphBuilder::new(DType::Bf16);
    let qkv = g.input(spec(HEADS.q_dim() + 2 * HEADS.kv_dim(), DType::F32));
    let (layer, heads, theta) = (0, HEADS, 1e6);
    let rope = Op::RopeAppend {
        layer,
        heads,
        theta,
    };
    let q = g.add("rope", rope, &[qkv]).unwrap();
    for index in 0..count {
        let op = Op::Attention { layer, heads };
        g.add(format!("attention {index}"), op, &[q]).unwrap();
    }
    (open(g.finish(), positions), qkv)
}

fn attentions(c: &mut Criterion) {
    let deepest = 4096 + CHUNK;
    let (mut backend, qkv) = attention(REPEATS, deepest);
    fill(&mut backend, qkv, HEADS.q_dim() + 2 * HEADS.kv_dim());
    for cached in (0..deepest).step_by(CHUNK) {
        backend.submit(&step(CHUNK, cached)).unwrap();
    }
    for (name, tokens, cached) in [
        ("decode_at_512", 1, 512),
        ("decode_at_4096", 1, 4096),
        ("prefill_512_at_0", CHUNK, 0),
        ("prefill_512_at_4096", CHUNK, 4096),
    ] {
        let inputs = step(tokens, cached);
        c.bench_function(&format!("attention/{name}"), |b| {
            b.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let started = Instant::now();
                    backend.submit(&inputs).unwrap();
                    spent += started.elapsed();
                }
                spent / REPEATS
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = rows, attentions
}
criterion_main!(benches);
