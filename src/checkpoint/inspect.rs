//! What the files of a model folder hold, tensor by tensor, and what loading would do with each. Headers only: no tensor
//! data is read.

use std::collections::BTreeMap;

use super::Checkpoint;
use super::placement::copied_as;
use crate::DType;
use crate::error::Result;
use crate::graph::{WeightKind, WeightSpec};
use crate::limits::Size;

/// One stored tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// Its name.
    pub name: String,
    /// The name of the file that holds it.
    pub file: String,
    /// Its element type, as the format spells it.
    pub dtype: String,
    /// Bits of one element.
    pub bits: u64,
    /// Its dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Bytes of its data.
    pub bytes: u64,
    /// How a run uses it.
    pub usage: Usage,
}

/// How a run uses a stored tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Multiplied or gathered where the file stands in memory.
    InPlace,
    /// Copied once, into this type.
    Copied(DType),
    /// Not read: a head beside a tied embedding, or stored RoPE tables.
    Unused,
}

impl StoredTensor {
    /// The number of its elements.
    pub fn elements(&self) -> u64 {
        (self.bytes * 8).checked_div(self.bits).unwrap_or(0)
    }
}

impl Checkpoint {
    /// All tensors, sorted by name, with their use in a run of `specs` in `matrix`. An error names the first that
    /// is needed and that is missing, has another shape or cannot be read.
    pub fn inspect(&self, specs: &[WeightSpec], matrix: DType) -> Result<Vec<StoredTensor>> {
        let mut usages: BTreeMap<&str, Usage> = BTreeMap::new();
        for spec in specs {
            for (name, rows) in &spec.parts {
                let shape: Vec<usize> = [Some(*rows), spec.cols].into_iter().flatten().collect();
                let view = self.tensor(name, &shape)?;
                usages.insert(name, usage(spec.kind, view.dtype, view.bytes, matrix));
            }
        }
        Ok(self
            .tensors
            .iter()
            .map(|(name, entry)| StoredTensor {
                name: name.clone(),
                file: self.file_name(entry.file),
                dtype: format!("{:?}", entry.dtype),
                bits: entry.dtype.bitsize() as u64,
                shape: entry.shape.clone(),
                bytes: entry.bytes.len() as u64,
                usage: usages.get(name.as_str()).copied().unwrap_or(Usage::Unused),
            })
            .collect())
    }

    /// Bytes of the weight `spec` as a step of a run in `matrix` reads it.
    pub fn read_bytes(&self, spec: &WeightSpec, matrix: DType) -> Result<u64> {
        let mut sum = Size::new(0);
        for (name, rows) in &spec.parts {
            let shape: Vec<usize> = [Some(*rows), spec.cols].into_iter().flatten().collect();
            let view = self.tensor(name, &shape)?;
            let read = copied_as(spec.kind, view.dtype, matrix).unwrap_or(view.dtype);
            let elements = view.bytes.len() / view.dtype.bytes();
            sum = sum.plus((elements * read.bytes()) as u64, name)?;
        }
        Ok(sum.get())
    }

    fn file_name(&self, index: usize) -> String {
        let name = self.files[index].0.file_name();
        name.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}

fn usage(kind: WeightKind, stored: DType, bytes: &[u8], matrix: DType) -> Usage {
    let aligned = bytes.as_ptr().addr().is_multiple_of(stored.bytes());
    match copied_as(kind, stored, matrix) {
        Some(dtype) => Usage::Copied(dtype),
        None if aligned => Usage::InPlace,
        None if kind == WeightKind::Table => Usage::Copied(stored),
        None => Usage::Copied(matrix),
    }
}
