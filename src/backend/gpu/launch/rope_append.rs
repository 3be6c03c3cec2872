//! Rotation by position and append to the paged cache: `cuda/rope_append.cu`.

use half::{bf16, f16};

use super::check::{Check, VEC};
use crate::backend::gpu::kernels::Kernels;
use crate::config::engine::BLOCK_SIZE;
use crate::driver::{DeviceType, DriverError, Geometry, In, InOut, Launch, Out};
use crate::shape::Heads;

const THREADS: u32 = 128;

/// Rotates q and k of `qkv`, appends k and v to a layer's cache, writes q.
#[derive(Debug, Clone, Copy)]
pub struct RopeAppend<T: DeviceType> {
    /// T.
    pub tokens: usize,
    /// Head layout.
    pub heads: Heads,
    /// Blocks of the cache.
    pub blocks: usize,
    /// `(T, q + 2 kv)`.
    pub qkv: In<f32>,
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

/// The same with a bias on q, k and v, added before the rotation.
#[derive(Debug, Clone, Copy)]
pub struct BiasRopeAppend<T: DeviceType> {
    /// All but the bias.
    pub rope: RopeAppend<T>,
    /// `(q + 2 kv)`.
    pub bias: In<f32>,
}

type Stub<T> = fn(
    &Kernels,
    Geometry,
    In<f32>,
    In<f32>,
    In<u32>,
    Out<T>,
    InOut<T>,
    InOut<T>,
    u32,
    u32,
    u32,
) -> Result<Launch, DriverError>;
type BiasStub<T> = fn(
    &Kernels,
    Geometry,
    In<f32>,
    In<f32>,
    In<f32>,
    In<u32>,
    Out<T>,
    InOut<T>,
    InOut<T>,
    u32,
    u32,
    u32,
) -> Result<Launch, DriverError>;

/// A type that q and the cache may have.
pub trait RopeType: DeviceType {
    /// Its kernel.
    const ROPE_APPEND: Stub<Self>;
    /// Its kernel with a bias.
    const BIAS_ROPE_APPEND: BiasStub<Self>;
}

impl RopeType for f16 {
    const ROPE_APPEND: Stub<f16> = Kernels::rope_append_f16;
    const BIAS_ROPE_APPEND: BiasStub<f16> = Kernels::bias_rope_append_f16;
}

impl RopeType for bf16 {
    const ROPE_APPEND: Stub<bf16> = Kernels::rope_append_bf16;
    const BIAS_ROPE_APPEND: BiasStub<bf16> = Kernels::bias_rope_append_bf16;
}

/// Grid and head counts.
struct Prepared {
    geometry: Geometry,
    query: u32,
    kv: u32,
    dim: u32,
}

impl<T: RopeType> RopeAppend<T> {
    fn prepare(&self, check: Check) -> Result<Prepared, DriverError> {
        let Heads { query, kv, dim } = self.heads;
        if !dim.is_multiple_of(2) {
            return Err(check.error(format!("dim = {dim}, expected an even number")));
        }
        let tokens = ("tokens", self.tokens);
        let all = [
            tokens,
            ("query and 2 kv heads", query + 2 * kv),
            ("dim", dim),
        ];
        let tile = [
            ("blocks", self.blocks),
            ("kv heads", kv),
            ("block size", BLOCK_SIZE),
            ("dim", dim),
        ];
        let q = [tokens, ("query heads", query), ("dim", dim)];
        check.slice("qkv", self.qkv.ptr, self.qkv.len, &all)?;
        let angles = [tokens, ("dim", dim)];
        check.slice("cos_sin", self.cos_sin.ptr, self.cos_sin.len, &angles)?;
        let slots = self.slot_mapping;
        check.slice("slot_mapping", slots.ptr, slots.len, &[tokens])?;
        check.slice("q", self.q.ptr, self.q.len, &q)?;
        check.slice("keys", self.keys.ptr, self.keys.len, &tile)?;
        check.slice("values", self.values.ptr, self.values.len, &tile)?;
        let items = (query + 2 * kv) * (dim / 2).div_ceil(VEC as usize);
        let items = check.count("work items of a token", items)?;
        Ok(Prepared {
            geometry: check.rows(check.count("tokens", self.tokens)?, items, THREADS, 1)?,
            query: check.count("query heads", query)?,
            kv: check.count("kv heads", kv)?,
            dim: check.count("dim", dim)?,
        })
    }

    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let p = self.prepare(Check {
            kernel: "rope_append",
        })?;
        T::ROPE_APPEND(
            kernels,
            p.geometry,
            self.qkv,
            self.cos_sin,
            self.slot_mapping,
            self.q,
            self.keys,
            self.values,
            p.query,
            p.kv,
            p.dim,
        )
    }
}

impl<T: RopeType> BiasRopeAppend<T> {
    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let BiasRopeAppend { rope, bias } = *self;
        let check = Check {
            kernel: "bias_rope_append",
        };
        let p = rope.prepare(check)?;
        let shape = [
            ("query and 2 kv heads", rope.heads.query + 2 * rope.heads.kv),
            ("dim", rope.heads.dim),
        ];
        check.slice("bias", bias.ptr, bias.len, &shape)?;
        T::BIAS_ROPE_APPEND(
            kernels,
            p.geometry,
            rope.qkv,
            bias,
            rope.cos_sin,
            rope.slot_mapping,
            rope.q,
            rope.keys,
            rope.values,
            p.query,
            p.kv,
            p.dim,
        )
    }
}
