//! The one rounding of a conversion: f32 to the type of the folder, to nearest, ties to even.

use half::{bf16, f16};

use crate::dtype::DType;

/// The first value that is finite in f32 and would be infinite in the target type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutOfRange {
    /// Its index in the input.
    pub index: usize,
    /// The value.
    pub value: f32,
}

/// Appends `values` to `out` as little-endian `dtype`.
pub fn encode(values: &[f32], dtype: DType, out: &mut Vec<u8>) -> Result<(), OutOfRange> {
    out.reserve(values.len().saturating_mul(dtype.bytes()));
    for (index, &value) in values.iter().enumerate() {
        let fits = match dtype {
            DType::F32 => {
                out.extend_from_slice(&value.to_le_bytes());
                true
            }
            DType::Bf16 => {
                let rounded = bf16::from_f32(value);
                out.extend_from_slice(&rounded.to_le_bytes());
                rounded.is_finite()
            }
            DType::F16 => {
                let rounded = f16::from_f32(value);
                out.extend_from_slice(&rounded.to_le_bytes());
                rounded.is_finite()
            }
        };
        // An Inf or NaN that stands in the file is the file's own and is kept.
        if !fits && value.is_finite() {
            return Err(OutOfRange { index, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{OutOfRange, encode};
    use crate::dtype::DType;

    fn one(value: f32, dtype: DType) -> Result<u16, OutOfRange> {
        let mut out = Vec::new();
        encode(&[value], dtype, &mut out)?;
        Ok(u16::from_le_bytes([out[0], out[1]]))
    }

    #[test]
    fn ties_go_to_even() {
        // Halfway between 1 and the next bf16, and between that and the one after.
        assert_eq!(one(f32::from_bits(0x3f80_8000), DType::Bf16), Ok(0x3f80));
        assert_eq!(one(f32::from_bits(0x3f81_8000), DType::Bf16), Ok(0x3f82));
        assert_eq!(one(f32::from_bits(0x3f80_8001), DType::Bf16), Ok(0x3f81));
        assert_eq!(one(1.0 + 1.0 / 2048.0, DType::F16), Ok(0x3c00));
        assert_eq!(one(1.0 + 3.0 / 2048.0, DType::F16), Ok(0x3c02));
    }

    #[test]
    fn nan_stays_nan_even_when_its_upper_half_looks_infinite() {
        let nan = f32::from_bits(0x7f80_0001);
        assert!(half::bf16::from_bits(one(nan, DType::Bf16).unwrap()).is_nan());
        assert!(half::f16::from_bits(one(nan, DType::F16).unwrap()).is_nan());
        assert_eq!(one(f32::NEG_INFINITY, DType::F16), Ok(0xfc00));
    }

    #[test]
    fn a_finite_value_never_becomes_infinite() {
        assert_eq!(one(65519.0, DType::F16), Ok(0x7bff));
        assert_eq!(
            one(-65520.0, DType::F16),
            Err(OutOfRange {
                index: 0,
                value: -65520.0
            })
        );
        assert_eq!(
            one(f32::MAX, DType::Bf16),
            Err(OutOfRange {
                index: 0,
                value: f32::MAX
            })
        );
        let mut out = Vec::new();
        assert!(encode(&[f32::MAX], DType::F32, &mut out).is_ok());
        assert_eq!(out, f32::MAX.to_le_bytes());
    }
}
