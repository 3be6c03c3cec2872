//! `config.json` of a Qwen2 checkpoint, in the classic spelling and in the one transformers 5 writes.
//!
//! A field that changes the result is either understood or refused by name; a field known not to change it
//! is ignored; a field nobody has looked at is refused, because guessing is how silent wrong answers start.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json::JsonFile;
use crate::DType;
use crate::error::{Error, Result};
use crate::limits::LIMITS;

/// The architecture, with the names Hugging Face uses, validated once.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The file it was read from, for errors that come later.
    pub path: PathBuf,
    /// The registry key, `Qwen2ForCausalLM`.
    pub architecture: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Longest sequence the model was made for.
    pub max_position_embeddings: usize,
    /// RMSNorm epsilon.
    pub rms_norm_eps: f32,
    /// RoPE base.
    pub rope_theta: f64,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
    /// The type the authors stored, if they say so.
    pub dtype: Option<DType>,
    /// End-of-sequence tokens, used when `generation_config.json` has none.
    pub eos_token_ids: Vec<u32>,
}

/// Fields that are read here.
const READ: &[&str] = &[
    "architectures",
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_parameters",
    "rope_scaling",
    "tie_word_embeddings",
    "torch_dtype",
    "dtype",
    "eos_token_id",
    "hidden_act",
    "use_sliding_window",
    "layer_types",
    "use_mrope",
    "quantization_config",
    "attention_bias",
    "mlp_bias",
];

/// Fields known not to change the logits of a causal forward pass.
const HARMLESS: &[&str] = &[
    "bos_token_id",
    "pad_token_id",
    "sep_token_id",
    "cls_token_id",
    "decoder_start_token_id",
    "transformers_version",
    "use_cache",
    "attention_dropout",
    "initializer_range",
    "max_window_layers",
    "sliding_window",
    "attn_implementation",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "torchscript",
    "pretraining_tp",
    "tokenizer_class",
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "finetuning_task",
    "task_specific_params",
    "is_decoder",
    "is_encoder_decoder",
    "add_cross_attention",
    "cross_attention_hidden_size",
    "tie_encoder_decoder",
    "chunk_size_feed_forward",
    "pruned_heads",
    "prefix",
    "name_or_path",
    "auto_map",
    "unsloth_version",
    "unsloth_fixed",
    "seq_length",
    "keys_to_ignore_at_inference",
];

impl ModelConfig {
    /// Reads and validates `folder/config.json`.
    pub fn read(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            let expected = "a model folder with config.json, *.safetensors and tokenizer.json";
            return Err(Error::malformed(
                folder,
                "model",
                "no such folder",
                expected,
            ));
        }
        Self::from_json(&JsonFile::read(&folder.join("config.json"))?)
    }

    /// Validates a `config.json` that has been read.
    pub fn from_json(file: &JsonFile) -> Result<Self> {
        refuse_unknown(file)?;
        let architecture = architecture(file)?;
        refuse_what_changes_the_result(file)?;

        let width = |key: &str| file.dimension(key, LIMITS.width);
        let hidden_size = width("hidden_size")?;
        let num_attention_heads = width("num_attention_heads")?;
        let num_key_value_heads = width("num_key_value_heads")?;
        let config = ModelConfig {
            architecture,
            hidden_size,
            intermediate_size: width("intermediate_size")?,
            num_hidden_layers: file.dimension("num_hidden_layers", LIMITS.layers)?,
            num_attention_heads,
            num_key_value_heads,
            head_dim: head_dim(file, hidden_size, num_attention_heads)?,
            vocab_size: file.dimension("vocab_size", LIMITS.vocab)?,
            max_position_embeddings: file.dimension("max_position_embeddings", LIMITS.positions)?,
            rms_norm_eps: positive(file, "rms_norm_eps")? as f32,
            rope_theta: rope_theta(file)?,
            tie_word_embeddings: file.boolean("tie_word_embeddings")?.unwrap_or(false),
            dtype: dtype(file)?,
            eos_token_ids: file.ids("eos_token_id")?,
            path: file.path().to_path_buf(),
        };
        config.check_heads()?;
        Ok(config)
    }

    /// Width of all query heads together.
    pub fn q_dim(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key heads together; the values' is the same.
    pub fn kv_dim(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    fn check_heads(&self) -> Result<()> {
        if !self
            .num_attention_heads
            .is_multiple_of(self.num_key_value_heads)
        {
            return Err(Error::malformed(
                &self.path,
                "num_key_value_heads",
                self.num_key_value_heads,
                format!(
                    "a divisor of num_attention_heads = {}",
                    self.num_attention_heads
                ),
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::malformed(
                &self.path,
                "head_dim",
                self.head_dim,
                "an even number (RoPE pairs)",
            ));
        }
        for (name, heads) in [
            ("num_attention_heads * head_dim", self.num_attention_heads),
            ("num_key_value_heads * head_dim", self.num_key_value_heads),
        ] {
            let width = heads as u64 * self.head_dim as u64;
            crate::limits::Limits::check(
                format!("{}: {name}", self.path.display()),
                width,
                LIMITS.width,
            )?;
        }
        Ok(())
    }
}

fn refuse_unknown(file: &JsonFile) -> Result<()> {
    for key in file.keys() {
        if !key.starts_with('_')
            && !READ.contains(&key)
            && !HARMLESS.contains(&key)
            && file.get(key).is_some()
        {
            let found = file.get(key).map(Value::to_string).unwrap_or_default();
            return Err(Error::unsupported(
                file.path(),
                key,
                found,
                "fields of Qwen2ForCausalLM; delete this one if it does not change the result",
            ));
        }
    }
    Ok(())
}

fn architecture(file: &JsonFile) -> Result<String> {
    let supported = crate::model::ARCHITECTURES.join(", ");
    let name = match file.get("architectures") {
        Some(Value::Array(items)) if items.len() == 1 => items[0].as_str().map(str::to_string),
        Some(other) => return Err(file.wrong("architectures", other, "a list of one name")),
        None => None,
    };
    let name = name.ok_or_else(|| {
        Error::malformed(
            file.path(),
            "architectures",
            "nothing",
            "[\"Qwen2ForCausalLM\"]",
        )
    })?;
    if !crate::model::ARCHITECTURES.contains(&name.as_str()) {
        return Err(Error::unsupported(
            file.path(),
            "architectures",
            name,
            supported,
        ));
    }
    match file.string("model_type")? {
        None | Some("qwen2") => Ok(name),
        Some(other) => Err(Error::unsupported(
            file.path(),
            "model_type",
            other,
            "qwen2",
        )),
    }
}

/// Each of these would change the logits; the value that leaves them alone is accepted.
fn refuse_what_changes_the_result(file: &JsonFile) -> Result<()> {
    if let Some(value) = file.get("quantization_config") {
        let method = value
            .get("quant_method")
            .and_then(Value::as_str)
            .unwrap_or("unknown")
            .to_string();
        return Err(Error::unsupported(
            file.path(),
            "quantization_config.quant_method",
            method,
            "plain bf16, f16 or f32 tensors",
        ));
    }
    for (key, neutral) in [
        ("use_sliding_window", false),
        ("use_mrope", false),
        ("attention_bias", true),
        ("mlp_bias", false),
    ] {
        if let Some(value) = file.boolean(key)?
            && value != neutral
        {
            return Err(Error::unsupported(file.path(), key, value, neutral));
        }
    }
    match file.string("hidden_act")? {
        None | Some("silu") => {}
        Some(other) => return Err(Error::unsupported(file.path(), "hidden_act", other, "silu")),
    }
    if let Some(value) = file.get("rope_scaling") {
        let neutral = rope_type(value) == Some("default") && value.get("factor").is_none();
        if !neutral {
            return Err(Error::unsupported(
                file.path(),
                "rope_scaling",
                value,
                "null",
            ));
        }
    }
    match file.get("layer_types") {
        None => Ok(()),
        Some(Value::Array(items)) => {
            let layers = file.integer("num_hidden_layers")?.unwrap_or(0);
            if items.len() as u64 != layers {
                return Err(Error::malformed(
                    file.path(),
                    "layer_types (length)",
                    items.len(),
                    format!("num_hidden_layers = {layers}"),
                ));
            }
            match items
                .iter()
                .find(|item| item.as_str() != Some("full_attention"))
            {
                None => Ok(()),
                Some(other) => Err(Error::unsupported(
                    file.path(),
                    "layer_types",
                    other,
                    "full_attention",
                )),
            }
        }
        Some(other) => Err(file.wrong("layer_types", other, "a list of names")),
    }
}

fn rope_type(value: &Value) -> Option<&str> {
    value
        .get("rope_type")
        .or_else(|| value.get("type"))
        .and_then(Value::as_str)
}

/// `rope_theta` at the top level (classic) or inside `rope_parameters` (transformers 5).
fn rope_theta(file: &JsonFile) -> Result<f64> {
    let Some(parameters) = file.get("rope_parameters") else {
        return positive(file, "rope_theta");
    };
    let Value::Object(map) = parameters else {
        return Err(file.wrong("rope_parameters", parameters, "an object"));
    };
    for (key, value) in map {
        let neutral = match key.as_str() {
            "rope_theta" => true,
            "rope_type" | "type" => value.as_str() == Some("default"),
            _ => value.is_null(),
        };
        if !neutral {
            return Err(Error::unsupported(
                file.path(),
                format!("rope_parameters.{key}"),
                value,
                "rope_theta and rope_type = default",
            ));
        }
    }
    let theta = map
        .get("rope_theta")
        .and_then(Value::as_f64)
        .filter(|theta| theta.is_finite() && *theta > 0.0);
    let theta = theta.ok_or_else(|| {
        file.wrong(
            "rope_parameters.rope_theta",
            parameters,
            "a positive number",
        )
    })?;
    match file.number("rope_theta")? {
        Some(other) if other != theta => Err(Error::malformed(
            file.path(),
            "rope_theta",
            other,
            format!("rope_parameters.rope_theta = {theta}"),
        )),
        _ => Ok(theta),
    }
}

fn positive(file: &JsonFile, key: &str) -> Result<f64> {
    match file.number(key)? {
        Some(value) if value > 0.0 && (value as f32).is_finite() && value as f32 > 0.0 => Ok(value),
        Some(value) => Err(Error::malformed(
            file.path(),
            key,
            value,
            "a positive number",
        )),
        None => Err(Error::malformed(
            file.path(),
            key,
            "nothing",
            "a positive number",
        )),
    }
}

fn head_dim(file: &JsonFile, hidden_size: usize, heads: usize) -> Result<usize> {
    if let Some(value) = file.integer("head_dim")? {
        return file.check_dimension("head_dim", value, LIMITS.width);
    }
    if !hidden_size.is_multiple_of(heads) {
        return Err(Error::malformed(
            file.path(),
            "hidden_size",
            hidden_size,
            format!("a multiple of num_attention_heads = {heads}, as there is no head_dim"),
        ));
    }
    Ok(hidden_size / heads)
}

fn dtype(file: &JsonFile) -> Result<Option<DType>> {
    let key = if file.get("dtype").is_some() {
        "dtype"
    } else {
        "torch_dtype"
    };
    match file.string(key)? {
        None => Ok(None),
        Some("bfloat16") => Ok(Some(DType::Bf16)),
        Some("float16") => Ok(Some(DType::F16)),
        Some("float32") => Ok(Some(DType::F32)),
        Some(other) => Err(Error::unsupported(
            file.path(),
            key,
            other,
            "bfloat16, float16, float32",
        )),
    }
}
