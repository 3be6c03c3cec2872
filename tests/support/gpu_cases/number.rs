//! Element types of kernels as a reference sees them, and the values that cases are filled with.

use std::ops::Range;

use half::{bf16, f16};
use qwarp::DType;
use qwarp::backend::rng::philox;
use qwarp::driver::{DeviceType, Target};

use super::bound::Bound;

/// An element of an output.
pub trait Number: DeviceType {
    fn to_f64(self) -> f64;
}

/// A type that values are rounded to.
pub trait Real: Number {
    const DTYPE: DType;
    /// Half a unit in the last place, relative to the smallest number with that unit.
    const HALF_ULP: f64;
    /// Three times and more what rounding the exact answer costs.
    const NMSE: f64;

    fn round(x: f32) -> Self;

    fn runs_on(target: Target) -> bool {
        Self::DTYPE != DType::Bf16 || target.has_bf16()
    }

    /// One rounding to the type after a handful of f32 operations, whose own error is below 2^-18 of the element and, where
    /// terms cancel or the result is subnormal, below 1e-6 of the row.
    fn rounded_once() -> Bound {
        Bound {
            rtol: Self::HALF_ULP + 2f64.powi(-18),
            atol: 1e-6,
            nmse: Self::NMSE,
        }
    }
}

impl Number for f32 {
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Number for f16 {
    fn to_f64(self) -> f64 {
        f16::to_f64(self)
    }
}

impl Number for bf16 {
    fn to_f64(self) -> f64 {
        bf16::to_f64(self)
    }
}

impl Number for u32 {
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f32 {
    const DTYPE: DType = DType::F32;
    const HALF_ULP: f64 = 1.0 / 16_777_216.0;
    const NMSE: f64 = 1e-12;

    fn round(x: f32) -> f32 {
        x
    }
}

impl Real for f16 {
    const DTYPE: DType = DType::F16;
    const HALF_ULP: f64 = 1.0 / 2048.0;
    const NMSE: f64 = 2e-7;

    fn round(x: f32) -> f16 {
        f16::from_f32(x)
    }
}

impl Real for bf16 {
    const DTYPE: DType = DType::Bf16;
    const HALF_ULP: f64 = 1.0 / 256.0;
    const NMSE: f64 = 1e-5;

    fn round(x: f32) -> bf16 {
        bf16::from_f32(x)
    }
}

/// Values of both signs in -2 .. 2, no two the same but by chance; value i depends on i and the seed alone.
pub fn values(range: Range<usize>, seed: u32) -> Vec<f32> {
    let value = |i: usize| philox([i as u32, 1, 0, 0], [seed, 0])[0] as f32 / u32::MAX as f32;
    range.map(|i| (value(i) - 0.5) * 4.0).collect()
}

/// Each value as f64.
pub fn wide<T: Number>(values: &[T]) -> Vec<f64> {
    values.iter().map(|x| x.to_f64()).collect()
}

/// Each value rounded to T, as f64.
pub fn rounded<T: Real>(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| T::round(*x).to_f64()).collect()
}
