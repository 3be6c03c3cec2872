//! qwarp: a from-scratch inference engine for Qwen2-family models.

pub mod backend;
pub mod checkpoint;
pub mod config;
pub mod driver;
pub mod dtype;
pub mod emu;
pub mod engine;
pub mod error;
pub mod graph;
pub mod kv;
pub mod limits;
pub mod model;
pub mod rng;
pub mod shape;
pub mod tokenizer;

pub use dtype::DType;
pub use error::{Error, Result};
