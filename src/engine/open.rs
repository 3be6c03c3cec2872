//! From a model folder to a running engine, with the time each phase took.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::Engine;
use super::room::Room;
use crate::DType;
use crate::backend::Backend;
use crate::backend::cpu::footprint::Footprint;
use crate::backend::cpu::simd;
use crate::backend::cpu::{CpuBackend, CpuOptions};
use crate::backend::gpu::kernels::missing;
use crate::backend::gpu::launch::HEAD_DIMS;
use crate::backend::gpu::{GpuBackend, GpuOptions};
use crate::checkpoint::{Checkpoint, Weights};
use crate::config::engine::Utilization;
use crate::config::{EngineConfig, ModelConfig};
use crate::driver::{Driver, DriverError, Target};
use crate::error::{Error, Result};
use crate::graph::{Graph, Plan, WeightSpec};
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
pub struct OpenedBackend<B> {
    /// Ready for steps.
    pub backend: B,
    /// As in `Opened`.
    pub open_ms: f64,
    /// As in `Opened`.
    pub plan_ms: f64,
    /// As in `Opened`.
    pub weights_ms: f64,
    /// Bytes that it holds, on the device where that has memory of its own.
    pub held_bytes: u64,
}

impl<B: Backend + 'static> OpenedBackend<B> {
    /// The same for who does not care which backend it is.
    pub fn boxed(self) -> OpenedBackend<Box<dyn Backend>> {
        OpenedBackend {
            backend: Box::new(self.backend),
            open_ms: self.open_ms,
            plan_ms: self.plan_ms,
            weights_ms: self.weights_ms,
            held_bytes: self.held_bytes,
        }
    }
}

/// Opens `folder`. The plan is made, and its sizes are known, before any weight is read.
pub fn open(folder: &Path, config: &ModelConfig, options: OpenOptions) -> Result<Opened> {
    let OpenedBackend {
        backend,
        open_ms,
        plan_ms,
        weights_ms,
        held_bytes: _,
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
) -> Result<OpenedBackend<CpuBackend>> {
    let planned = Planned::new(folder, config, options.engine, Plan::new)?;
    let started = Instant::now();
    let weights = weights(&planned.checkpoint, &planned.plan, options.engine)?;
    let cpu = CpuOptions {
        threads: options.engine.threads,
        num_blocks: options.engine.num_blocks(),
        path: options.path,
    };
    let backend = CpuBackend::open(planned.plan, weights, cpu)?;
    Ok(OpenedBackend {
        held_bytes: backend.memory().total()?,
        backend,
        open_ms: planned.open_ms,
        plan_ms: planned.plan_ms,
        weights_ms: ms(started),
    })
}

/// Opens `folder` on a device, a GPU or the emulator of one.
pub fn open_on(
    driver: Box<dyn Driver>,
    folder: &Path,
    config: &ModelConfig,
    engine: EngineConfig,
) -> Result<Engine> {
    let opened = open_backend_on(driver, Utilization::default(), folder, config, engine)?;
    Engine::new(engine, config.vocab_size, Box::new(opened.backend))
}

/// The same without an engine around its backend, which takes at most `utilization` of the device. A device without room is
/// refused before any weight is read.
pub fn open_backend_on(
    driver: Box<dyn Driver>,
    utilization: Utilization,
    folder: &Path,
    config: &ModelConfig,
    engine: EngineConfig,
) -> Result<OpenedBackend<GpuBackend>> {
    check_build()?;
    check_target(folder, config, engine.dtype, driver.facts().target)?;
    let planned = Planned::new(folder, config, engine, Plan::fused)?;
    let stored = |spec: &WeightSpec| planned.stored(spec);
    let room = Room::of(driver.as_ref(), utilization)?;
    room.check(
        &planned.plan,
        engine,
        config.max_position_embeddings,
        &stored,
    )?;
    let started = Instant::now();
    let read = |plan: &Plan| weights(&planned.checkpoint, plan, engine);
    let options = GpuOptions {
        num_blocks: engine.num_blocks(),
        max_num_seqs: engine.max_num_seqs,
        max_model_len: engine.max_model_len,
    };
    let backend = GpuBackend::open(planned.plan, read, engine.threads, options, driver)?;
    Ok(OpenedBackend {
        held_bytes: backend.device_bytes(),
        backend,
        open_ms: planned.open_ms,
        plan_ms: planned.plan_ms,
        weights_ms: ms(started),
    })
}

/// Refuses a build without kernels.
pub fn check_build() -> Result<()> {
    match missing() {
        Some(reason) => Err(Error::Driver(DriverError::NoKernels {
            reason: reason.to_string(),
        })),
        None => Ok(()),
    }
}

/// Refuses what the kernels of `target` are not made for.
pub fn check_target(
    folder: &Path,
    config: &ModelConfig,
    dtype: DType,
    target: Target,
) -> Result<()> {
    let runs = |other: DType| match other {
        DType::F16 => true,
        DType::Bf16 => target.has_bf16(),
        DType::F32 => false,
    };
    if !runs(dtype) {
        let there = [DType::Bf16, DType::F16].into_iter().filter(|d| runs(*d));
        let there: Vec<&str> = there.map(DType::name).collect();
        let there = there.join(" or ");
        let expected = format!("{there} on a GPU of {target}, or --device cpu for {dtype}");
        return Err(Error::argument("dtype", dtype, expected));
    }
    if !HEAD_DIMS.contains(&config.head_dim) {
        let dims = HEAD_DIMS.map(|dim| dim.to_string()).join(", ");
        return Err(Error::unsupported(
            folder.join("config.json"),
            "head_dim",
            config.head_dim,
            format!("{dims} on a GPU; --device cpu takes every one"),
        ));
    }
    Ok(())
}

/// What any backend is made from: no weight has been read.
struct Planned {
    checkpoint: Arc<Checkpoint>,
    plan: Plan,
    open_ms: f64,
    plan_ms: f64,
}

impl Planned {
    fn new(
        folder: &Path,
        config: &ModelConfig,
        engine: EngineConfig,
        place: fn(Graph, MaxRows) -> Result<Plan>,
    ) -> Result<Self> {
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
        Ok(Planned {
            plan: place(graph, max_rows)?,
            plan_ms: ms(started),
            checkpoint,
            open_ms,
        })
    }

    /// The type in which a table is stored; it has one part.
    fn stored(&self, spec: &WeightSpec) -> Result<DType> {
        let Some((name, rows)) = spec.parts.first() else {
            return Ok(DType::F32);
        };
        let cols = spec.cols.unwrap_or(1);
        Ok(self.checkpoint.tensor(name, &[*rows, cols])?.dtype)
    }
}

fn weights(checkpoint: &Arc<Checkpoint>, plan: &Plan, engine: EngineConfig) -> Result<Weights> {
    let specs = &plan.graph.weights;
    Weights::load(Arc::clone(checkpoint), specs, engine.dtype, engine.threads)
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
