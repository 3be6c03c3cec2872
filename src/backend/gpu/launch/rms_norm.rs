//! RMSNorm: `cuda/rms_norm.cu`.

use half::{bf16, f16};

use super::check::{Check, VEC, WARP};
use crate::backend::gpu::kernels::Kernels;
use crate::driver::{DeviceType, DriverError, Geometry, In, Launch, Out};

const MOST_THREADS: u32 = 1024;

/// `out = x / sqrt(mean(x^2) + eps) * weight`.
#[derive(Debug, Clone, Copy)]
pub struct RmsNorm<T: DeviceType> {
    /// Rows.
    pub rows: usize,
    /// Elements of a row.
    pub n: usize,
    /// Added to the mean square.
    pub eps: f32,
    /// `(rows, n)`.
    pub x: In<f32>,
    /// `(n)`.
    pub weight: In<f32>,
    /// `(rows, n)`.
    pub out: Out<T>,
}

type Stub<T> =
    fn(&Kernels, Geometry, In<f32>, In<f32>, Out<T>, u32, f32) -> Result<Launch, DriverError>;

/// A type that a norm may be rounded to.
pub trait RmsNormType: DeviceType {
    /// Its kernel.
    const RMS_NORM: Stub<Self>;
}

impl RmsNormType for f16 {
    const RMS_NORM: Stub<f16> = Kernels::rms_norm_f16;
}

impl RmsNormType for bf16 {
    const RMS_NORM: Stub<bf16> = Kernels::rms_norm_bf16;
}

/// One CTA a row, as large as the row can use: n alone decides the order of the sum.
fn geometry(rows: u32, n: u32) -> Geometry {
    let threads = n.div_ceil(VEC).next_multiple_of(WARP).min(MOST_THREADS);
    Geometry {
        grid: [rows, 1, 1],
        block: [threads, 1, 1],
        shared_bytes: 0,
    }
}

impl<T: RmsNormType> RmsNorm<T> {
    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let RmsNorm { x, weight, out, .. } = *self;
        let check = Check { kernel: "rms_norm" };
        let (rows, n) = (("rows", self.rows), ("n", self.n));
        check.slice("x", x.ptr, x.len, &[rows, n])?;
        check.slice("weight", weight.ptr, weight.len, &[n])?;
        check.slice("out", out.ptr, out.len, &[rows, n])?;
        let n = check.count("n", self.n)?;
        let geometry = geometry(check.count("rows", self.rows)?, n);
        T::RMS_NORM(kernels, geometry, x, weight, out, n, self.eps)
    }
}
