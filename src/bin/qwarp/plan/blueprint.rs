//! The plan of a model with its limits settled and its sizes computed.

use std::path::Path;

use qwarp::backend::cpu::footprint::Footprint;
use qwarp::checkpoint::placement::{WeightBytes, read_bytes};
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::engine::fit::{Fit, FitRequest};
use qwarp::graph::cost::{Cost, StepShape};
use qwarp::graph::{Node, Plan, TensorId, WeightId};
use qwarp::shape::MaxRows;
use qwarp::{DType, Error, Result, model};

use super::{Length, Options};

/// Everything `qwarp plan` shows.
pub struct Blueprint {
    pub config: ModelConfig,
    /// The type the weights are stored in.
    pub stored: DType,
    pub engine: EngineConfig,
    pub plan: Plan,
    pub footprint: Footprint,
    pub memory: Option<u64>,
    pub fit: Fit,
    /// Keys that the decode step sees.
    pub context: usize,
    /// Tokens of the prefill step.
    pub chunk: usize,
}

/// What `config.json` cannot tell, and what is taken for it.
pub const ASSUMED: [&str; 3] = [
    "all tensors are stored in the type config.json declares, and the files hold no tensor beyond those the model reads",
    "no tensor stands at an odd address and no bf16 matrix has denormals or out-of-range values; such a matrix is copied",
    "headers of the weight files, program, thread stacks, tokenizer and lists of names and blocks are not counted",
];

impl Blueprint {
    /// Reads `folder/config.json` and settles `options`.
    pub fn new(folder: &Path, options: &Options) -> Result<Self> {
        let config = ModelConfig::read(folder)?;
        let stored = config.dtype.or(options.dtype.explicit()).ok_or_else(|| {
            let expected = "bf16, f16 or f32: config.json declares no torch_dtype";
            Error::argument("--dtype", "auto", expected)
        })?;
        let mut engine = limits(&config, options, stored)?;
        engine.validate()?;
        let max_rows = MaxRows {
            tokens: engine.max_batched_tokens,
            logits: engine.max_logit_rows,
        };
        let plan = Plan::new(model::build(&config, engine.dtype)?, max_rows)?;
        let weights = WeightBytes::planned(&plan.graph.weights, stored, engine.dtype)?;
        let request = FitRequest {
            memory: options.memory.unwrap_or(u64::MAX),
            threads: engine.threads,
            max_num_seqs: engine.max_num_seqs,
            context: config.max_position_embeddings,
        };
        let fit = Fit::new(&plan, weights, request)?;
        match options.max_model_len {
            Length::Auto => engine.max_model_len = fit.max_model_len,
            Length::Tokens(tokens) if tokens > fit.max_model_len => {
                return Err(Error::argument(
                    "--max-model-len",
                    tokens,
                    format!(
                        "at most {}, the most that --memory has room for",
                        fit.max_model_len
                    ),
                ));
            }
            Length::Tokens(_) => {}
        }
        let footprint = Footprint::planned(&plan, weights, engine.threads, engine.num_blocks())?;
        let context = options.context.unwrap_or(engine.max_model_len);
        if context == 0 || context > engine.max_model_len {
            let expected = format!("1 to {}, the longest sequence", engine.max_model_len);
            return Err(Error::argument("--context", context, expected));
        }
        Ok(Blueprint {
            chunk: engine.max_batched_tokens.min(engine.max_model_len),
            config,
            stored,
            engine,
            plan,
            footprint,
            memory: options.memory,
            fit,
            context,
        })
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

fn limits(config: &ModelConfig, options: &Options, stored: DType) -> Result<EngineConfig> {
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
        dtype: options.dtype.explicit().unwrap_or(stored),
        threads: options
            .threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        max_num_seqs: options.max_num_seqs,
        max_batched_tokens: options.max_batched_tokens,
        max_logit_rows: options.max_num_seqs,
        max_model_len,
    })
}
