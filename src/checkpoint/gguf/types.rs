//! The ggml tensor types: which can be read, and how their bytes are laid out.

use std::path::Path;

use crate::error::{Error, Result};

/// A tensor type that the import dequantises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    non_camel_case_types,
    reason = "the names that ggml and every file listing use"
)]
#[allow(missing_docs, reason = "each name is its own description")]
pub enum GgmlType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ4_NL,
    IQ4_XS,
}

/// Type, id in the file, name, elements a block, bytes a block.
const READABLE: [(GgmlType, u32, &str, usize, usize); 15] = [
    (GgmlType::F32, 0, "F32", 1, 4),
    (GgmlType::F16, 1, "F16", 1, 2),
    (GgmlType::BF16, 30, "BF16", 1, 2),
    (GgmlType::Q4_0, 2, "Q4_0", 32, 18),
    (GgmlType::Q4_1, 3, "Q4_1", 32, 20),
    (GgmlType::Q5_0, 6, "Q5_0", 32, 22),
    (GgmlType::Q5_1, 7, "Q5_1", 32, 24),
    (GgmlType::Q8_0, 8, "Q8_0", 32, 34),
    (GgmlType::Q2_K, 10, "Q2_K", 256, 84),
    (GgmlType::Q3_K, 11, "Q3_K", 256, 110),
    (GgmlType::Q4_K, 12, "Q4_K", 256, 144),
    (GgmlType::Q5_K, 13, "Q5_K", 256, 176),
    (GgmlType::Q6_K, 14, "Q6_K", 256, 210),
    (GgmlType::IQ4_NL, 20, "IQ4_NL", 32, 18),
    (GgmlType::IQ4_XS, 23, "IQ4_XS", 256, 136),
];

/// Types that exist and are refused, so that the refusal can say the name.
const REFUSED: [(u32, &str); 19] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

impl GgmlType {
    /// Every type that can be read.
    pub fn all() -> impl Iterator<Item = GgmlType> {
        READABLE.iter().map(|row| row.0)
    }

    /// The type with this id in a file, or a refusal that says its name.
    pub fn from_id(id: u32, file: &Path, tensor: &str) -> Result<Self> {
        if let Some(row) = READABLE.iter().find(|row| row.1 == id) {
            return Ok(row.0);
        }
        let supported = READABLE.map(|row| row.2).join(", ");
        let found = match REFUSED.iter().find(|row| row.0 == id) {
            Some(row) => row.1.to_string(),
            None => format!("unknown type {id}"),
        };
        Err(Error::unsupported(
            file,
            format!("ggml type of {tensor}"),
            found,
            supported,
        ))
    }

    /// The name, as ggml writes it.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// The id in a file.
    pub fn id(self) -> u32 {
        self.row().1
    }

    /// Elements that share scales, and so must be read together.
    pub fn block_elements(self) -> usize {
        self.row().3
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        self.row().4
    }

    fn row(self) -> &'static (GgmlType, u32, &'static str, usize, usize) {
        // The table is in the order of the enum; a test holds it to that.
        &READABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::{GgmlType, READABLE, REFUSED};

    #[test]
    fn table_is_in_the_order_of_the_enum() {
        for (index, row) in READABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, index, "{}", row.2);
            assert!(
                REFUSED.iter().all(|refused| refused.0 != row.1),
                "{} is in both tables",
                row.2
            );
        }
        assert_eq!(GgmlType::all().count(), GgmlType::IQ4_XS as usize + 1);
    }
}
