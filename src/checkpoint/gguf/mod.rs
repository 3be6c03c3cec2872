//! GGUF files, read once and turned into a Hugging Face folder.

mod architecture;
mod config;
pub mod convert;
pub mod dequant;
pub(super) mod encode;
pub mod header;
pub mod layout;
pub mod metadata;
mod roles;
mod source;
pub mod tokenizer;
pub mod types;
mod value;
mod vocabulary;
mod weights;

pub use convert::{Conversion, Converted};
pub use header::{Header, TensorInfo};
pub use metadata::{Metadata, Value};
pub use tokenizer::{TokenizerFiles, tokenizer_files};
pub use types::GgmlType;
pub use weights::Progress;
