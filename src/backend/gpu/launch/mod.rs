//! From shapes and typed slices to a launch: one file an op. A struct names every argument, so two of the same type cannot
//! be swapped by position; its `launch` holds each length against the shape and chooses the grid.
//!
//! The type parameter is the run's matrix type; a trait of the op's gives the kernel of that type.
//!
//! How a grid is chosen never shows in a row's bits: what a row's sums depend on is chosen by the row's own shape.

mod argmax;
mod attention;
mod check;
mod embed;
mod linear;
mod linear_rope;
mod norm_linear;
mod rms_norm;
mod sample;
mod sample_words;
mod silu_mul;

use half::{bf16, f16};

use crate::DType;

pub use argmax::{Argmax, NO_TOKEN};
pub use attention::{AttentionType, CHUNK, FlashAttention, HEAD_DIMS, PagedAttention, span_words};
pub use embed::{Embed, EmbedType};
pub use linear::{Linear, LinearOut, LinearSiluMul, LinearType};
pub use linear_rope::{LinearRopeAppend, LinearRopeType, RopeOut};
pub use norm_linear::{NormIn, NormLinearRopeAppend, NormLinearSiluMul, NormLinearType};
pub use rms_norm::{RmsNorm, RmsNormType};
pub use sample::SampleRows;
pub use sample_words::{SampleLimits, SampleWords};
pub use silu_mul::{SiluMul, SiluMulType};

/// A type of matrix inputs and of the cache: the kernels of every op exist for it.
pub trait MatrixType:
    AttentionType + EmbedType + LinearType + LinearRopeType + NormLinearType + RmsNormType + SiluMulType
{
    /// The type.
    const DTYPE: DType;
}

impl MatrixType for f16 {
    const DTYPE: DType = DType::F16;
}

impl MatrixType for bf16 {
    const DTYPE: DType = DType::Bf16;
}
