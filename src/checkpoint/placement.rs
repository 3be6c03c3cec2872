//! Which weights serve where the file stands and which are copied, and how many bytes that makes. The loader and the
//! plan ask the same functions, so a plan from `config.json` alone is what the loader does.

use crate::DType;
use crate::error::Result;
use crate::graph::{WeightKind, WeightSpec};
use crate::limits::Size;

/// Bytes of a model's weights, by where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WeightBytes {
    /// Tensor data in the mapped files. File headers, about 100 bytes a tensor, are not in it.
    pub mapped: u64,
    /// Norm weights and biases, copied as f32.
    pub vectors: u64,
    /// Matrices copied into another type.
    pub converted: u64,
}

/// The type a stored tensor is copied to when it is loaded; `None` if its mapped bytes serve as they are.
///
/// Two things only the file's content can tell make a copy all the same: a tensor at an odd address, and a bf16 matrix
/// with denormals, or with values beyond the range its sums allow.
pub fn copied_as(kind: WeightKind, stored: DType, matrix: DType) -> Option<DType> {
    match kind {
        WeightKind::Vector => Some(DType::F32),
        WeightKind::Table => None,
        WeightKind::Matrix if stored == matrix || matrix == DType::F32 => None,
        WeightKind::Matrix => Some(matrix),
    }
}

/// Bytes of `spec` as a step reads it.
pub fn read_bytes(spec: &WeightSpec, stored: DType, matrix: DType) -> Result<u64> {
    spec.bytes(copied_as(spec.kind, stored, matrix).unwrap_or(stored))
}

impl WeightBytes {
    /// The bytes of `specs`, all stored as `stored`, for a run with matrix inputs of type `matrix`.
    pub fn planned(specs: &[WeightSpec], stored: DType, matrix: DType) -> Result<Self> {
        let mut bytes = WeightBytes::default();
        for spec in specs {
            let add = |sum: &mut u64, dtype: DType| -> Result<()> {
                *sum = Size::new(*sum).plus(spec.bytes(dtype)?, &spec.name)?.get();
                Ok(())
            };
            add(&mut bytes.mapped, stored)?;
            if let Some(dtype) = copied_as(spec.kind, stored, matrix) {
                match spec.kind {
                    WeightKind::Vector => add(&mut bytes.vectors, dtype)?,
                    WeightKind::Matrix | WeightKind::Table => add(&mut bytes.converted, dtype)?,
                }
            }
        }
        Ok(bytes)
    }
}
