//! What a plan fuses, what then lives how long, and the stages that come of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use qwarp::DType;
use qwarp::backend::gpu::lower::{Work, lower};
use qwarp::graph::{Graph, GraphBuilder, Op, Plan, TensorId, TensorSpec};
use qwarp::shape::{Heads, MaxRows, Rows};

const HEADS: Heads = Heads {
    query: 2,
    kv: 1,
    dim: 16,
};
const MAX: MaxRows = MaxRows {
    tokens: 5,
    logits: 5,
};
/// Nodes of `layer`.
const QKV: usize = 1;
const GATE_UP: usize = 6;

struct Layer(GraphBuilder);

impl Layer {
    fn add(&mut self, name: &str, op: Op, inputs: &[TensorId]) -> TensorId {
        self.0.add(name, op, inputs).unwrap()
    }

    fn norm(&mut self, x: TensorId) -> TensorId {
        let weight = self.0.vector("norm", &[("norm".into(), 32)]);
        self.add("norm", Op::RmsNorm { weight, eps: 1e-6 }, &[x])
    }

    fn product(&mut self, name: &str, (n, k): (usize, usize), inputs: &[TensorId]) -> TensorId {
        let weight = self.0.matrix("w", &[("w".into(), n)], k);
        self.add(name, Op::Linear { weight, bias: None }, inputs)
    }
}

/// A layer 32 wide. With `tapped`, something else reads both products' outputs and the norms' too.
fn layer(tapped: bool) -> Graph {
    let mut g = Layer(GraphBuilder::new(DType::Bf16));
    let input = TensorSpec {
        rows: Rows::Tokens,
        cols: 32,
        dtype: DType::F32,
    };
    let x = g.0.input(input);
    let (layer, heads, theta) = (0, HEADS, 1e6);
    let norm = g.norm(x);
    let qkv = g.product("qkv", (64, 32), &[norm]);
    let rope = Op::RopeAppend {
        layer,
        heads,
        theta,
    };
    let q = g.add("rope", rope, &[qkv]);
    let a = g.add("attention", Op::Attention { layer, heads }, &[q]);
    let x = g.product("o", (32, 32), &[a, x]);
    let norm = g.norm(x);
    let gate_up = g.product("gate and up", (80, 32), &[norm]);
    let h = g.add("silu", Op::SiluMul, &[gate_up]);
    g.product("down", (32, 40), &[h, x]);
    if tapped {
        for (tap, read) in [("qkv", qkv), ("gate and up", gate_up), ("norm", norm)] {
            g.add(tap, Op::SelectRows, &[read]);
        }
    }
    g.0.finish()
}

#[test]
fn a_layer_is_five_stages() {
    let plan = Plan::fused(layer(false), MAX).unwrap();
    assert_eq!(plan.fused, [QKV, GATE_UP]);
    assert_eq!(plan.normed, [QKV, GATE_UP]);
    let stages = lower(&plan).unwrap();
    let nodes: Vec<usize> = stages.iter().map(|stage| stage.node).collect();
    assert_eq!(nodes, [2, 3, 4, 7, 8], "the last node of each");
    let input = |node: usize| plan.steps()[node].inputs[0];
    match stages[0].work {
        Work::LinearRopeAppend {
            norm: Some(norm),
            x,
            heads: HEADS,
            ..
        } => assert_eq!((norm.x, x), (input(0), input(QKV))),
        other => panic!("{other:?}"),
    }
    match stages[3].work {
        Work::LinearSiluMul {
            norm: Some(norm),
            x,
            ..
        } => assert_eq!((norm.x, x), (input(5), input(GATE_UP))),
        other => panic!("{other:?}"),
    }
    for (stage, node) in stages.iter().zip(nodes) {
        assert_eq!(stage.output, plan.steps()[node].output);
    }
}

/// What the norm reads and what the product reads is read while the last op of the stage writes.
#[test]
fn what_a_stage_reads_lives_until_it_has_written() {
    for (plan, fused) in [
        (Plan::new(layer(false), MAX).unwrap(), false),
        (Plan::fused(layer(false), MAX).unwrap(), true),
    ] {
        for product in [QKV, GATE_UP] {
            let life = |id: TensorId| plan.lifetimes[id.0];
            let (normed, output) = (
                plan.steps()[product].inputs[0],
                plan.steps()[product].output,
            );
            assert_eq!(life(normed).last, product + usize::from(fused));
            assert!(life(plan.steps()[product - 1].inputs[0]).last > product);
            assert_eq!(life(output).bytes == 0, fused, "never written");
            let written = plan.steps()[product + 1].output;
            assert_eq!(life(normed).overlaps(&life(written)), fused);
        }
    }
}

/// With nothing behind the layer that reads the residual, only the stage keeps it.
#[test]
fn a_residual_that_nothing_else_reads_is_kept_for_the_norm() {
    let mut g = Layer(GraphBuilder::new(DType::Bf16));
    let input = TensorSpec {
        rows: Rows::Tokens,
        cols: 32,
        dtype: DType::F32,
    };
    let x = g.0.input(input);
    let norm = g.norm(x);
    let gate_up = g.product("gate and up", (80, 32), &[norm]);
    let h = g.add("silu", Op::SiluMul, &[gate_up]);
    let graph = g.0.finish();
    let last = |plan: &Plan| plan.lifetimes[x.0].last;
    assert_eq!(last(&Plan::new(graph.clone(), MAX).unwrap()), 0);
    let plan = Plan::fused(graph, MAX).unwrap();
    assert_eq!(last(&plan), 2);
    assert!(plan.lifetimes[x.0].overlaps(&plan.lifetimes[h.0]));
}

#[test]
fn what_others_read_is_written() {
    let plan = Plan::fused(layer(true), MAX).unwrap();
    assert!(
        plan.fused.is_empty() && plan.normed.is_empty(),
        "{:?}",
        plan.fused
    );
    for product in [QKV, GATE_UP] {
        assert!(plan.max_bytes(plan.steps()[product].output) > 0);
    }
    let error = lower(&plan).unwrap_err().to_string();
    assert!(
        error.contains("rope") && error.contains("a tensor of its own"),
        "{error}"
    );
}
