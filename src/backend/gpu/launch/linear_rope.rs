//! The product of q, k and v with rotation by position and the append to the paged cache: `cuda/linear_rope_append.cu`.

use half::{bf16, f16};

use super::check::Check;
use super::linear::{Product, bias_or_null};
use crate::backend::gpu::kernels::Kernels;
use crate::backend::gpu::pack::{TILE, plain_tiles};
use crate::config::engine::BLOCK_SIZE;
use crate::driver::{DeviceType, DriverError, Geometry, In, InOut, Launch, Out};
use crate::shape::Heads;

/// Where q, k and v go, and what is done on the way.
#[derive(Debug, Clone, Copy)]
pub struct RopeOut<T: DeviceType> {
    /// Head layout; dim is a multiple of 16.
    pub heads: Heads,
    /// Blocks of the cache.
    pub blocks: usize,
    /// `(q + 2 kv)`, added before the rotation.
    pub bias: Option<In<f32>>,
    /// `(T, 2, dim / 2)`: the cosines of a token's position, then the sines.
    pub cos_sin: In<f32>,
    /// `(T)`: distinct slots, block * 16 + position in the block, all inside the cache.
    pub slot_mapping: In<u32>,
    /// `(T, q)`.
    pub q: Out<T>,
    /// `(blocks, kv heads, 16, dim)`.
    pub keys: InOut<T>,
    /// `(blocks, kv heads, 16, dim)`.
    pub values: InOut<T>,
}

/// Heads as kernels take them, and the bias or null.
pub(super) struct RopeWords {
    pub bias: In<f32>,
    pub query: u32,
    pub kv: u32,
    pub dim: u32,
}

impl<T: DeviceType> RopeOut<T> {
    /// Rows of the matrix.
    pub fn n(&self) -> usize {
        self.heads.q_dim() + 2 * self.heads.kv_dim()
    }

    pub(super) fn check(&self, check: Check, tokens: usize) -> Result<RopeWords, DriverError> {
        let Heads { query, kv, dim } = self.heads;
        if !dim.is_multiple_of(TILE) {
            return Err(check.error(format!("dim = {dim}, expected a multiple of {TILE}")));
        }
        let tokens = ("tokens", tokens);
        let angles = [tokens, ("dim", dim)];
        check.slice("cos_sin", self.cos_sin.ptr, self.cos_sin.len, &angles)?;
        let slots = self.slot_mapping;
        check.slice("slot_mapping", slots.ptr, slots.len, &[tokens])?;
        let q = [tokens, ("query heads", query), ("dim", dim)];
        check.slice("q", self.q.ptr, self.q.len, &q)?;
        let tile = [
            ("blocks", self.blocks),
            ("kv heads", kv),
            ("block size", BLOCK_SIZE),
            ("dim", dim),
        ];
        check.slice("keys", self.keys.ptr, self.keys.len, &tile)?;
        check.slice("values", self.values.ptr, self.values.len, &tile)?;
        Ok(RopeWords {
            bias: bias_or_null(check, self.bias, self.n())?,
            query: check.count("query heads", query)?,
            kv: check.count("kv heads", kv)?,
            dim: check.count("dim", dim)?,
        })
    }
}

/// q, k and v of `x`, rotated where they are, to `rope`.
#[derive(Debug, Clone, Copy)]
pub struct LinearRopeAppend<T: DeviceType> {
    /// T.
    pub tokens: usize,
    /// Elements of a row of the matrix.
    pub k: usize,
    /// `(T, k)`.
    pub x: In<T>,
    /// Packed from `(q + 2 kv, k)` for heads, as `gpu::pack` does.
    pub weights: In<T>,
    /// Where it goes.
    pub rope: RopeOut<T>,
}

type Stub<T> = fn(
    &Kernels,
    Geometry,
    In<T>,
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
) -> Result<Launch, DriverError>;

/// A type of matrices and of the cache: its kernels, one for each variant of a product.
pub trait LinearRopeType: DeviceType {
    /// In the order of the variants.
    const LINEAR_ROPE_APPEND: [Stub<Self>; 5];
}

impl LinearRopeType for f16 {
    const LINEAR_ROPE_APPEND: [Stub<f16>; 5] = [
        Kernels::linear_rope_append_f16_t8,
        Kernels::linear_rope_append_f16_t16,
        Kernels::linear_rope_append_f16_t32,
        Kernels::linear_rope_append_f16_t64,
        Kernels::linear_rope_append_f16_t128,
    ];
}

impl LinearRopeType for bf16 {
    const LINEAR_ROPE_APPEND: [Stub<bf16>; 5] = [
        Kernels::linear_rope_append_bf16_t8,
        Kernels::linear_rope_append_bf16_t16,
        Kernels::linear_rope_append_bf16_t32,
        Kernels::linear_rope_append_bf16_t64,
        Kernels::linear_rope_append_bf16_t128,
    ];
}

impl<T: LinearRopeType> LinearRopeAppend<T> {
    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let check = Check {
            kernel: "linear_rope_append",
        };
        let rope = &self.rope;
        let words = rope.check(check, self.tokens)?;
        let product = Product {
            check,
            tokens: self.tokens,
            n: rope.n(),
            k: self.k,
            row_tiles: plain_tiles(rope.n()),
            x: self.x,
            weights: self.weights,
        };
        let p = product.prepare(kernels.target())?;
        T::LINEAR_ROPE_APPEND[p.variant](
            kernels,
            p.geometry,
            self.x,
            self.weights,
            words.bias,
            rope.cos_sin,
            rope.slot_mapping,
            rope.q,
            rope.keys,
            rope.values,
            p.sizes.tokens,
            p.sizes.k,
            words.query,
            words.kv,
            words.dim,
        )
    }
}
