//! The parts of the GPU backend, each by itself: from the plan's ops to stages, from stages to launches, weights and memory on
//! the device. What the launches compute is `gpu_ops`' and `gpu_golden`'s.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod failing;
#[path = "../support/kernels.rs"]
mod kernels;

mod lower;
mod memory;
mod open;
mod step;
mod weights;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use qwarp::DType;
use qwarp::checkpoint::{Checkpoint, Weights};
use qwarp::config::ModelConfig;
use qwarp::graph::{Graph, Plan};
use qwarp::model;
use qwarp::shape::MaxRows;

/// Whose head is the embedding table: two layers of 6 heads of 64 over one KV head, hidden 52, inner 67, vocabulary 139.
const TIED: &str = "tied-gqa6-head64-bf16";
/// Whose head is its own: two layers of 2 heads of 128 over one KV head, hidden 38, inner 53, vocabulary 131.
const UNTIED: &str = "untied-gqa2-head128-bf16";

const MAX_ROWS: MaxRows = MaxRows {
    tokens: 20,
    logits: 3,
};

fn folder(name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny");
    golden.join(name)
}

fn graph(name: &str, matrix: DType) -> Graph {
    let config = ModelConfig::read(&folder(name)).unwrap();
    model::build(&config, matrix).unwrap()
}

/// The plan that the backend is opened with.
fn plan(name: &str, matrix: DType) -> Plan {
    Plan::fused(graph(name, matrix), MAX_ROWS).unwrap()
}

/// The weights of a plan.
fn weights(name: &str, plan: &Plan) -> Weights {
    let checkpoint = Arc::new(Checkpoint::open(&folder(name)).unwrap());
    Weights::load(checkpoint, &plan.graph.weights, plan.graph.matrix, 1).unwrap()
}
