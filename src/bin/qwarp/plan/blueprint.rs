//! The plan of a model with its limits settled and its sizes computed.

use std::path::Path;

use qwarp::backend::cpu::footprint::{self as cpu, cached_layers};
use qwarp::backend::cpu::kv_cache::KvCache;
use qwarp::checkpoint::placement::{WeightBytes, read_bytes};
use qwarp::config::engine::Utilization;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::driver::DeviceFacts;
use qwarp::engine::fit::{Fit, FitRequest};
use qwarp::engine::room::Room;
use qwarp::graph::cost::{Cost, StepShape};
use qwarp::graph::{Graph, Node, Plan, TensorId, WeightId, WeightSpec};
use qwarp::shape::MaxRows;
use qwarp::{DType, Error, Result, model};

use super::{Length, Options};
use crate::device::{About, Choice};

/// Everything `qwarp plan` shows.
pub struct Blueprint {
    pub config: ModelConfig,
    pub device: About,
    /// The type the weights are stored in.
    pub stored: DType,
    pub engine: EngineConfig,
    pub plan: Plan,
    pub held: Held,
    /// Bytes that there are.
    pub memory: Option<u64>,
    pub fit: Fit,
    /// Keys that the decode step sees.
    pub context: usize,
    /// Tokens of the prefill step.
    pub chunk: usize,
}

/// The bytes that a backend holds.
pub struct Held {
    /// By purpose.
    pub parts: Vec<(&'static str, u64)>,
    /// Their sum.
    pub total: u64,
    /// What a GPU takes beside them.
    pub estimates: Vec<(&'static str, u64)>,
}

/// What `config.json` cannot tell, and what is taken for it.
const ASSUMED: &str = "all tensors are stored in the type config.json declares, and the files hold no tensor beyond those the \
     model reads";
const ASSUMED_ON_CPU: [&str; 2] = [
    "no tensor stands at an odd address and no bf16 matrix has denormals or out-of-range values; such a matrix is copied",
    "headers of the weight files, program, thread stacks, tokenizer and lists of names and blocks are not counted",
];
const ASSUMED_ON_GPU: [&str; 2] = [
    "what CUDA takes for its context, our kernels and graphs, and to fill whole pages, is an estimate",
    "no other program holds memory of the GPU; memory of the host is not counted",
];

impl Blueprint {
    /// Reads `folder/config.json` and settles `options`.
    pub fn new(folder: &Path, options: &Options) -> Result<Self> {
        let config = ModelConfig::read(folder)?;
        let stored = config.dtype.or(options.dtype.explicit()).ok_or_else(|| {
            let expected = "bf16, f16 or f32: config.json declares no torch_dtype";
            Error::argument("--dtype", "auto", expected)
        })?;
        let mut choice = (options.device).survey(folder, &config, options.dtype, stored)?;
        let mut engine = limits(&config, options, choice.dtype)?;
        let settled = settle(&config, options, stored, &choice, &mut engine);
        let Settled {
            plan,
            fit,
            memory,
            held,
        } = match settled {
            Ok(settled) => settled,
            Err(error) => {
                choice = choice.without_room(&error).ok_or(error)?;
                engine = limits(&config, options, choice.dtype)?;
                settle(&config, options, stored, &choice, &mut engine)?
            }
        };
        let context = options.context.unwrap_or(engine.max_model_len);
        if context == 0 || context > engine.max_model_len {
            let expected = format!("1 to {}, the longest sequence", engine.max_model_len);
            return Err(Error::argument("--context", context, expected));
        }
        Ok(Blueprint {
            chunk: engine.max_batched_tokens.min(engine.max_model_len),
            config,
            device: choice.about,
            stored,
            engine,
            plan,
            held,
            memory,
            fit,
            context,
        })
    }

    /// What is taken for granted.
    pub fn assumed(&self) -> [&'static str; 3] {
        let [first, second] = match self.device.is_cpu() {
            true => ASSUMED_ON_CPU,
            false => ASSUMED_ON_GPU,
        };
        [ASSUMED, first, second]
    }

    /// The decode step of the cost tables: every sequence at `context`.
    pub fn decode(&self) -> StepShape {
        StepShape::decode(self.engine.max_num_seqs, self.context)
    }

    /// The prefill step of the cost tables: the first chunk of a prompt.
    pub fn prefill(&self) -> StepShape {
        StepShape::prefill(self.chunk, 0)
    }

    /// The cost of one op.
    pub fn cost(&self, node: &Node, shape: &StepShape) -> Result<Cost> {
        self.plan
            .graph
            .cost(node, shape, &|id| self.weight_bytes(id))
    }

    /// The cost of a whole step.
    pub fn step_cost(&self, shape: &StepShape) -> Result<Cost> {
        self.plan
            .graph
            .step_cost(shape, &|id| self.weight_bytes(id))
    }

    /// The step that writes `tensor`, if one does.
    pub fn writer(&self, tensor: TensorId) -> Option<&Node> {
        let steps = self.plan.steps();
        steps.iter().find(|node| node.output == tensor)
    }

    /// Bytes of the arena that are the logits.
    pub fn logits_bytes(&self) -> usize {
        let output = self.plan.graph.output();
        output.map_or(0, |id| self.plan.max_bytes(id))
    }

    fn weight_bytes(&self, id: WeightId) -> Result<u64> {
        read_bytes(
            &self.plan.graph.weights[id.0],
            self.stored,
            self.engine.dtype,
        )
    }
}

/// Places the model where it was chosen to run.
fn settle(
    config: &ModelConfig,
    options: &Options,
    stored: DType,
    choice: &Choice,
    engine: &mut EngineConfig,
) -> Result<Settled> {
    engine.validate()?;
    let shape = Shape {
        graph: model::build(config, engine.dtype)?,
        max_rows: MaxRows {
            tokens: engine.max_batched_tokens,
            logits: engine.max_logit_rows,
        },
        stored,
        context: config.max_position_embeddings,
        memory: options.memory,
        longest: matches!(options.max_model_len, Length::Auto),
    };
    match choice.about.facts.clone() {
        None => shape.on_cpu(engine),
        Some(facts) => shape.on_gpu(engine, facts, choice.utilization),
    }
}

/// What is to be placed.
struct Shape {
    graph: Graph,
    max_rows: MaxRows,
    stored: DType,
    /// The model's own longest.
    context: usize,
    /// Bytes there are, if they are named.
    memory: Option<u64>,
    /// Whether the longest context that fits is wanted.
    longest: bool,
}

/// What was placed.
struct Settled {
    plan: Plan,
    fit: Fit,
    memory: Option<u64>,
    held: Held,
}

impl Shape {
    fn on_cpu(self, engine: &mut EngineConfig) -> Result<Settled> {
        let plan = Plan::new(self.graph, self.max_rows)?;
        let weights = WeightBytes::planned(&plan.graph.weights, self.stored, engine.dtype)?;
        let (layers, heads) = cached_layers(&plan);
        let element = plan.graph.matrix.bytes();
        let request = FitRequest {
            memory: self.memory.unwrap_or(u64::MAX),
            block_bytes: KvCache::bytes(layers, heads, 1, element)? as u64,
            max_num_seqs: engine.max_num_seqs,
            context: self.context,
        };
        let threads = engine.threads;
        let footprint = |blocks| cpu::Footprint::planned(&plan, weights, threads, blocks);
        let fit = Fit::new(&|blocks| footprint(blocks)?.total(), request)?;
        if fit.max_model_len == 0 {
            return Err(no_room(&plan, fit, request));
        }
        if self.longest {
            engine.max_model_len = fit.max_model_len;
        }
        if engine.max_model_len > fit.max_model_len {
            let most = fit.max_model_len;
            let expected = format!("at most {most}, the most that --memory has room for");
            return Err(Error::argument(
                "--max-model-len",
                engine.max_model_len,
                expected,
            ));
        }
        let held = footprint(engine.num_blocks())?;
        Ok(Settled {
            held: Held {
                parts: held.parts().into(),
                total: held.total()?,
                estimates: Vec::new(),
            },
            plan,
            fit,
            memory: self.memory,
        })
    }

    fn on_gpu(
        self,
        engine: &mut EngineConfig,
        mut facts: DeviceFacts,
        utilization: Utilization,
    ) -> Result<Settled> {
        facts.memory_bytes = self.memory.unwrap_or(facts.memory_bytes);
        let room = Room {
            facts,
            utilization,
            free: None,
        };
        let plan = Plan::fused(self.graph, self.max_rows)?;
        let stored = |_: &WeightSpec| Ok(self.stored);
        let fit = room.fit(&plan, *engine, self.context, &stored)?;
        if self.longest {
            engine.max_model_len = fit.max_model_len.max(1);
        }
        let held = room.check(&plan, *engine, self.context, &stored)?;
        Ok(Settled {
            held: Held {
                parts: held.parts().into(),
                total: held.total()?,
                estimates: room.estimates(&held).into(),
            },
            plan,
            fit,
            memory: Some(room.bytes()),
        })
    }
}

fn no_room(plan: &Plan, fit: Fit, request: FitRequest) -> Error {
    let least = fit.block_bytes.saturating_mul(request.max_num_seqs as u64);
    Error::Limit {
        what: format!(
            "bytes for the weights, {} tokens a step and one KV block a sequence",
            plan.max_rows.tokens
        ),
        found: fit.fixed_bytes.saturating_add(least),
        limit: request.memory,
    }
}

fn limits(config: &ModelConfig, options: &Options, dtype: DType) -> Result<EngineConfig> {
    let context = config.max_position_embeddings;
    let max_model_len = match options.max_model_len {
        // Settled by the caller, once the fit is known.
        Length::Auto => 1,
        Length::Tokens(tokens) if tokens > context => {
            return Err(Error::argument(
                "--max-model-len",
                tokens,
                format!("at most {context}, the model's context"),
            ));
        }
        Length::Tokens(tokens) => tokens,
    };
    Ok(EngineConfig {
        dtype,
        threads: options
            .threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        max_num_seqs: options.max_num_seqs,
        max_batched_tokens: options.max_batched_tokens,
        max_logit_rows: options.max_num_seqs,
        max_model_len,
    })
}
