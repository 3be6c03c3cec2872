//! `--dtype`, the same in every command.

use clap::ValueEnum;
use qwarp::DType;

/// A run's type on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names are the values")]
pub enum DtypeArg {
    Auto,
    Bf16,
    F16,
    F32,
}

impl DtypeArg {
    /// The type, unless it is left to the model.
    pub fn explicit(self) -> Option<DType> {
        match self {
            DtypeArg::Auto => None,
            DtypeArg::Bf16 => Some(DType::Bf16),
            DtypeArg::F16 => Some(DType::F16),
            DtypeArg::F32 => Some(DType::F32),
        }
    }
}
