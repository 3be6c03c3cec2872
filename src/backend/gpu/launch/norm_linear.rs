//! RMSNorm and the product behind it as one launch, for few tokens: `cuda/norm_linear_rope_append.cu` and
//! `cuda/norm_linear_silu_mul.cu`.

use half::{bf16, f16};

use super::check::{Check, WARP};
use super::linear::{Product, Sizes, most_shared, warps};
use super::linear_rope::RopeOut;
use crate::backend::gpu::kernels::Kernels;
use crate::backend::gpu::pack::{gate_up_tiles, plain_tiles};
use crate::driver::{DeviceType, DriverError, Geometry, In, InOut, Launch, Out, Target};

/// Most tokens that the kernels take.
const MOST_TOKENS: usize = 8;
/// Most tokens for which one launch is taken to be faster than two. On paper: for 4 of them a CTA reads 1.4 times the bytes of
/// its weights, nearly all from the first-level cache, which gives six times what memory does.
const FASTER_TO: usize = 4;
/// Shared memory that the kernels declare: squares of 8 rows by 32 warps.
const FIXED_BYTES: usize = 1024;
/// Bytes of shared memory of a warp's sums.
const WARP_BYTES: usize = 512;

/// What is normalised, and how.
#[derive(Debug, Clone, Copy)]
pub struct NormIn {
    /// `(T, k)`.
    pub x: In<f32>,
    /// `(k)`.
    pub weight: In<f32>,
    /// Added to the mean square.
    pub eps: f32,
}

/// RMSNorm, then `LinearRopeAppend`.
#[derive(Debug, Clone, Copy)]
pub struct NormLinearRopeAppend<T: DeviceType> {
    /// T, at most 8.
    pub tokens: usize,
    /// Elements of a row of the matrix.
    pub k: usize,
    /// What is normalised.
    pub norm: NormIn,
    /// Packed from `(q + 2 kv, k)` for heads, as `gpu::pack` does.
    pub weights: In<T>,
    /// Where it goes.
    pub rope: RopeOut<T>,
}

/// RMSNorm, then `LinearSiluMul`.
#[derive(Debug, Clone, Copy)]
pub struct NormLinearSiluMul<T: DeviceType> {
    /// T, at most 8.
    pub tokens: usize,
    /// Rows of gate, and of up.
    pub n: usize,
    /// Elements of their rows.
    pub k: usize,
    /// What is normalised.
    pub norm: NormIn,
    /// Packed from gate and up, `(n, k)` each, as `gpu::pack` does.
    pub weights: In<T>,
    /// `(T, n)`.
    pub out: Out<T>,
}

type RopeStub<T> = fn(
    &Kernels,
    Geometry,
    In<f32>,
    In<f32>,
    In<T>,
    In<f32>,
    In<f32>,
    In<u32>,
    Out<T>,
    InOut<T>,
    InOut<T>,
    u32,
    u32,
    u32,
    u32,
    u32,
    f32,
) -> Result<Launch, DriverError>;
type SiluMulStub<T> = fn(
    &Kernels,
    Geometry,
    In<f32>,
    In<f32>,
    In<T>,
    Out<T>,
    u32,
    u32,
    u32,
    f32,
) -> Result<Launch, DriverError>;

/// A type of matrices and of what comes of them.
pub trait NormLinearType: DeviceType {
    /// With rotation and append.
    const NORM_LINEAR_ROPE_APPEND: RopeStub<Self>;
    /// With SiLU times up.
    const NORM_LINEAR_SILU_MUL: SiluMulStub<Self>;
}

impl NormLinearType for f16 {
    const NORM_LINEAR_ROPE_APPEND: RopeStub<f16> = Kernels::norm_linear_rope_append_f16_t8;
    const NORM_LINEAR_SILU_MUL: SiluMulStub<f16> = Kernels::norm_linear_silu_mul_f16_t8;
}

impl NormLinearType for bf16 {
    const NORM_LINEAR_ROPE_APPEND: RopeStub<bf16> = Kernels::norm_linear_rope_append_bf16_t8;
    const NORM_LINEAR_SILU_MUL: SiluMulStub<bf16> = Kernels::norm_linear_silu_mul_bf16_t8;
}

/// Bytes of shared memory of the normalised rows, as `cuda/common/linear_norm.cuh` has them.
fn row_bytes(tokens: usize, k: usize) -> Option<usize> {
    let stride = k.checked_next_multiple_of(32)?.checked_add(8)?;
    stride.checked_mul(2)?.checked_mul(tokens)
}

/// How many warps fit beside the rows.
fn warps_beside(target: Target, tokens: usize, k: usize) -> usize {
    let rows = row_bytes(tokens, k).and_then(|rows| rows.checked_add(FIXED_BYTES));
    let left = rows.and_then(|rows| (most_shared(target) as usize).checked_sub(rows));
    left.unwrap_or(0) / WARP_BYTES
}

impl NormIn {
    /// Whether a step of so many tokens should take one launch instead of two.
    pub fn suits(target: Target, tokens: usize, k: usize) -> bool {
        tokens <= FASTER_TO && warps_beside(target, tokens, k) > 0
    }

    /// A grid of one CTA a row tile.
    fn prepare<T: DeviceType>(
        &self,
        target: Target,
        product: &Product<f32, T>,
    ) -> Result<(Geometry, Sizes), DriverError> {
        let Product {
            check, tokens, k, ..
        } = *product;
        check.count_to("tokens", tokens, MOST_TOKENS)?;
        let sizes = product.check()?;
        check.slice("norm", self.weight.ptr, self.weight.len, &[("k", k)])?;
        let fit = warps_beside(target, tokens, k);
        if fit == 0 {
            let most = most_shared(target);
            let reason =
                format!("{tokens} rows of {k} do not fit in {most} bytes of shared memory");
            return Err(check.error(reason));
        }
        let warps = warps(sizes.k, fit as u32);
        let rows = row_bytes(tokens, k).unwrap_or(0);
        let geometry = Geometry {
            grid: [1, product.row_tiles as u32, 1],
            block: [warps * WARP, 1, 1],
            shared_bytes: rows as u32 + warps * WARP_BYTES as u32,
        };
        Ok((geometry, sizes))
    }
}

impl<T: NormLinearType> NormLinearRopeAppend<T> {
    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let check = Check {
            kernel: "norm_linear_rope_append",
        };
        let (norm, rope) = (&self.norm, &self.rope);
        let words = rope.check(check, self.tokens)?;
        let product = Product {
            check,
            tokens: self.tokens,
            n: rope.n(),
            k: self.k,
            row_tiles: plain_tiles(rope.n()),
            x: norm.x,
            weights: self.weights,
        };
        let (geometry, sizes) = norm.prepare(kernels.target(), &product)?;
        T::NORM_LINEAR_ROPE_APPEND(
            kernels,
            geometry,
            norm.x,
            norm.weight,
            self.weights,
            words.bias,
            rope.cos_sin,
            rope.slot_mapping,
            rope.q,
            rope.keys,
            rope.values,
            sizes.tokens,
            sizes.k,
            words.query,
            words.kv,
            words.dim,
            norm.eps,
        )
    }
}

impl<T: NormLinearType> NormLinearSiluMul<T> {
    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let check = Check {
            kernel: "norm_linear_silu_mul",
        };
        let norm = &self.norm;
        let product = Product {
            check,
            tokens: self.tokens,
            n: self.n,
            k: self.k,
            row_tiles: gate_up_tiles(self.n),
            x: norm.x,
            weights: self.weights,
        };
        let (geometry, sizes) = norm.prepare(kernels.target(), &product)?;
        let shape = [("tokens", self.tokens), ("n", self.n)];
        check.slice("out", self.out.ptr, self.out.len, &shape)?;
        T::NORM_LINEAR_SILU_MUL(
            kernels,
            geometry,
            norm.x,
            norm.weight,
            self.weights,
            self.out,
            sizes.tokens,
            sizes.n,
            sizes.k,
            norm.eps,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_must_fit_beside_a_warp() {
        // 8 rows of a 7B model fit even on sm_75, 57,472 bytes; 65,536 are there.
        assert_eq!(row_bytes(8, 3584), Some(57_472));
        assert_eq!(warps_beside(Target::Sm75, 8, 3584), 13);
        assert_eq!(warps_beside(Target::Sm75, 4, 8064), 0);
        assert!(warps_beside(Target::Sm80, 4, 8064) > 0);
        assert!(!NormIn::suits(Target::Sm75, 4, 8064));
        assert!(!NormIn::suits(Target::Sm90, 1, usize::MAX));
        let suits = |tokens| NormIn::suits(Target::Sm80, tokens, 1536);
        assert!(suits(1) && suits(FASTER_TO) && !suits(FASTER_TO + 1));
    }
}
