//! Causal attention over the paged cache: `cuda/flash_attention.cu` for many tokens of a sequence, `cuda/paged_attention.cu`
//! for few. Both give a row the same bits, so which one runs is a matter of speed alone.

use half::{bf16, f16};

use super::check::Check;
use crate::backend::SequenceSpan;
use crate::backend::gpu::kernels::Kernels;
use crate::config::engine::BLOCK_SIZE;
use crate::driver::{DeviceType, DriverError, Geometry, In, InOut, Launch, Out, Target};
use crate::shape::Heads;

/// Positions of a chunk (`CHUNK` of `cuda/common/attention.cuh`): part of the definition.
pub const CHUNK: usize = 256;
/// Positions of a tile.
const TILE: usize = 64;
/// Rows of a warp's tile, which is a CTA's of `paged_attention`.
const ROWS: usize = 16;
/// Rows of a CTA of `flash_attention`.
const FLASH_ROWS: usize = 64;
const THREADS: u32 = 128;
/// Most CTAs in y and in z.
const MOST: usize = 65_535;
/// Bytes of an element of the matrix types.
const ELEMENT: usize = 2;
/// Words of a span on the device.
const SPAN: usize = 4;

/// The spans as the kernels read them: first token, tokens, cached positions, where the block table starts.
pub fn span_words(spans: &[SequenceSpan]) -> Result<Vec<u32>, DriverError> {
    let check = Check {
        kernel: "attention",
    };
    let mut words = Vec::with_capacity(spans.len() * SPAN);
    let mut first = 0;
    for span in spans {
        let all = [
            ("first token", first),
            ("tokens", span.tokens),
            ("cached positions", span.cached),
            ("start of the block table", span.table_start),
        ];
        for (name, x) in all {
            let word = u32::try_from(x).map_err(|_| {
                let most = u32::MAX;
                check.error(format!("{name} = {x} of a span, expected at most {most}"))
            })?;
            words.push(word);
        }
        first += span.tokens;
    }
    Ok(words)
}

/// Attention of every token of q over the keys that it may see, by one launch: for sequences of many tokens.
#[derive(Debug, Clone, Copy)]
pub struct FlashAttention<T: DeviceType> {
    /// T.
    pub tokens: usize,
    /// Head layout; dim is 64 or 128.
    pub heads: Heads,
    /// Blocks of the cache.
    pub blocks: usize,
    /// Sequences.
    pub sequences: usize,
    /// Most tokens of a sequence.
    pub longest: usize,
    /// Most positions of a sequence, its tokens among them.
    pub context: usize,
    /// `(T, q)`.
    pub q: In<T>,
    /// `(blocks, kv heads, 16, dim)`: positions of the sequences alone are read.
    pub keys: In<T>,
    /// `(blocks, kv heads, 16, dim)`.
    pub values: In<T>,
    /// The block tables of all sequences; each entry is below `blocks`.
    pub block_tables: In<u32>,
    /// `(sequences, 4)`, as [`span_words`] gives them: inside of q and of `block_tables`, which the host checks.
    pub spans: In<u32>,
    /// `(T, q)`.
    pub out: Out<T>,
}

/// The same by a launch over chunks, which are merged where they end: for sequences of few tokens.
#[derive(Debug, Clone, Copy)]
pub struct PagedAttention<T: DeviceType> {
    /// All but what chunks meet in.
    pub attention: FlashAttention<T>,
    /// `(T, query heads, PagedAttention::chunks(context), dim + 2)`: written, then read.
    pub partial: InOut<f32>,
    /// `PagedAttention::tiles(heads, longest)` for each sequence: zeros, before and after.
    pub arrived: InOut<u32>,
}

type FlashStub<T> = fn(
    &Kernels,
    Geometry,
    In<T>,
    In<T>,
    In<T>,
    In<u32>,
    In<u32>,
    Out<T>,
    u32,
    u32,
) -> Result<Launch, DriverError>;
type PagedStub<T> = fn(
    &Kernels,
    Geometry,
    In<T>,
    In<T>,
    In<T>,
    In<u32>,
    In<u32>,
    InOut<f32>,
    InOut<u32>,
    Out<T>,
    u32,
    u32,
    u32,
) -> Result<Launch, DriverError>;

/// Head dims that attention has kernels for.
pub const HEAD_DIMS: [usize; 2] = [64, 128];

/// A type that q and the cache may have.
pub trait AttentionType: DeviceType {
    /// Its kernels for many tokens, by head dim.
    const FLASH: [(usize, FlashStub<Self>); 2];
    /// Its kernels for few tokens, by head dim.
    const PAGED: [(usize, PagedStub<Self>); 2];
}

impl AttentionType for f16 {
    const FLASH: [(usize, FlashStub<f16>); 2] = [
        (HEAD_DIMS[0], Kernels::flash_attention_f16_d64),
        (HEAD_DIMS[1], Kernels::flash_attention_f16_d128),
    ];
    const PAGED: [(usize, PagedStub<f16>); 2] = [
        (HEAD_DIMS[0], Kernels::paged_attention_f16_d64),
        (HEAD_DIMS[1], Kernels::paged_attention_f16_d128),
    ];
}

impl AttentionType for bf16 {
    const FLASH: [(usize, FlashStub<bf16>); 2] = [
        (HEAD_DIMS[0], Kernels::flash_attention_bf16_d64),
        (HEAD_DIMS[1], Kernels::flash_attention_bf16_d128),
    ];
    const PAGED: [(usize, PagedStub<bf16>); 2] = [
        (HEAD_DIMS[0], Kernels::paged_attention_bf16_d64),
        (HEAD_DIMS[1], Kernels::paged_attention_bf16_d128),
    ];
}

/// The kernel for heads of `dim`.
fn by_dim<S: Copy>(check: Check, kernels: [(usize, S); 2], dim: usize) -> Result<S, DriverError> {
    let found = kernels.iter().find(|(of, _)| *of == dim);
    found.map(|(_, stub)| *stub).ok_or_else(|| {
        let dims = kernels.map(|(of, _)| of.to_string()).join(" and ");
        check.error(format!(
            "head dim {dim}: there are kernels for {dims} alone"
        ))
    })
}

/// Shared memory of `rows` queries and of `tiles` tiles of keys or values.
fn shared_bytes(rows: usize, tiles: usize, dim: usize) -> u32 {
    ((rows + tiles * TILE) * dim * ELEMENT) as u32
}

/// Tiles that `flash_attention` has in shared memory at once: keys and values of each of its `STAGES`.
fn flash_tiles(target: Target) -> usize {
    if target >= Target::Sm80 { 4 } else { 2 }
}

/// The same of `paged_attention`: its `stages_for`.
fn paged_tiles(target: Target, dim: usize) -> usize {
    match target {
        Target::Sm75 => 1,
        // No more for a card with 99 KB a CTA.
        Target::Sm80 if dim == 128 => 4,
        Target::Sm80 | Target::Sm90 => 8,
    }
}

/// Counts of a launch, checked.
struct Counts {
    query: u32,
    kv: u32,
    sequences: u32,
    /// Rows of the longest sequence for one KV head.
    rows: usize,
}

impl<T: AttentionType> FlashAttention<T> {
    fn counts(&self, check: Check) -> Result<Counts, DriverError> {
        let Heads { query, kv, dim } = self.heads;
        let tokens = ("tokens", self.tokens);
        let q = [tokens, ("query heads", query), ("dim", dim)];
        let tile = [
            ("blocks", self.blocks),
            ("kv heads", kv),
            ("block size", BLOCK_SIZE),
            ("dim", dim),
        ];
        check.slice("q", self.q.ptr, self.q.len, &q)?;
        check.slice("keys", self.keys.ptr, self.keys.len, &tile)?;
        check.slice("values", self.values.ptr, self.values.len, &tile)?;
        let tables = self.block_tables;
        let entries = [("entries", tables.len)];
        check.slice("block_tables", tables.ptr, tables.len, &entries)?;
        let words = [("sequences", self.sequences), ("words", SPAN)];
        check.slice("spans", self.spans.ptr, self.spans.len, &words)?;
        check.slice("out", self.out.ptr, self.out.len, &q)?;
        check.count("tokens", self.tokens)?;
        check.count_to("longest", self.longest, self.tokens)?;
        check.count("context", self.context)?;
        check.count("slots", self.blocks.saturating_mul(BLOCK_SIZE))?;
        let counts = Counts {
            query: check.count("query heads", query)?,
            kv: check.count("kv heads", kv)?,
            sequences: check.count_to("sequences", self.sequences, MOST)?,
            rows: self.longest.saturating_mul(self.heads.group()),
        };
        if !query.is_multiple_of(kv) {
            return Err(check.error(format!("{query} query heads, expected a multiple of {kv}")));
        }
        check.count("rows of a sequence", counts.rows)?;
        Ok(counts)
    }

    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let check = Check {
            kernel: "flash_attention",
        };
        let stub = by_dim(check, T::FLASH, self.heads.dim)?;
        let counts = self.counts(check)?;
        let tiles = check.count("tiles", counts.rows.div_ceil(FLASH_ROWS))?;
        check.count_to("kv heads", self.heads.kv, MOST)?;
        let geometry = Geometry {
            grid: [tiles, counts.kv, counts.sequences],
            block: [THREADS, 1, 1],
            shared_bytes: shared_bytes(FLASH_ROWS, flash_tiles(kernels.target()), self.heads.dim),
        };
        stub(
            kernels,
            geometry,
            self.q,
            self.keys,
            self.values,
            self.block_tables,
            self.spans,
            self.out,
            counts.query,
            counts.kv,
        )
    }
}

impl<T: AttentionType> PagedAttention<T> {
    /// Chunks that a context is split into.
    pub fn chunks(context: usize) -> usize {
        context.div_ceil(CHUNK)
    }

    /// Tiles of 16 rows of all KV heads, for a sequence of `longest` tokens.
    pub fn tiles(heads: Heads, longest: usize) -> usize {
        let group = heads.query.checked_div(heads.kv).unwrap_or(0);
        let rows = longest.saturating_mul(group);
        heads.kv.saturating_mul(rows.div_ceil(ROWS))
    }

    /// Whether this is the faster way for sequences of up to `longest` tokens: as long as one tile holds their rows.
    pub fn suits(heads: Heads, longest: usize) -> bool {
        longest <= 1 || longest.saturating_mul(heads.group()) <= ROWS
    }

    /// The launch.
    pub fn launch(&self, kernels: &Kernels) -> Result<Launch, DriverError> {
        let PagedAttention {
            attention: all,
            partial,
            arrived,
        } = *self;
        let check = Check {
            kernel: "paged_attention",
        };
        let dim = all.heads.dim;
        let stub = by_dim(check, T::PAGED, dim)?;
        let counts = all.counts(check)?;
        let chunks = Self::chunks(all.context);
        let shape = [
            ("tokens", all.tokens),
            ("query heads", all.heads.query),
            ("chunks", chunks),
            ("dim and 2", dim + 2),
        ];
        check.slice("partial", partial.ptr, partial.len, &shape)?;
        let chunks = check.count("chunks", chunks)?;
        let tiles = Self::tiles(all.heads, all.longest);
        let shape = [("sequences", all.sequences), ("row tiles", tiles)];
        check.slice("arrived", arrived.ptr, arrived.len, &shape)?;
        let tiles = check.count_to("row tiles of all kv heads", tiles, MOST)?;
        let geometry = Geometry {
            grid: [chunks, tiles, counts.sequences],
            block: [THREADS, 1, 1],
            shared_bytes: shared_bytes(ROWS, paged_tiles(kernels.target(), dim), dim),
        };
        stub(
            kernels,
            geometry,
            all.q,
            all.keys,
            all.values,
            all.block_tables,
            all.spans,
            partial,
            arrived,
            all.out,
            counts.query,
            counts.kv,
            chunks,
        )
    }
}
