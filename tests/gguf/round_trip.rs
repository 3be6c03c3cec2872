//! The tiny models written by the `gguf` package, converted and read back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use qwarp::DType;
use qwarp::checkpoint::gguf::Header;
use qwarp::limits::LIMITS;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use super::file::convert;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/gguf")
        .join(name)
}

fn read_json(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// The folder's name of a GGUF tensor, written out by hand.
fn folder_name(gguf: &str) -> String {
    let fixed = match gguf {
        "token_embd.weight" => "model.embed_tokens.weight",
        "output_norm.weight" => "model.norm.weight",
        "output.weight" => "lm_head.weight",
        _ => "",
    };
    if !fixed.is_empty() {
        return fixed.into();
    }
    let (layer, part) = gguf.strip_prefix("blk.").unwrap().split_once('.').unwrap();
    let part = match part.rsplit_once('.').unwrap() {
        ("attn_norm", _) => "input_layernorm",
        ("ffn_norm", _) => "post_attention_layernorm",
        ("attn_q", _) => "self_attn.q_proj",
        ("attn_k", _) => "self_attn.k_proj",
        ("attn_v", _) => "self_attn.v_proj",
        ("attn_output", _) => "self_attn.o_proj",
        ("ffn_gate", _) => "mlp.gate_proj",
        ("ffn_up", _) => "mlp.up_proj",
        ("ffn_down", _) => "mlp.down_proj",
        other => panic!("{other:?}"),
    };
    format!(
        "model.layers.{layer}.{part}.{}",
        gguf.rsplit_once('.').unwrap().1
    )
}

/// GGUF name -> (row-major shape, bf16 bytes) as the reference has them; the tied model lacks the head alone.
fn expected(tied: bool) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let header = Header::read(&data("tiny-untied.gguf"), &LIMITS).unwrap();
    let bytes = std::fs::read(data("tiny-untied.bf16")).unwrap();
    let mut sorted: Vec<_> = header.tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rest = bytes.as_slice();
    let mut tensors = BTreeMap::new();
    for tensor in sorted {
        let shape: Vec<usize> = tensor.dims.iter().rev().map(|dim| *dim as usize).collect();
        let (own, after) = rest.split_at(2 * shape.iter().product::<usize>());
        tensors.insert(tensor.name.clone(), (shape, own.to_vec()));
        rest = after;
    }
    assert!(rest.is_empty());
    if tied {
        tensors.remove("output.weight").unwrap();
    }
    tensors
}

fn round_trip(name: &str, tied: bool) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/folder");
    let done = convert(&data(&format!("{name}.gguf")), &out, DType::Bf16).unwrap();
    let bytes = std::fs::read(out.join("model.safetensors")).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let expected = expected(tied);
    assert_eq!(read.len(), expected.len());
    assert_eq!(done.tensors, expected.len());
    for (gguf, (shape, data)) in &expected {
        let tensor = read.tensor(&folder_name(gguf)).unwrap();
        assert_eq!(tensor.dtype(), Dtype::BF16, "{gguf}");
        assert_eq!(tensor.shape(), shape, "{gguf}");
        assert!(tensor.data() == data, "{gguf}: bits differ");
    }
    let types = Header::read(&data(&format!("{name}.gguf")), &LIMITS).unwrap();
    let types: std::collections::HashSet<u32> = types
        .tensors
        .iter()
        .map(|tensor| tensor.ggml_type)
        .collect();
    assert!(types.len() >= 7, "only {types:?} were exercised");

    let mut config = json!({
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 262,
        "max_position_embeddings": 512, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "use_sliding_window": false, "torch_dtype": "bfloat16", "bos_token_id": 257, "eos_token_id": 259
    });
    config["tie_word_embeddings"] = json!(tied);
    assert_eq!(read_json(&out, "config.json"), config);
    let generation =
        json!({ "bos_token_id": 257, "pad_token_id": 257, "eos_token_id": [259, 257] });
    assert_eq!(read_json(&out, "generation_config.json"), generation);
    let tokenizer = qwarp::tokenizer::Tokenizer::open(&out).unwrap();
    assert_eq!(tokenizer.token_id("<|im_end|>"), Some(259));
    let mut names: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    let all = [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(names, all);
}

#[test]
fn a_tied_model() {
    round_trip("tiny-tied", true);
}

#[test]
fn an_untied_model() {
    round_trip("tiny-untied", false);
}

#[test]
fn an_f32_folder_rounds_to_the_same_bf16() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("f32");
    convert(&data("tiny-untied.gguf"), &out, DType::F32).unwrap();
    let bytes = std::fs::read(out.join("model.safetensors")).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let mut rounded = 0;
    for (gguf, (_, data)) in expected(false) {
        let tensor = read.tensor(&folder_name(&gguf)).unwrap();
        assert_eq!(tensor.dtype(), Dtype::F32);
        for (value, bits) in tensor.data().chunks(4).zip(data.chunks(2)) {
            let value = f32::from_le_bytes(value.try_into().unwrap());
            assert_eq!(half::bf16::from_f32(value).to_le_bytes(), bits, "{gguf}");
            rounded += usize::from(value.to_bits() & 0xffff != 0);
        }
    }
    assert!(
        rounded > 10_000,
        "only {rounded} values had something to round"
    );
    assert_eq!(read_json(&out, "config.json")["torch_dtype"], "float32");
}
