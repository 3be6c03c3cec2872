//! `config.json`: what is missing, of the wrong type or size, contradictory, or not built.

use std::fs;
use std::path::Path;

use qwarp::DType;
use qwarp::backend::cpu::simd;
use qwarp::config::{EngineConfig, GenerationConfig, ModelConfig};
use qwarp::engine::{OpenOptions, open};
use serde_json::{Value, json};

use super::{Case, SINGLE, check, copy};

/// Opens a folder as far as the first step, without its tokenizer.
pub fn open_model(folder: &Path) -> qwarp::Result<()> {
    let config = ModelConfig::read(folder)?;
    GenerationConfig::read(folder, &config.eos_token_ids)?;
    let engine = EngineConfig {
        dtype: DType::F32,
        threads: 2,
        max_num_seqs: 1,
        max_batched_tokens: 8,
        max_logit_rows: 1,
        max_model_len: 16,
    };
    let path = simd::Path::best();
    open(folder, &config, OpenOptions { engine, path }).map(|_| ())
}

#[test]
fn configs_are_refused_by_field() {
    check(cases(), || copy(SINGLE), open_model);
}

fn edited(name: &str, mentions: &[&str], edit: impl Fn(&mut Value) + 'static) -> Case {
    let mut all = vec!["config.json"];
    all.extend(mentions);
    // What only the weights show is an error of theirs.
    if mentions.iter().any(|part| part.starts_with("model.")) {
        all.remove(0);
    }
    Case::new(name, &all, move |folder| {
        let path = folder.join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        edit(&mut config);
        fs::write(path, config.to_string()).unwrap();
    })
}

/// Every row.
pub fn cases() -> Vec<Case> {
    let values = values().into_iter().chain(more_values());
    let mut cases: Vec<Case> = values
        .map(|(field, value, mentions)| {
            let name = format!("{field} = {value}");
            edited(&name, mentions, move |config| config[field] = value.clone())
        })
        .collect();
    for field in [
        "architectures",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
        "max_position_embeddings",
        "rms_norm_eps",
        "rope_theta",
    ] {
        cases.push(edited(
            &format!("no {field}"),
            &[field, "nothing"],
            move |config| {
                config.as_object_mut().unwrap().remove(field);
            },
        ));
    }
    cases.push(edited(
        "two values of theta",
        &["rope_theta", "10000", "20000"],
        |config| {
            config["rope_parameters"] = json!({ "rope_type": "default", "rope_theta": 20000.0 })
        },
    ));
    cases.push(edited(
        "key width over the limit",
        &["num_attention_heads * head_dim", "3145728", "1048576"],
        |config| config["head_dim"] = json!(1 << 20),
    ));
    cases.push(Case::new("no file", &["config.json", "open"], |folder| {
        fs::remove_file(folder.join("config.json")).unwrap()
    }));
    cases.push(Case::new("a folder", &["config.json"], |folder| {
        let path = folder.join("config.json");
        fs::remove_file(&path).unwrap();
        fs::create_dir(path).unwrap();
    }));
    cases
}

type Row = (&'static str, Value, &'static [&'static str]);

fn more_values() -> Vec<Row> {
    vec![
        (
            "architectures",
            json!("Qwen2ForCausalLM"),
            &["architectures", "a list of one name"],
        ),
        ("architectures", json!([7]), &["architectures"]),
        (
            "architectures",
            json!(["Qwen2ForCausalLM", "Qwen2ForCausalLM"]),
            &["architectures"],
        ),
        (
            "hidden_size",
            json!(30.5),
            &["hidden_size", "30.5", "integer"],
        ),
        (
            "hidden_size",
            json!(30.0),
            &["hidden_size", "30.0", "integer"],
        ),
        ("hidden_size", json!(true), &["hidden_size", "true"]),
        ("hidden_size", json!([30]), &["hidden_size", "[30]"]),
        (
            "hidden_size",
            json!(1e300),
            &["hidden_size", "1e+300", "integer"],
        ),
        (
            "hidden_size",
            json!(u64::MAX),
            &["hidden_size", "18446744073709551615"],
        ),
        (
            "hidden_size",
            json!(31),
            &["hidden_size", "31", "multiple", "3"],
        ),
        ("intermediate_size", json!(0), &["intermediate_size", "0"]),
        (
            "num_attention_heads",
            json!(0),
            &["num_attention_heads", "0"],
        ),
        (
            "num_key_value_heads",
            json!(0),
            &["num_key_value_heads", "0"],
        ),
        (
            "num_key_value_heads",
            json!(6),
            &["num_key_value_heads", "6", "3"],
        ),
        ("head_dim", json!(0), &["head_dim", "0", "positive"]),
        ("head_dim", json!({}), &["head_dim", "{}", "integer"]),
        ("num_hidden_layers", json!(0), &["num_hidden_layers", "0"]),
        ("vocab_size", json!(0), &["vocab_size", "0"]),
        (
            "vocab_size",
            json!(u32::MAX),
            &["vocab_size", "4294967295", "limit"],
        ),
        (
            "max_position_embeddings",
            json!(1_u64 << 32),
            &["max_position_embeddings", "limit"],
        ),
        ("rms_norm_eps", json!("1e-6"), &["rms_norm_eps", "a number"]),
        ("rms_norm_eps", json!(1e39), &["rms_norm_eps", "positive"]),
        ("rope_theta", json!(0), &["rope_theta", "0", "positive"]),
        ("rope_theta", json!(-10000.0), &["rope_theta", "-10000"]),
        ("rope_scaling", json!([1]), &["rope_scaling", "[1]"]),
        (
            "rope_parameters",
            json!([]),
            &["rope_parameters", "an object"],
        ),
        ("rope_parameters", json!({}), &["rope_theta", "positive"]),
        (
            "tie_word_embeddings",
            json!("no"),
            &["tie_word_embeddings", "true or false"],
        ),
        (
            "attention_bias",
            json!(false),
            &["attention_bias", "false", "true"],
        ),
        ("mlp_bias", json!(true), &["mlp_bias", "true"]),
        ("hidden_act", json!(1), &["hidden_act", "1", "a string"]),
        (
            "layer_types",
            json!("full_attention"),
            &["layer_types", "a list"],
        ),
        (
            "quantization_config",
            json!("awq"),
            &["quantization_config", "unknown"],
        ),
        ("dtype", json!(16), &["dtype", "16", "a string"]),
        ("eos_token_id", json!(-1), &["eos_token_id", "-1"]),
        (
            "eos_token_id",
            json!(1_u64 << 32),
            &["eos_token_id", "4294967296"],
        ),
        ("eos_token_id", json!([[129]]), &["eos_token_id", "[129]"]),
        ("model_type", json!(["qwen2"]), &["model_type", "a string"]),
        ("num_experts", json!(8), &["num_experts", "8"]),
    ]
}

fn values() -> Vec<Row> {
    vec![
        (
            "architectures",
            json!(["LlamaForCausalLM"]),
            &["architectures", "LlamaForCausalLM", "Qwen2ForCausalLM"],
        ),
        ("architectures", json!([]), &["architectures", "[]"]),
        ("model_type", json!("qwen3"), &["model_type", "qwen3"]),
        (
            "use_sliding_window",
            json!(true),
            &["use_sliding_window", "true", "false"],
        ),
        ("use_mrope", json!(true), &["use_mrope", "true"]),
        (
            "rope_scaling",
            json!({"type": "yarn", "factor": 4.0}),
            &["rope_scaling", "yarn"],
        ),
        (
            "rope_parameters",
            json!({"rope_type": "linear", "rope_theta": 1e4, "factor": 2}),
            &["rope_parameters", "linear"],
        ),
        (
            "rope_parameters",
            json!({"rope_type": "default", "rope_theta": "x"}),
            &["rope_theta", "positive"],
        ),
        ("hidden_act", json!("gelu"), &["hidden_act", "gelu", "silu"]),
        (
            "quantization_config",
            json!({"quant_method": "awq"}),
            &["quant_method", "awq"],
        ),
        (
            "layer_types",
            json!(["full_attention", "sliding_attention"]),
            &["layer_types", "sliding_attention"],
        ),
        (
            "layer_types",
            json!(["full_attention"]),
            &["layer_types", "1", "2"],
        ),
        (
            "rope_interleaved",
            json!(true),
            &["rope_interleaved", "true"],
        ),
        ("hidden_size", json!(0), &["hidden_size", "0", "positive"]),
        (
            "hidden_size",
            json!(-5),
            &["hidden_size", "-5", "non-negative"],
        ),
        (
            "hidden_size",
            json!("30"),
            &["hidden_size", "\"30\"", "integer"],
        ),
        (
            "hidden_size",
            json!(1_u64 << 62),
            &["hidden_size", "4611686018427387904", "limit"],
        ),
        (
            "hidden_size",
            json!(60),
            &["model.embed_tokens.weight", "[131, 30]", "[131, 60]"],
        ),
        (
            "num_hidden_layers",
            json!(3),
            &["model.layers.2", "no such tensor"],
        ),
        (
            "num_hidden_layers",
            json!(1),
            &["model.layers.1", "does not have"],
        ),
        (
            "num_hidden_layers",
            json!(1_000_000_000),
            &["num_hidden_layers", "1000000000", "limit"],
        ),
        (
            "num_key_value_heads",
            json!(2),
            &["num_key_value_heads", "2", "divisor", "3"],
        ),
        ("head_dim", json!(7), &["head_dim", "7", "even"]),
        ("rms_norm_eps", json!(-1e-6), &["rms_norm_eps", "positive"]),
        ("rms_norm_eps", json!(1e-60), &["rms_norm_eps", "positive"]),
        (
            "vocab_size",
            json!(1000),
            &["model.embed_tokens.weight", "[1000, 30]"],
        ),
        (
            "torch_dtype",
            json!("float8_e4m3fn"),
            &["dtype", "float8_e4m3fn"],
        ),
        ("eos_token_id", json!([1, "two"]), &["eos_token_id", "two"]),
    ]
}
