//! The values that a tensor's elements are drawn from.
//!
//! A draw is the sum of the four bytes of a random word: 0 to 1020, close to a normal distribution with a tail of 3.45
//! deviations. It indexes a table of the encoded values, so an element costs an addition and a load, and no machine's
//! mathematical library is asked.

use crate::checkpoint::gguf::encode::{OutOfRange, encode};
use crate::dtype::DType;

/// Entries of a table: a power of two above the largest draw.
pub const DRAWS: usize = 1024;
/// The mean draw.
const MEAN: f64 = 510.0;
/// The variance of four bytes: 4 * (256^2 - 1) / 12.
const VARIANCE: f64 = 21845.0;

/// Where a tensor's values lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// About normal.
    Normal {
        /// Mean.
        center: f64,
        /// Standard deviation.
        deviation: f64,
    },
    /// `deviation` times the cube of a standard normal, around zero: most values small, a few forty times as large.
    Cubed {
        /// The factor.
        deviation: f64,
    },
}

impl Spread {
    fn value(self, draw: usize) -> f32 {
        // A quotient and a square root are rounded correctly everywhere.
        let z = (draw as f64 - MEAN) / VARIANCE.sqrt();
        let value = match self {
            Spread::Normal { center, deviation } => center + deviation * z,
            Spread::Cubed { deviation } => deviation * (z * z * z),
        };
        value as f32
    }

    /// The little-endian value of every draw, or the first that `dtype` cannot hold.
    pub(super) fn table(self, dtype: DType) -> Result<Vec<u8>, f32> {
        let values: Vec<f32> = (0..DRAWS).map(|draw| self.value(draw)).collect();
        let mut table = Vec::new();
        let encoded = encode(&values, dtype, &mut table);
        encoded.map_err(|OutOfRange { value, .. }| value)?;
        Ok(table)
    }
}

/// The sum of the four bytes of `word`.
#[inline(always)]
pub fn draw(word: u32) -> usize {
    let pairs = (word & 0x00ff_00ff) + (word >> 8 & 0x00ff_00ff);
    ((pairs + (pairs >> 16)) & 0x7ff) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_mean_and_the_variance_of_four_bytes() {
        assert_eq!((draw(0), draw(u32::MAX)), (0, 1020));
        assert_eq!(draw(0x0102_0408), 15);
        // Exactly, over all values of one byte in each place.
        for place in 0..4 {
            let sum: usize = (0..256u32).map(|byte| draw(byte << (8 * place))).sum();
            assert_eq!(sum, 255 * 128);
        }
        let bytes: f64 = (0..256).map(|x| (f64::from(x) - 127.5).powi(2)).sum();
        assert_eq!(4.0 * bytes / 256.0, VARIANCE);
    }

    #[test]
    fn values_are_what_the_spread_says() {
        let normal = Spread::Normal {
            center: 1.0,
            deviation: 0.5,
        };
        assert_eq!(normal.value(510), 1.0);
        assert!((normal.value(658) - 1.5).abs() < 1e-3);
        let cubed = Spread::Cubed { deviation: 4.0 };
        assert!((cubed.value(1020) - 164.3).abs() < 0.1);
        assert_eq!(cubed.value(0), -cubed.value(1020));
        assert!((cubed.value(658) - 4.0).abs() < 0.02);
        let wide = Spread::Cubed { deviation: 2000.0 };
        assert!(wide.table(DType::F16).is_err());
        assert_eq!(wide.table(DType::F32).map(|table| table.len()), Ok(4096));
    }
}
