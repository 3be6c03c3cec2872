//! The launches of each kernel, made by the code that ships, and the bytes that it has to move.

use qwarp::backend::gpu::kernels::Kernels;
use qwarp::backend::gpu::launch::{
    AddRmsNorm, Argmax, BiasRopeAppend, Embed, MatrixType, RmsNorm, RopeAppend, SiluMul,
};
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::driver::{Launch, Result};

use super::buffers::Buffers;
use super::sizes::{Model, Op};

const EPS: f32 = 1e-6;
/// Bytes of the residual stream's elements, and of angles, logits and indices.
const WIDE: usize = 4;

/// What is timed as one.
pub struct Work {
    pub launches: Vec<Launch>,
    /// Bytes that any implementation has to read and write.
    pub bytes: usize,
}

/// An op for `rows` rows of a model, and where it runs.
pub struct Shape<'a> {
    pub op: Op,
    pub model: &'a Model,
    pub rows: usize,
}

impl Shape<'_> {
    /// Its launches, on memory of its own.
    pub fn build<T: MatrixType>(&self, memory: &Buffers<'_>, kernels: &Kernels) -> Result<Work> {
        match self.op {
            Op::Embed => self.embed::<T>(memory, kernels),
            Op::RmsNorm => self.rms_norm::<T>(memory, kernels),
            Op::AddRmsNorm => self.add_rms_norm::<T>(memory, kernels),
            Op::SiluMul => self.silu_mul::<T>(memory, kernels),
            Op::RopeAppend | Op::BiasRopeAppend => self.rope_append::<T>(memory, kernels),
            Op::Argmax => self.argmax(memory, kernels),
        }
    }

    fn embed<T: MatrixType>(&self, memory: &Buffers<'_>, kernels: &Kernels) -> Result<Work> {
        let (rows, n, vocab) = (self.rows, self.model.hidden, self.model.vocab);
        let launch = Embed::<T> {
            tokens: rows,
            vocab,
            hidden: n,
            token_ids: memory.numbers(rows, vocab, 7919)?,
            table: memory.input(vocab * n)?,
            out: memory.output(rows * n)?,
        };
        Ok(Work {
            launches: vec![launch.launch(kernels)?],
            bytes: rows * (n * (size_of::<T>() + WIDE) + WIDE),
        })
    }

    fn rms_norm<T: MatrixType>(&self, memory: &Buffers<'_>, kernels: &Kernels) -> Result<Work> {
        let (rows, n) = (self.rows, self.model.hidden);
        let launch = RmsNorm::<T> {
            rows,
            n,
            eps: EPS,
            x: memory.input(rows * n)?,
            weight: memory.input(n)?,
            out: memory.output(rows * n)?,
        };
        Ok(Work {
            launches: vec![launch.launch(kernels)?],
            bytes: rows * n * (WIDE + size_of::<T>()) + n * WIDE,
        })
    }

    fn add_rms_norm<T: MatrixType>(&self, memory: &Buffers<'_>, kernels: &Kernels) -> Result<Work> {
        let (rows, n) = (self.rows, self.model.hidden);
        let launch = AddRmsNorm::<T> {
            rows,
            n,
            eps: EPS,
            x: memory.in_out(rows * n)?,
            delta: memory.input(rows * n)?,
            weight: memory.input(n)?,
            out: memory.output(rows * n)?,
        };
        Ok(Work {
            launches: vec![launch.launch(kernels)?],
            bytes: rows * n * (3 * WIDE + size_of::<T>()) + n * WIDE,
        })
    }

    fn silu_mul<T: MatrixType>(&self, memory: &Buffers<'_>, kernels: &Kernels) -> Result<Work> {
        let (rows, n) = (self.rows, self.model.inner);
        let launch = SiluMul::<T> {
            rows,
            n,
            gate_up: memory.input(2 * rows * n)?,
            out: memory.output(rows * n)?,
        };
        Ok(Work {
            launches: vec![launch.launch(kernels)?],
            bytes: rows * n * (2 * WIDE + size_of::<T>()),
        })
    }

    fn rope_append<T: MatrixType>(&self, memory: &Buffers<'_>, kernels: &Kernels) -> Result<Work> {
        let (rows, heads) = (self.rows, self.model.heads);
        let blocks = rows.div_ceil(BLOCK_SIZE);
        let cols = heads.q_dim() + 2 * heads.kv_dim();
        let cache = blocks * BLOCK_SIZE * heads.kv_dim();
        let rope = RopeAppend::<T> {
            tokens: rows,
            heads,
            blocks,
            qkv: memory.input(rows * cols)?,
            cos_sin: memory.input(rows * heads.dim)?,
            slot_mapping: memory.numbers(rows, blocks * BLOCK_SIZE, 1)?,
            q: memory.output(rows * heads.q_dim())?,
            keys: memory.in_out(cache)?,
            values: memory.in_out(cache)?,
        };
        let bytes = rows * (cols * (WIDE + size_of::<T>()) + heads.dim * WIDE + WIDE);
        if self.op == Op::RopeAppend {
            let launches = vec![rope.launch(kernels)?];
            return Ok(Work { launches, bytes });
        }
        let bias = memory.input(cols)?;
        Ok(Work {
            launches: vec![BiasRopeAppend { rope, bias }.launch(kernels)?],
            bytes: bytes + cols * WIDE,
        })
    }

    fn argmax(&self, memory: &Buffers<'_>, kernels: &Kernels) -> Result<Work> {
        let (rows, vocab) = (self.rows, self.model.vocab);
        let launch = Argmax {
            rows,
            vocab,
            logits: memory.input(rows * vocab)?,
            partial: memory.output(rows * Argmax::parts(vocab))?,
            tokens: memory.output(rows)?,
        };
        Ok(Work {
            launches: launch.launches(kernels)?.into(),
            bytes: rows * (vocab + 1) * WIDE,
        })
    }
}
