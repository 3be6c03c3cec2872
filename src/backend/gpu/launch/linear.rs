//! Matrix products: `cuda/linear.cu`, `cuda/linear_silu_mul.cu`. The number of tokens alone chooses the variant, for speed:
//! all give the same bits.

use half::{bf16, f16};

use super::check::Check;
use crate::backend::gpu::kernels::Kernels;
use crate::backend::gpu::pack::{TILE, TILE_ELEMENTS, depth_tiles, gate_up_tiles, plain_tiles};
use crate::driver::{
    Card, DevicePtr, DeviceType, DriverError, Geometry, In, InOut, Launch, Out, Target,
};

/// Elements of k of a chunk.
const CHUNK: u32 = 512;
/// Most warps of a streaming CTA: its kernels' launch bounds.
const MOST_WARPS: u32 = 10;
/// Most CTAs in y.
const MOST_Y: usize = 65_535;

/// Where a product goes.
#[derive(Debug, Clone, Copy)]
pub enum LinearOut {
    /// It is written.
    Write(Out<f32>),
    /// It is added to what stands there.
    Add(InOut<f32>),
}

/// `out = x W^T`, or that and a bias, or onto `out`.
#[derive(Debug, Clone, Copy)]
pub struct Linear<T: DeviceType> {
    /// T.
    pub tokens: usize,
    /// Rows of the matrix.
    pub n: usize,
    /// Elements of its rows.
    pub k: usize,
    /// `(T, k)`.
    pub x: In<T>,
    /// Packed from `(n, k)`, as `gpu::pack` does.
    pub weights: In<T>,
    /// `(n)`.
    pub bias: Option<In<f32>>,
    /// `(T, n)`.
    pub out: LinearOut,
}

/// `out = silu(x G^T) * (x U^T)`.
#[derive(Debug, Clone, Copy)]
pub struct LinearSiluMul<T: DeviceType> {
    /// T.
    pub tokens: usize,
    /// Rows of gate, and of up.
    pub n: usize,
    /// Elements of their rows.
    pub k: usize,
    /// `(T, k)`.
    pub x: In<T>,
    /// Packed from gate and up, `(n, k)` each, as `gpu::pack` does.
    pub weights: In<T>,
    /// `(T, n)`.
    pub out: Out<T>,
}

type Stub<T> = fn(
    &Kernels,
    Geometry,
    In<T>,
    In<T>,
    In<f32>,
    InOut<f32>,
    u32,
    u32,
    u32,
    u32,
) -> Result<Launch, DriverError>;
type SiluMulStub<T> =
    fn(&Kernels, Geometry, In<T>, In<T>, Out<T>, u32, u32, u32) -> Result<Launch, DriverError>;

/// A type of matrices: its kernels, one for each of `VARIANTS`.
pub trait LinearType: DeviceType {
    /// With a bias, or onto what is there.
    const LINEAR: [Stub<Self>; 5];
    /// With SiLU times up.
    const LINEAR_SILU_MUL: [SiluMulStub<Self>; 5];
}

impl LinearType for f16 {
    const LINEAR: [Stub<f16>; 5] = [
        Kernels::linear_f16_t8,
        Kernels::linear_f16_t16,
        Kernels::linear_f16_t32,
        Kernels::linear_f16_t64,
        Kernels::linear_f16_t128,
    ];
    const LINEAR_SILU_MUL: [SiluMulStub<f16>; 5] = [
        Kernels::linear_silu_mul_f16_t8,
        Kernels::linear_silu_mul_f16_t16,
        Kernels::linear_silu_mul_f16_t32,
        Kernels::linear_silu_mul_f16_t64,
        Kernels::linear_silu_mul_f16_t128,
    ];
}

impl LinearType for bf16 {
    const LINEAR: [Stub<bf16>; 5] = [
        Kernels::linear_bf16_t8,
        Kernels::linear_bf16_t16,
        Kernels::linear_bf16_t32,
        Kernels::linear_bf16_t64,
        Kernels::linear_bf16_t128,
    ];
    const LINEAR_SILU_MUL: [SiluMulStub<bf16>; 5] = [
        Kernels::linear_silu_mul_bf16_t8,
        Kernels::linear_silu_mul_bf16_t16,
        Kernels::linear_silu_mul_bf16_t32,
        Kernels::linear_silu_mul_bf16_t64,
        Kernels::linear_silu_mul_bf16_t128,
    ];
}

/// How a kernel divides the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    /// One row tile a CTA; a warp's bytes of shared memory.
    Stream { tokens: u32, warp_bytes: u32 },
    /// As many rows as tokens a CTA; bytes of one step.
    Tiled { tokens: u32, step_bytes: u32 },
}

/// In the order of the kernels.
const VARIANTS: [Variant; 5] = [
    Variant::Stream {
        tokens: 8,
        warp_bytes: 8704,
    },
    Variant::Stream {
        tokens: 16,
        warp_bytes: 9216,
    },
    Variant::Stream {
        tokens: 32,
        warp_bytes: 10_240,
    },
    Variant::Tiled {
        tokens: 64,
        step_bytes: 8192,
    },
    Variant::Tiled {
        tokens: 128,
        step_bytes: 16_384,
    },
];
/// Up to how many tokens each of them is used; beyond, the last.
const UP_TO: [u32; 4] = [8, 16, 32, 128];

impl Variant {
    /// The grid of `tokens` by `row_tiles`, for rows of k elements.
    fn geometry(self, target: Target, tokens: u32, row_tiles: usize, k: u32) -> Geometry {
        let (wide, tiles, threads, shared_bytes) = match self {
            Variant::Stream { tokens, warp_bytes } => {
                let warps = warps(k, most_shared(target) / warp_bytes);
                (tokens, 1, warps * 32, warps * warp_bytes)
            }
            Variant::Tiled { tokens, step_bytes } => {
                let steps = if target == Target::Sm75 { 2 } else { 4 };
                (
                    tokens,
                    tokens as usize / TILE,
                    tokens * 2,
                    steps * step_bytes,
                )
            }
        };
        Geometry {
            grid: [tokens.div_ceil(wide), row_tiles.div_ceil(tiles) as u32, 1],
            block: [threads, 1, 1],
            shared_bytes,
        }
    }
}

/// What one CTA may have on every card of the target.
pub(super) fn most_shared(target: Target) -> u32 {
    let bytes = Card::of(target).map(|card| card.cta_shared_bytes);
    bytes.min().unwrap_or(0)
}

/// Warps of a streaming CTA, so that all take equally many chunks of k, or as nearly as can be.
pub(super) fn warps(k: u32, fit: u32) -> u32 {
    let chunks = k.div_ceil(CHUNK);
    chunks.div_ceil(chunks.div_ceil(fit.clamp(1, MOST_WARPS)))
}

/// What every product launches with.
pub(super) struct Prepared {
    pub geometry: Geometry,
    /// Which of the kernels.
    pub variant: usize,
    pub sizes: Sizes,
}

/// A product's shape as kernels take it.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub tokens: u32,
    pub n: u32,
    pub k: u32,
}

/// What goes into a product, and its shape.
pub(super) struct Product<X: DeviceType, T: DeviceType> {
    pub check: Check,
    pub tokens: usize,
    pub n: usize,
    pub k: usize,
    pub row_tiles: usize,
    pub x: In<X>,
    pub weights: In<T>,
}

impl<X: DeviceType, T: DeviceType> Product<X, T> {
    /// Holds all but the output against the shape.
    pub fn check(&self) -> Result<Sizes, DriverError> {
        let (check, x, weights) = (self.check, self.x, self.weights);
        let shape = [("tokens", self.tokens), ("k", self.k)];
        check.slice("x", x.ptr, x.len, &shape)?;
        let packed = [
            ("row tiles", self.row_tiles),
            ("k tiles", depth_tiles(self.k)),
            ("elements", TILE_ELEMENTS),
        ];
        check.slice("weights", weights.ptr, weights.len, &packed)?;
        if self.row_tiles > MOST_Y {
            let found = self.row_tiles;
            return Err(check.error(format!("{found} row tiles, expected at most {MOST_Y}")));
        }
        Ok(Sizes {
            tokens: check.count("tokens", self.tokens)?,
            n: check.count("n", self.n)?,
            k: check.count("k", self.k)?,
        })
    }

    /// The same, and the grid of the variant for so many tokens.
    pub fn prepare(&self, target: Target) -> Result<Prepared, DriverError> {
        let sizes = self.check()?;
        let Sizes { tokens, k, .. } = sizes;
        let variant = UP_TO.iter().take_while(|most| tokens > **most).count();
        Ok(Prepared {
            geometry: VARIANTS[variant].geometry(target, tokens, self.row_tiles, k),
            variant,
            sizes,
        })
    }
}

/// Null where there is none, which is how kernels know.
pub(super) fn bias_or_null(
    check: Check,
    bias: Option<In<f32>>,
    n: usize,
) -> Result<In<f32>, DriverError> {
    let Some(bias) = bias else {
        return Ok(In::new(DevicePtr(0), 0));
    };
    check.slice("bias", bias.ptr, bias.len, &[("n", n)])?;
    Ok(bias)
}

impl<T: LinearType> Linear<T> {
    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let check = Check { kernel: "linear" };
        let product = Product {
            check,
            tokens: self.tokens,
            n: self.n,
            k: self.k,
            row_tiles: plain_tiles(self.n),
            x: self.x,
            weights: self.weights,
        };
        let (out, add) = match self.out {
            LinearOut::Write(out) => (InOut::new(out.ptr, out.len), 0),
            LinearOut::Add(out) => (out, 1),
        };
        let p = product.prepare(kernels.target())?;
        let shape = [("tokens", self.tokens), ("n", self.n)];
        check.slice("out", out.ptr, out.len, &shape)?;
        let bias = bias_or_null(check, self.bias, self.n)?;
        T::LINEAR[p.variant](
            kernels,
            p.geometry,
            self.x,
            self.weights,
            bias,
            out,
            p.sizes.tokens,
            p.sizes.n,
            p.sizes.k,
            add,
        )
    }
}

impl<T: LinearType> LinearSiluMul<T> {
    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let check = Check {
            kernel: "linear_silu_mul",
        };
        let product = Product {
            check,
            tokens: self.tokens,
            n: self.n,
            k: self.k,
            row_tiles: gate_up_tiles(self.n),
            x: self.x,
            weights: self.weights,
        };
        let p = product.prepare(kernels.target())?;
        let shape = [("tokens", self.tokens), ("n", self.n)];
        check.slice("out", self.out.ptr, self.out.len, &shape)?;
        T::LINEAR_SILU_MUL[p.variant](
            kernels,
            p.geometry,
            self.x,
            self.weights,
            self.out,
            p.sizes.tokens,
            p.sizes.n,
            p.sizes.k,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warps_take_equally_many_chunks() {
        let found = [1, 512, 513, 896, 3584, 4864, 8960, 18_944].map(|k| warps(k, 10));
        assert_eq!(found, [1, 1, 2, 2, 7, 10, 9, 10]);
        assert_eq!(warps(18_944, 7), 7);
        assert_eq!(warps(8960, 6), 6);
        assert_eq!(warps(8960, 5), 5);
    }

    #[test]
    fn every_cta_fits_its_target() {
        for target in [Target::Sm75, Target::Sm80, Target::Sm90] {
            for variant in VARIANTS {
                for k in [1, 512, 8960, 18_944, 100_000] {
                    let found = variant.geometry(target, 3, 5, k);
                    assert!(found.shared_bytes <= most_shared(target), "{found:?}");
                    assert!(found.block[0] >= 32 && found.block[0] <= MOST_WARPS * 32);
                }
            }
        }
    }
}
