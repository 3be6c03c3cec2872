//! What a Qwen2 GGUF says about its model, and the refusal of what would change the result.

use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};

use super::header::Header;
use super::metadata::{Metadata, Value};

/// The sizes and constants of one model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Architecture {
    /// Decoder layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Width of the feed-forward layer.
    pub intermediate: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Longest sequence the model was made for.
    pub context: u32,
    /// Tokens, the rows of the embedding.
    pub vocab: u32,
    /// Epsilon of every RMS norm.
    pub rms_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
}

impl Architecture {
    /// Reads and checks the metadata of `header`.
    pub fn read(header: &Header) -> Result<Self> {
        let metadata = &header.metadata;
        refuse_other_files(metadata)?;
        refuse_unknown_keys(metadata)?;
        let heads = size(metadata, "qwen2.attention.head_count", LIMITS.width)?;
        let kv_heads = match metadata.get("qwen2.attention.head_count_kv") {
            // The specification: absent means that every query head has keys of its own.
            None => heads,
            Some(_) => size(metadata, "qwen2.attention.head_count_kv", LIMITS.width)?,
        };
        let model = Architecture {
            layers: size(metadata, "qwen2.block_count", LIMITS.layers)?,
            hidden: size(metadata, "qwen2.embedding_length", LIMITS.width)?,
            intermediate: size(metadata, "qwen2.feed_forward_length", LIMITS.width)?,
            heads,
            kv_heads,
            context: size(metadata, "qwen2.context_length", LIMITS.positions)?,
            vocab: vocab(metadata)?,
            rms_eps: positive(metadata, "qwen2.attention.layer_norm_rms_epsilon")?,
            rope_theta: positive(metadata, "qwen2.rope.freq_base")?,
        };
        model.check_heads(metadata)?;
        Ok(model)
    }

    /// Elements of one head.
    pub fn head_dim(&self) -> u32 {
        self.hidden / self.heads
    }

    /// Rows of the key and value projections.
    pub fn kv_dim(&self) -> u32 {
        self.head_dim().saturating_mul(self.kv_heads)
    }

    fn check_heads(&self, metadata: &Metadata) -> Result<()> {
        let multiple = |key: &str, of: u32, by: u32| {
            if of.is_multiple_of(by) {
                return Ok(());
            }
            Err(Error::malformed(
                metadata.file(),
                key,
                of,
                format!("a multiple of {by}"),
            ))
        };
        multiple(
            "qwen2.embedding_length (by qwen2.attention.head_count)",
            self.hidden,
            self.heads,
        )?;
        multiple(
            "qwen2.attention.head_count (by qwen2.attention.head_count_kv)",
            self.heads,
            self.kv_heads,
        )?;
        let head_keys = [
            "qwen2.attention.key_length",
            "qwen2.attention.value_length",
            "qwen2.rope.dimension_count",
        ];
        for key in head_keys {
            if let Some(found) = metadata.u32(key)?
                && found != self.head_dim()
            {
                let expected = format!("{}, embedding_length / head_count", self.head_dim());
                return Err(Error::unsupported(metadata.file(), key, found, expected));
            }
        }
        Ok(())
    }
}

fn refuse_other_files(metadata: &Metadata) -> Result<()> {
    let one_of = |key: &str, only: &str, required: bool| match metadata.string(key)? {
        Some(found) if found != only => Err(Error::unsupported(metadata.file(), key, found, only)),
        None if required => metadata.required(key, None),
        _ => Ok(()),
    };
    one_of("general.architecture", "qwen2", true)?;
    one_of("general.type", "model", false)?;
    match metadata.get("split.count") {
        None | Some(Value::U16(0 | 1)) => Ok(()),
        Some(Value::U16(parts)) => {
            let supported = "1; join the parts with `llama-gguf-split --merge` first";
            Err(Error::unsupported(
                metadata.file(),
                "split.count",
                parts,
                supported,
            ))
        }
        Some(other) => {
            let field = "type of metadata key split.count";
            Err(Error::malformed(
                metadata.file(),
                field,
                other.type_name(),
                "UINT16",
            ))
        }
    }
}

/// Keys that say what `Architecture` or the tensor shapes already hold, or nothing about the result.
const KNOWN: [&str; 16] = [
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "rope.freq_base",
    "rope.dimension_count",
    // Meaningless without a scaling type, which is refused below.
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    // How the converter ordered the file's tensors; they are read by name.
    "tensor_data_layout",
    "use_parallel_residual",
];

/// An unknown key of the architecture may change the result, so it is refused by name unless its value is the
/// one that means "off".
fn refuse_unknown_keys(metadata: &Metadata) -> Result<()> {
    for (key, value) in metadata.iter() {
        let Some(rest) = key.strip_prefix("qwen2.") else {
            continue;
        };
        let off = match (rest, value) {
            ("rope.scaling.type", Value::String(kind)) => kind == "none",
            ("rope.scaling.factor" | "rope.scale_linear", Value::F32(factor)) => *factor == 1.0,
            ("attention.sliding_window", Value::U32(window)) => *window == 0,
            ("attention.causal", Value::Bool(causal)) => *causal,
            _ => KNOWN.contains(&rest),
        };
        if !off {
            let supported =
                "plain rotary positions and full causal attention; no such key, or its off value";
            return Err(Error::unsupported(
                metadata.file(),
                key,
                shown(value),
                supported,
            ));
        }
    }
    Ok(())
}

/// A value, short enough for an error message.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        Value::U32(number) => number.to_string(),
        Value::F32(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        other => other.type_name(),
    }
}

fn size(metadata: &Metadata, key: &str, limit: u64) -> Result<u32> {
    let found = metadata.required(key, metadata.u32(key)?)?;
    if found == 0 {
        return Err(Error::malformed(metadata.file(), key, 0, "at least 1"));
    }
    Limits::check(
        format!("{}: {key}", metadata.file().display()),
        u64::from(found),
        limit,
    )?;
    Ok(found)
}

fn positive(metadata: &Metadata, key: &str) -> Result<f32> {
    let found = metadata.required(key, metadata.f32(key)?)?;
    if found.is_finite() && found > 0.0 {
        return Ok(found);
    }
    Err(Error::malformed(
        metadata.file(),
        key,
        found,
        "a finite number above 0",
    ))
}

fn vocab(metadata: &Metadata) -> Result<u32> {
    let key = "tokenizer.ggml.tokens";
    let count = metadata.required(key, metadata.strings(key)?)?.len() as u64;
    let what = format!("{}: elements of {key}", metadata.file().display());
    let count = Limits::check(what, count, LIMITS.vocab)?;
    if let Some(said) = metadata.u32("qwen2.vocab_size")?
        && u64::from(said) != count
    {
        let expected = format!("{count}, the length of {key}");
        return Err(Error::malformed(
            metadata.file(),
            "qwen2.vocab_size",
            said,
            expected,
        ));
    }
    // Below the limit, so it fits.
    Ok(count as u32)
}
