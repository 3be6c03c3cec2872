//! What is true of all tests of a run: the machine, the model, and how it runs.

use qwarp::backend::cpu::simd::Path;
use qwarp::checkpoint::Checkpoint;
use qwarp::checkpoint::inspect::Usage;
use qwarp::config::ModelConfig;
use qwarp::{DType, Result, model};

use super::Args;
use crate::machine::cpu_name;
use crate::units::decimal;

/// The head of each result.
pub struct Facts {
    pub cpu_info: String,
    pub model_filename: String,
    /// Architecture, parameters and type in words.
    pub model_type: String,
    /// Bytes of the tensors a run reads, as they are stored.
    pub model_size: u64,
    pub model_n_params: u64,
    /// Prompt tokens of one step.
    pub n_ubatch: usize,
    pub dtype: DType,
    pub simd: &'static str,
}

impl Facts {
    /// Reads the headers of the weight files, no tensor data.
    pub fn read(args: &Args, config: &ModelConfig, dtype: DType, path: Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(&args.model)?;
        let graph = model::build(config, dtype)?;
        let mut tensors = checkpoint.inspect(&graph.weights, dtype)?;
        tensors.retain(|tensor| tensor.usage != Usage::Unused);
        let model_n_params = tensors.iter().map(|tensor| tensor.elements()).sum();
        // The type of the largest tensor stands for the whole, as in a name such as BF16.
        let largest = tensors.iter().max_by_key(|tensor| tensor.bytes);
        let stored = largest.map_or("", |tensor| &tensor.dtype);
        let family = config.architecture.trim_end_matches("ForCausalLM");
        Ok(Facts {
            cpu_info: cpu_name(),
            model_filename: args.model.display().to_string(),
            model_type: format!(
                "{} {} {stored}",
                family.to_ascii_lowercase(),
                decimal(model_n_params)
            ),
            model_size: tensors.iter().map(|tensor| tensor.bytes).sum(),
            model_n_params,
            n_ubatch: args.ubatch_size,
            dtype,
            simd: path.name(),
        })
    }
}
