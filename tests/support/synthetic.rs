//! A small checkpoint with seeded weights, whose heads are as wide as the kernels take them.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};

use qwarp::DType;
use qwarp::checkpoint::synth::{Synthesis, Written};
use qwarp::config::ModelConfig;
use qwarp::config::json::JsonFile;
use qwarp::model;
use safetensors::SafeTensors;
use tempfile::TempDir;

/// Layers of the small model.
pub const LAYERS: usize = 3;

/// Its config, of type `dtype`.
pub fn config(dtype: DType) -> String {
    let value = serde_json::json!({
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu",
        "hidden_size": 136, "intermediate_size": 152, "num_hidden_layers": LAYERS,
        "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 64, "vocab_size": 277,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "tie_word_embeddings": false, "torch_dtype": dtype.hf_name(),
        "bos_token_id": 271, "eos_token_id": 272,
    });
    format!("{value:#}\n")
}

/// Where a small model is to be written.
pub fn synthesis(out: &Path, dtype: DType, seed: u64) -> Synthesis {
    Synthesis {
        out: out.to_path_buf(),
        dtype,
        seed,
        shard_bytes: 5_000_000_000,
        threads: 2,
    }
}

/// Writes it.
pub fn write(synthesis: &Synthesis) -> Written {
    let text = config(synthesis.dtype);
    let path = PathBuf::from("config.json");
    let file = JsonFile::parse(&path, text.as_bytes()).unwrap();
    let config = ModelConfig::from_json(&file).unwrap();
    let tensors = model::synth::tensors(&config).unwrap();
    let files = [("config.json", text.into_bytes())];
    synthesis
        .run(&tensors, &files, &mut |_| true)
        .unwrap()
        .unwrap()
}

/// A small model with stored type bf16.
pub fn model(seed: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&synthesis(folder.path(), DType::Bf16, seed));
    folder
}

/// Replaces element `index` of a bf16 tensor of `folder` with what `change` makes of it.
pub fn plant(folder: &Path, tensor: &str, index: usize, change: impl Fn(f32) -> f32) {
    let path = folder.join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = {
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let data = tensors.tensor(tensor).unwrap().data();
        assert!(2 * index < data.len(), "{tensor}[{index}]");
        data.as_ptr() as usize - bytes.as_ptr() as usize + 2 * index
    };
    let old = half::bf16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let new = half::bf16::from_f32(change(old.to_f32()));
    assert_ne!(old, new, "{tensor}[{index}] is as it was");
    bytes[at..at + 2].copy_from_slice(&new.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}
