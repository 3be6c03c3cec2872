//! SiLU times up: `cuda/silu_mul.cu`.

use half::{bf16, f16};

use super::check::{Check, VEC};
use crate::backend::gpu::kernels::Kernels;
use crate::driver::{DeviceType, DriverError, Geometry, In, Launch, Out};

const THREADS: u32 = 128;

/// `out = gate / (1 + exp(-gate)) * up`.
#[derive(Debug, Clone, Copy)]
pub struct SiluMul<T: DeviceType> {
    /// Rows.
    pub rows: usize,
    /// Elements of an output row.
    pub n: usize,
    /// `(rows, 2 n)`, gate first.
    pub gate_up: In<f32>,
    /// `(rows, n)`.
    pub out: Out<T>,
}

type Stub<T> = fn(&Kernels, Geometry, In<f32>, Out<T>, u32) -> Result<Launch, DriverError>;

/// A type that the product may be rounded to.
pub trait SiluMulType: DeviceType {
    /// Its kernel.
    const SILU_MUL: Stub<Self>;
}

impl SiluMulType for f16 {
    const SILU_MUL: Stub<f16> = Kernels::silu_mul_f16;
}

impl SiluMulType for bf16 {
    const SILU_MUL: Stub<bf16> = Kernels::silu_mul_bf16;
}

impl<T: SiluMulType> SiluMul<T> {
    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let SiluMul { gate_up, out, .. } = *self;
        let check = Check { kernel: "silu_mul" };
        let (rows, n) = (("rows", self.rows), ("n", self.n));
        check.slice(
            "gate_up",
            gate_up.ptr,
            gate_up.len,
            &[rows, ("gate and up", 2), n],
        )?;
        check.slice("out", out.ptr, out.len, &[rows, n])?;
        let n = check.count("n", self.n)?;
        let geometry = check.rows(check.count("rows", self.rows)?, n, THREADS, VEC)?;
        T::SILU_MUL(kernels, geometry, gate_up, out, n)
    }
}
