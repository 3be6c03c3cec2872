//! Model families: from a validated config to a graph. Names no backend.

pub mod qwen2;
pub mod synth;
pub mod weights;

use crate::DType;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::graph::Graph;

/// The architectures that can be built, by the name Hugging Face configs give.
pub const ARCHITECTURES: &[&str] = &["Qwen2ForCausalLM"];

/// The graph of `config` with matrix inputs of type `matrix`.
pub fn build(config: &ModelConfig, matrix: DType) -> Result<Graph> {
    match config.architecture.as_str() {
        "Qwen2ForCausalLM" => qwen2::build(config, matrix),
        other => Err(Error::unsupported(
            &config.path,
            "architectures",
            other,
            ARCHITECTURES.join(", "),
        )),
    }
}
