//! `config.json` and `generation_config.json` from GGUF metadata.

use serde_json::{Map, Value, json};

use crate::dtype::DType;
use crate::error::{Error, Result};

use super::architecture::Architecture;
use super::metadata::Metadata;

/// Ids that the metadata may name as the end of a text, a turn or a message.
const END_KEYS: [&str; 3] = [
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
];
/// Control tokens that the models of the family end on, whether the metadata names them or not.
const END_TOKENS: [&str; 3] = ["<|im_end|>", "<|endoftext|>", "<｜end▁of▁sentence｜>"];
/// The token type of control tokens.
const CONTROL: i32 = 3;

/// `config.json` in the classic spelling, which every loader reads.
pub(super) fn config_json(
    model: &Architecture,
    metadata: &Metadata,
    tied: bool,
    dtype: DType,
) -> Result<Value> {
    let mut config = Map::new();
    let mut put = |key: &str, value: Value| config.insert(key.to_string(), value);
    put("architectures", json!(["Qwen2ForCausalLM"]));
    put("model_type", json!("qwen2"));
    put("hidden_size", json!(model.hidden));
    put("intermediate_size", json!(model.intermediate));
    put("num_hidden_layers", json!(model.layers));
    put("num_attention_heads", json!(model.heads));
    put("num_key_value_heads", json!(model.kv_heads));
    put("vocab_size", json!(model.vocab));
    put("max_position_embeddings", json!(model.context));
    put("hidden_act", json!("silu"));
    put("rms_norm_eps", shortest(model.rms_eps));
    put("rope_theta", shortest(model.rope_theta));
    put("tie_word_embeddings", json!(tied));
    put("use_sliding_window", json!(false));
    put("torch_dtype", json!(dtype.hf_name()));
    for (name, key) in [
        ("bos_token_id", "tokenizer.ggml.bos_token_id"),
        ("eos_token_id", END_KEYS[0]),
    ] {
        if let Some(id) = token_id(metadata, key, model.vocab)? {
            put(name, json!(id));
        }
    }
    Ok(Value::Object(config))
}

/// `generation_config.json`: token ids only. Sampling defaults are not in a GGUF and are not invented.
pub(super) fn generation_json(model: &Architecture, metadata: &Metadata) -> Result<Value> {
    let mut config = Map::new();
    for (name, key) in [
        ("bos_token_id", "tokenizer.ggml.bos_token_id"),
        ("pad_token_id", "tokenizer.ggml.padding_token_id"),
    ] {
        if let Some(id) = token_id(metadata, key, model.vocab)? {
            config.insert(name.to_string(), json!(id));
        }
    }
    config.insert(
        "eos_token_id".to_string(),
        json!(end_ids(metadata, model.vocab)?),
    );
    Ok(Value::Object(config))
}

/// Every id that ends a generation: those the metadata names, then the family's control tokens.
fn end_ids(metadata: &Metadata, vocab: u32) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    let mut add = |id: u32| {
        if !ids.contains(&id) {
            ids.push(id);
        }
    };
    for key in END_KEYS {
        token_id(metadata, key, vocab)?
            .into_iter()
            .for_each(&mut add);
    }
    let tokens = metadata
        .strings("tokenizer.ggml.tokens")?
        .unwrap_or_default();
    let types = metadata
        .i32s("tokenizer.ggml.token_type")?
        .unwrap_or_default();
    for end in END_TOKENS {
        for ((id, token), kind) in (0u32..).zip(tokens).zip(types) {
            if token == end && *kind == CONTROL {
                add(id);
            }
        }
    }
    Ok(ids)
}

fn token_id(metadata: &Metadata, key: &str, vocab: u32) -> Result<Option<u32>> {
    match metadata.u32(key)? {
        Some(id) if id >= vocab => {
            let expected = format!("below the vocabulary's {vocab}");
            Err(Error::malformed(metadata.file(), key, id, expected))
        }
        id => Ok(id),
    }
}

/// The shortest decimal that reads back as this f32: 1e-6, not 9.999999974752427e-07.
fn shortest(value: f32) -> Value {
    value
        .to_string()
        .parse::<f64>()
        .map_or(Value::Null, |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::shortest;

    #[test]
    fn constants_are_written_as_people_write_them() {
        assert_eq!(shortest(1e-6).to_string(), "1e-6");
        assert_eq!(shortest(1_000_000.0).to_string(), "1000000.0");
        assert_eq!(shortest(1e-5).as_f64(), Some(1e-5));
    }
}
