//! Embedding gather: `cuda/embed.cu`.

use half::{bf16, f16};

use super::check::{Check, VEC};
use crate::backend::gpu::kernels::Kernels;
use crate::driver::{DeviceType, DriverError, Geometry, In, Launch, Out};

const THREADS: u32 = 128;

/// `out[t] = table[token_ids[t]]`. The host has checked that every id is below `vocab`, or `DRAWN` and a place in `drawn`.
#[derive(Debug, Clone, Copy)]
pub struct Embed<T: DeviceType> {
    /// T.
    pub tokens: usize,
    /// Rows of the table.
    pub vocab: usize,
    /// Elements of a row.
    pub hidden: usize,
    /// `(T)`.
    pub token_ids: In<u32>,
    /// `(rows)`: what the ids that are `DRAWN` stand for.
    pub drawn: In<u32>,
    /// `(vocab, hidden)`.
    pub table: In<T>,
    /// `(T, hidden)`.
    pub out: Out<f32>,
}

type Stub<T> = fn(
    &Kernels,
    Geometry,
    In<u32>,
    In<u32>,
    In<T>,
    Out<f32>,
    u32,
    u32,
) -> Result<Launch, DriverError>;

/// A type that a table may have.
pub trait EmbedType: DeviceType {
    /// Its kernel.
    const EMBED: Stub<Self>;
}

impl EmbedType for f32 {
    const EMBED: Stub<f32> = Kernels::embed_f32;
}

impl EmbedType for f16 {
    const EMBED: Stub<f16> = Kernels::embed_f16;
}

impl EmbedType for bf16 {
    const EMBED: Stub<bf16> = Kernels::embed_bf16;
}

impl<T: EmbedType> Embed<T> {
    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let Embed {
            token_ids: ids,
            drawn,
            table,
            out,
            ..
        } = *self;
        let check = Check { kernel: "embed" };
        let tokens = ("tokens", self.tokens);
        let hidden = ("hidden", self.hidden);
        let vocab = ("vocab", self.vocab);
        check.slice("token_ids", ids.ptr, ids.len, &[tokens])?;
        check.slice("table", table.ptr, table.len, &[vocab, hidden])?;
        check.slice("out", out.ptr, out.len, &[tokens, hidden])?;
        let n = check.count("hidden", self.hidden)?;
        let geometry = check.rows(check.count("tokens", self.tokens)?, n, THREADS, VEC)?;
        let vocab = check.count("vocab", self.vocab)?;
        T::EMBED(kernels, geometry, ids, drawn, table, out, vocab, n)
    }
}
