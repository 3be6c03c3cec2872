//! Where the bytes of a tensor lie, proved to be inside the file.

use crate::error::{Error, Result};
use crate::limits::Size;

use super::header::{Header, TensorInfo};
use super::types::GgmlType;

/// One tensor's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// How they are packed.
    pub kind: GgmlType,
    /// How many values they hold, a whole number of blocks a row.
    pub elements: u64,
    /// The first byte, from the start of the file.
    pub start: u64,
    /// How many there are; `start + bytes` is at most the file's length.
    pub bytes: u64,
}

impl Header {
    /// Checks type, size and place of `tensor`.
    pub fn layout(&self, tensor: &TensorInfo) -> Result<Layout> {
        let name = &tensor.name;
        let kind = GgmlType::from_id(tensor.ggml_type, &self.file, name)?;
        let what = format!("{}: size of {name}", self.file.display());
        let elements = Size::product(&tensor.dims, &what)?.get();
        let block = kind.block_elements() as u64;
        let row = tensor.dims.first().copied().unwrap_or(0);
        if row % block != 0 {
            let expected = format!("a multiple of {block}, the block of {}", kind.name());
            return Err(Error::malformed(
                &self.file,
                format!("row length of {name}"),
                row,
                expected,
            ));
        }
        let bytes = Size::new(elements / block).times(kind.block_bytes() as u64, &what)?;
        let start = Size::new(self.data_start).plus(tensor.offset, &what)?;
        let end = start.plus(bytes.get(), &what)?.get();
        if end > self.file_bytes {
            let field = format!("end of the data of {name}");
            let expected = format!("at most the file's length, {} bytes", self.file_bytes);
            return Err(Error::malformed(
                &self.file,
                field,
                format!("byte {end}"),
                expected,
            ));
        }
        Ok(Layout {
            kind,
            elements,
            start: start.get(),
            bytes: bytes.get(),
        })
    }
}
