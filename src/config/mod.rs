//! What a model folder says about itself, read once and validated: `ModelConfig` from `config.json`,
//! `GenerationConfig` from `generation_config.json`; and the engine's own limits, `EngineConfig`.

pub mod engine;
pub mod generation;
pub mod json;
pub mod model;

pub use engine::EngineConfig;
pub use generation::GenerationConfig;
pub use model::ModelConfig;
