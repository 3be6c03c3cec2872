//! What the engine accepts from files and requests, and the checked arithmetic that every size goes through.
//!
//! Anything read from a file is untrusted: a size is computed here and compared with a limit or with the
//! file's length before memory is asked for.

use crate::error::{Error, Result};

/// Upper bounds on what a file or a request may ask for. One struct, used by every reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest JSON text file (config, index, tokenizer), in bytes.
    pub json_bytes: u64,
    /// Largest safetensors header, in bytes (the format's own cap).
    pub safetensors_header_bytes: u64,
    /// Largest number of shards.
    pub shards: u64,
    /// Largest number of tensors in a checkpoint.
    pub tensors: u64,
    /// Largest vocabulary.
    pub vocab: u64,
    /// Largest number of layers.
    pub layers: u64,
    /// Largest hidden or intermediate size.
    pub width: u64,
    /// Largest `max_position_embeddings`.
    pub positions: u64,
    /// Largest number of worker threads.
    pub threads: u64,
    /// Largest number of GGUF metadata keys.
    pub gguf_keys: u64,
    /// Largest GGUF metadata key, in bytes (the format's own cap).
    pub gguf_key_bytes: u64,
    /// Largest number of elements of a GGUF metadata array.
    pub gguf_array: u64,
    /// Largest GGUF string, in bytes.
    pub gguf_string_bytes: u64,
    /// Longest run of whitespace in a text to encode, in characters.
    pub whitespace_run: u64,
    /// Largest chat template, in bytes.
    pub template_bytes: u64,
    /// Steps that a chat template may run.
    pub template_fuel: u64,
    /// Bytes that a chat template may read and make in all its steps together.
    pub template_work: u64,
    /// Largest number of tokens in one tag of a chat template.
    pub template_tag_tokens: u64,
    /// Deepest nesting of lists and maps in a chat template.
    pub template_depth: u64,
    /// Largest rendered chat prompt, in bytes.
    pub rendered_bytes: u64,
}

/// The limits of this build.
pub const LIMITS: Limits = Limits {
    json_bytes: 64 << 20,
    safetensors_header_bytes: 100_000_000,
    shards: 1_000,
    tensors: 100_000,
    vocab: 1 << 20,
    layers: 1_024,
    width: 1 << 20,
    positions: 1 << 24,
    threads: 4_096,
    gguf_keys: 65_536,
    gguf_key_bytes: 65_535,
    gguf_array: 1 << 21,
    gguf_string_bytes: 16 << 20,
    whitespace_run: 500_000,
    template_bytes: 1 << 20,
    template_fuel: 5_000_000,
    template_work: 256 << 20,
    template_tag_tokens: 2_048,
    template_depth: 100,
    rendered_bytes: 16 << 20,
};

impl Limits {
    /// `found` if it is at most `limit`, else an error that names `what`.
    pub fn check(what: impl Into<String>, found: u64, limit: u64) -> Result<u64> {
        if found <= limit {
            Ok(found)
        } else {
            Err(Error::Limit {
                what: what.into(),
                found,
                limit,
            })
        }
    }
}

/// A size or offset in bytes or elements. Every operation that could wrap returns an error instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

impl Size {
    /// A size known to be right.
    pub const fn new(value: u64) -> Self {
        Size(value)
    }

    /// The value.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The product, or an error that names `what`.
    pub fn times(self, other: u64, what: &str) -> Result<Self> {
        self.0
            .checked_mul(other)
            .map(Size)
            .ok_or_else(|| Error::Overflow {
                what: what.to_string(),
                a: self.0,
                op: '*',
                b: other,
            })
    }

    /// The sum, or an error that names `what`.
    pub fn plus(self, other: u64, what: &str) -> Result<Self> {
        self.0
            .checked_add(other)
            .map(Size)
            .ok_or_else(|| Error::Overflow {
                what: what.to_string(),
                a: self.0,
                op: '+',
                b: other,
            })
    }

    /// The product of all dimensions (1 for rank 0), or an error that names `what`.
    pub fn product(dims: &[u64], what: &str) -> Result<Self> {
        dims.iter()
            .try_fold(Size(1), |size, &dim| size.times(dim, what))
    }

    /// As an index on this machine, or an error that names `what`.
    pub fn to_usize(self, what: &str) -> Result<usize> {
        usize::try_from(self.0).map_err(|_| Error::Limit {
            what: what.to_string(),
            found: self.0,
            limit: usize::MAX as u64,
        })
    }
}
