//! Every op of the CPU backend against the scalar f64 reference, through `Backend::submit` on a plan of that op alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/bound.rs"]
mod bound;
#[path = "support/op_cases.rs"]
mod op_cases;

use std::collections::BTreeSet;
use std::sync::Arc;

use bound::Bound;
use op_cases::{CASES, OpCase};
use qwarp::DType;
use qwarp::backend::cpu::reference::{self, Cache, Matrix, round};
use qwarp::backend::cpu::{CpuBackend, CpuOptions, simd};
use qwarp::backend::rng::philox;
use qwarp::backend::{Backend, SequenceSpan, StepInputs};
use qwarp::checkpoint::{Checkpoint, Weights};
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::graph::{Graph, GraphBuilder, Op, Plan, TensorId, TensorSpec};
use qwarp::shape::{Heads, MaxRows, Rows};
use safetensors::serialize_to_file;
use safetensors::tensor::{Dtype, TensorView};

/// Distinct values of both signs.
fn values(count: usize, seed: u32) -> Vec<f32> {
    (0..count)
        .map(|i| (philox([i as u32, 1, 0, 0], [seed, 0])[0] as f32 / u32::MAX as f32 - 0.5) * 4.0)
        .collect()
}

fn matrix(cols: usize, values: &[f32], dtype: DType) -> Matrix {
    Matrix {
        cols,
        data: values.iter().map(|&x| round(f64::from(x), dtype)).collect(),
    }
}

/// A backend over `graph` whose weights have these values, stored as f32.
fn open(
    graph: Graph,
    weights: &[(&str, Vec<usize>, &[f32])],
    rows: usize,
    blocks: usize,
) -> CpuBackend {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<(&str, Vec<usize>, Vec<u8>)> = weights
        .iter()
        .map(|(name, shape, values)| {
            (
                *name,
                shape.clone(),
                values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            )
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    let checkpoint = Arc::new(Checkpoint::open(folder.path()).unwrap());
    let plan = Plan::new(
        graph,
        MaxRows {
            tokens: rows,
            logits: rows,
        },
    )
    .unwrap();
    let weights = Weights::load(checkpoint, &plan.graph.weights, plan.graph.matrix, 2).unwrap();
    CpuBackend::open(
        plan,
        weights,
        CpuOptions {
            threads: 2,
            num_blocks: blocks,
            path: simd::Path::best(),
        },
    )
    .unwrap()
}

fn step(tokens: usize) -> StepInputs {
    StepInputs {
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
    }
}

fn no_cache() -> Cache {
    let empty = || Matrix {
        cols: 1,
        data: Vec::new(),
    };
    Cache {
        keys: empty(),
        values: empty(),
    }
}

fn check(case: &OpCase, dtype: DType, ours: &[f32], expected: &Matrix) {
    check_bound(case, dtype, case.bound(dtype), ours, expected);
}

fn check_bound(case: &OpCase, dtype: DType, bound: Bound, ours: &[f32], expected: &Matrix) {
    let ours: Vec<f64> = ours.iter().copied().map(f64::from).collect();
    if let Err(wrong) = bound.check(&ours, &expected.data) {
        panic!("{case:?} {dtype}: {wrong}");
    }
}

/// Runs a case of one op with the given input tensors.
fn run_single(
    case: &OpCase,
    dtype: DType,
    inputs: &[(TensorSpec, Vec<f32>)],
    weights: &[(&str, Vec<usize>, Vec<f32>)],
    op: impl Fn(&mut GraphBuilder) -> Op,
    step: &StepInputs,
    tokens: usize,
) {
    let mut g = GraphBuilder::new(dtype);
    let ids: Vec<TensorId> = inputs.iter().map(|(spec, _)| g.input(*spec)).collect();
    let op = op(&mut g);
    let output = g.add("op", op, &ids).unwrap();
    let stored: Vec<(&str, Vec<usize>, &[f32])> = weights
        .iter()
        .map(|(name, shape, values)| (*name, shape.clone(), values.as_slice()))
        .collect();
    let mut backend = open(g.finish(), &stored, tokens, tokens);
    for (id, (_, values)) in ids.iter().zip(inputs) {
        backend.write(*id, values).unwrap();
    }
    backend.submit(step).unwrap();
    let rows = if step.logit_rows.is_empty() {
        tokens
    } else {
        step.logit_rows.len()
    };
    let ours = backend.read(output, rows);
    let inputs: Vec<Matrix> = inputs
        .iter()
        .map(|(spec, values)| matrix(spec.cols, values, spec.dtype))
        .collect();
    let weights: Vec<Matrix> = weights
        .iter()
        .map(|(_, shape, values)| match shape.as_slice() {
            [_, cols] if !matches!(op, Op::Embed { .. }) => matrix(*cols, values, dtype),
            [.., cols] => matrix(*cols, values, DType::F32),
            [] => unreachable!("weights have a shape"),
        })
        .collect();
    let expected = reference::run(&op, &inputs, &weights, step, &mut no_cache(), dtype);
    check(case, dtype, &ours, &expected);
}

fn spec(cols: usize, dtype: DType) -> TensorSpec {
    TensorSpec {
        rows: Rows::Tokens,
        cols,
        dtype,
    }
}

fn run(case: &OpCase, dtype: DType) -> &'static str {
    match *case {
        OpCase::Embed {
            tokens,
            vocab,
            hidden,
        } => {
            let mut inputs = step(tokens);
            inputs.token_ids = (0..tokens).map(|t| (t * 5 % vocab) as u32).collect();
            let table = [("w", vec![vocab, hidden], values(vocab * hidden, 1))];
            let op = |g: &mut GraphBuilder| Op::Embed {
                table: g.table("w", "w".into(), vocab, hidden),
            };
            run_single(case, dtype, &[], &table, op, &inputs, tokens);
            "embed"
        }
        OpCase::RmsNorm { tokens, n } => {
            let x = [(spec(n, DType::F32), values(tokens * n, 2))];
            let weight = [("w", vec![n], values(n, 3))];
            let op = |g: &mut GraphBuilder| Op::RmsNorm {
                weight: g.vector("w", &[("w".into(), n)]),
                eps: 1e-3,
            };
            run_single(case, dtype, &x, &weight, op, &step(tokens), tokens);
            "rms_norm"
        }
        OpCase::Linear {
            tokens,
            k,
            n,
            bias,
            residual,
        } => {
            let mut inputs = vec![(spec(k, dtype), values(tokens * k, 4))];
            if residual {
                inputs.push((spec(n, DType::F32), values(tokens * n, 5)));
            }
            let mut weights = vec![("w", vec![n, k], values(n * k, 6))];
            if bias {
                weights.push(("b", vec![n], values(n, 7)));
            }
            let op = |g: &mut GraphBuilder| Op::Linear {
                weight: g.matrix("w", &[("w".into(), n)], k),
                bias: bias.then(|| g.vector("b", &[("b".into(), n)])),
            };
            run_single(case, dtype, &inputs, &weights, op, &step(tokens), tokens);
            "linear"
        }
        OpCase::Attention {
            heads,
            first,
            second,
        } => {
            attention(case, dtype, heads, first, second);
            "attention"
        }
        OpCase::SiluMul { tokens, n } => {
            let x = [(spec(2 * n, DType::F32), values(tokens * 2 * n, 8))];
            run_single(case, dtype, &x, &[], |_| Op::SiluMul, &step(tokens), tokens);
            "silu_mul"
        }
        OpCase::SelectRows { tokens, n } => {
            let mut inputs = step(tokens);
            inputs.logit_rows = (0..tokens as u32).step_by(3).collect();
            let x = [(spec(n, DType::F32), values(tokens * n, 9))];
            run_single(case, dtype, &x, &[], |_| Op::SelectRows, &inputs, tokens);
            "select_rows"
        }
    }
}

/// A span of `first` tokens, then one of `second` tokens behind it, in scattered blocks.
fn attention(case: &OpCase, dtype: DType, heads: Heads, first: usize, second: usize) {
    let (theta, layer) = (1e4, 0);
    let tokens = first.max(second);
    let blocks = (first + second).div_ceil(BLOCK_SIZE);
    let table: Vec<u32> = (0..blocks as u32).map(|b| blocks as u32 - 1 - b).collect();
    let cols = heads.q_dim() + 2 * heads.kv_dim();
    let mut g = GraphBuilder::new(dtype);
    let qkv = g.input(spec(cols, DType::F32));
    let rope = Op::RopeAppend {
        layer,
        heads,
        theta,
    };
    let q = g.add("rope", rope, &[qkv]).unwrap();
    let attend = Op::Attention { layer, heads };
    let out = g.add("attention", attend, &[q]).unwrap();
    let mut backend = open(g.finish(), &[], tokens, blocks);
    let kv = || Matrix {
        cols: heads.kv_dim(),
        data: vec![0.0; blocks * BLOCK_SIZE * heads.kv_dim()],
    };
    let mut cache = Cache {
        keys: kv(),
        values: kv(),
    };
    for (cached, count) in [(0, first), (first, second)] {
        let mut inputs = step(count);
        inputs.positions = (cached as u32..(cached + count) as u32).collect();
        let slot =
            |p: &u32| table[*p as usize / BLOCK_SIZE] * BLOCK_SIZE as u32 + p % BLOCK_SIZE as u32;
        inputs.slot_mapping = inputs.positions.iter().map(slot).collect();
        inputs.sequences = vec![SequenceSpan {
            tokens: count,
            cached,
            table_start: 0,
            table_len: blocks,
        }];
        inputs.block_tables = table.clone();
        let x = values(count * cols, 10 + cached as u32);
        backend.write(qkv, &x).unwrap();
        backend.submit(&inputs).unwrap();
        let x = matrix(cols, &x, DType::F32);
        let rotated = reference::run(&rope, &[x], &[], &inputs, &mut cache, dtype);
        // One rounding of q; an f32 angle is off by up to position * 2^-24.
        let rounding = case.bound(dtype).rtol;
        check_bound(
            case,
            dtype,
            Bound {
                rtol: rounding,
                atol: 1e-4,
                nmse: 1e-5,
            },
            &backend.read(q, count),
            &rotated,
        );
        let expected = reference::run(&attend, &[rotated], &[], &inputs, &mut cache, dtype);
        check(case, dtype, &backend.read(out, count), &expected);
    }
}

#[test]
fn every_op_equals_the_reference_within_its_bound() {
    let mut visited = BTreeSet::new();
    for case in CASES {
        for dtype in [DType::Bf16, DType::F16, DType::F32] {
            visited.insert(run(case, dtype));
        }
    }
    // Exhaustive: an op added to the enum does not compile here until it has a case.
    let case_of = |op: &Op| match op {
        Op::Embed { .. }
        | Op::RmsNorm { .. }
        | Op::Linear { .. }
        | Op::SiluMul
        | Op::SelectRows => op.name(),
        Op::RopeAppend { .. } | Op::Attention { .. } => "attention",
    };
    let graph = qwarp::model::build(
        &qwarp::config::ModelConfig::read(
            std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/golden/tiny/tied-gqa7-bf16")
                .as_path(),
        )
        .unwrap(),
        DType::Bf16,
    )
    .unwrap();
    let used: BTreeSet<&str> = graph.nodes.iter().map(|node| case_of(&node.op)).collect();
    assert_eq!(used, visited, "an op without a case");
}
