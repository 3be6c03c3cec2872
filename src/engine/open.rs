//! From a model folder to a running engine, with the time each phase took.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::Engine;
use crate::DType;
use crate::backend::cpu::footprint::Footprint;
use crate::backend::cpu::simd;
use crate::backend::cpu::{CpuBackend, CpuOptions};
use crate::backend::gpu::{GpuBackend, GpuOptions};
use crate::checkpoint::{Checkpoint, Weights};
use crate::config::{EngineConfig, ModelConfig};
use crate::driver::Driver;
use crate::error::Result;
use crate::graph::{Graph, Plan};
use crate::model;
use crate::shape::MaxRows;

/// How to open a model. Limits of zero are not allowed; `EngineConfig` checks them.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// Limits of the engine.
    pub engine: EngineConfig,
    /// Instructions of the CPU backend.
    pub path: simd::Path,
}

/// A running engine and how long its phases took.
#[derive(Debug)]
pub struct Opened {
    /// Ready for requests.
    pub engine: Engine,
    /// Reading and checking the headers of the weight files.
    pub open_ms: f64,
    /// Placing the plan's buffers.
    pub plan_ms: f64,
    /// Checking and where needed converting the weights, and allocating.
    pub weights_ms: f64,
    /// The bytes that the backend holds.
    pub memory: Footprint,
}

/// The type a model runs in when the user does not say: what `config.json` declares, or else what is stored.
pub fn default_dtype(folder: &Path, config: &ModelConfig) -> Result<DType> {
    if let Some(dtype) = config.dtype {
        return Ok(dtype);
    }
    let embedding = [config.vocab_size, config.hidden_size];
    Ok(Checkpoint::open(folder)?
        .tensor(model::weights::names::EMBED, &embedding)?
        .dtype)
}

/// A running backend, for who drives it without an engine, and how long its phases took.
#[derive(Debug)]
pub struct OpenedBackend {
    /// Ready for steps.
    pub backend: CpuBackend,
    /// As in `Opened`.
    pub open_ms: f64,
    /// As in `Opened`.
    pub plan_ms: f64,
    /// As in `Opened`.
    pub weights_ms: f64,
}

/// Opens `folder`. The plan is made, and its sizes are known, before any weight is read.
pub fn open(folder: &Path, config: &ModelConfig, options: OpenOptions) -> Result<Opened> {
    let OpenedBackend {
        backend,
        open_ms,
        plan_ms,
        weights_ms,
    } = open_backend(folder, config, options)?;
    let memory = backend.memory();
    let engine = Engine::new(options.engine, config.vocab_size, Box::new(backend))?;
    Ok(Opened {
        engine,
        open_ms,
        plan_ms,
        weights_ms,
        memory,
    })
}

/// Opens `folder` without an engine around its backend.
pub fn open_backend(
    folder: &Path,
    config: &ModelConfig,
    options: OpenOptions,
) -> Result<OpenedBackend> {
    let read = read(folder, config, options.engine, Plan::new)?;
    let started = Instant::now();
    let cpu = CpuOptions {
        threads: options.engine.threads,
        num_blocks: options.engine.num_blocks(),
        path: options.path,
    };
    let backend = CpuBackend::open(read.plan, read.weights, cpu)?;
    Ok(OpenedBackend {
        backend,
        open_ms: read.open_ms,
        plan_ms: read.plan_ms,
        weights_ms: read.weights_ms + ms(started),
    })
}

/// Opens `folder` on a device, a GPU or the emulator of one.
pub fn open_on(
    driver: Box<dyn Driver>,
    folder: &Path,
    config: &ModelConfig,
    engine: EngineConfig,
) -> Result<Engine> {
    let read = read(folder, config, engine, Plan::fused)?;
    let options = GpuOptions {
        num_blocks: engine.num_blocks(),
        max_num_seqs: engine.max_num_seqs,
    };
    let backend = GpuBackend::open(read.plan, &read.weights, options, driver)?;
    Engine::new(engine, config.vocab_size, Box::new(backend))
}

/// What any backend is made of.
struct Read {
    plan: Plan,
    weights: Weights,
    open_ms: f64,
    plan_ms: f64,
    weights_ms: f64,
}

fn read(
    folder: &Path,
    config: &ModelConfig,
    engine: EngineConfig,
    place: fn(Graph, MaxRows) -> Result<Plan>,
) -> Result<Read> {
    engine.validate()?;
    let started = Instant::now();
    let checkpoint = Arc::new(Checkpoint::open(folder)?);
    let open_ms = ms(started);

    let started = Instant::now();
    let graph = model::build(config, engine.dtype)?;
    model::weights::check_all_used(&checkpoint, &graph)?;
    let max_rows = MaxRows {
        tokens: engine.max_batched_tokens,
        logits: engine.max_logit_rows,
    };
    let plan = place(graph, max_rows)?;
    let plan_ms = ms(started);

    let started = Instant::now();
    let specs = &plan.graph.weights;
    let weights = Weights::load(checkpoint, specs, engine.dtype, engine.threads)?;
    Ok(Read {
        plan,
        weights,
        open_ms,
        plan_ms,
        weights_ms: ms(started),
    })
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
