//! `qwarp synth`: the same bytes for the same seed, a checkpoint that opens and runs, and what it refuses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/byte_tokenizer.rs"]
mod byte_tokenizer;
mod support;
#[path = "support/synthetic.rs"]
mod synthetic;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use half::bf16;
use qwarp::DType;
use qwarp::checkpoint::synth::Spread;
use qwarp::config::ModelConfig;
use qwarp::config::json::JsonFile;
use qwarp::model;
use safetensors::SafeTensors;
use serde_json::Value;
use support::plan::qwarp;
use support::{Run, prompt_logits, repo};
use synthetic::{LAYERS, config, synthesis, write};

/// The data of every tensor of a folder, whatever files they stand in.
fn tensors(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "safetensors")
        {
            let bytes = std::fs::read(path).unwrap();
            for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
                assert_eq!(all.insert(name, view.data().to_vec()), None);
            }
        }
    }
    assert_eq!(all.len(), 3 + 12 * LAYERS);
    all
}

fn values(bytes: &[u8]) -> Vec<f64> {
    let pairs = bytes.as_chunks::<2>().0.iter();
    pairs
        .map(|pair| bf16::from_le_bytes(*pair).to_f64())
        .collect()
}

/// Mean, standard deviation and largest magnitude.
fn moments(values: &[f64]) -> [f64; 3] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let largest = values.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
    [mean, variance.sqrt(), largest]
}

#[test]
fn a_seed_gives_the_same_bytes_whatever_the_threads_and_shards() {
    let root = tempfile::tempdir().unwrap();
    let make = |name: &str, seed, threads, shard_bytes| {
        let mut one = synthesis(&root.path().join(name), DType::Bf16, seed);
        (one.threads, one.shard_bytes) = (threads, shard_bytes);
        let written = write(&one);
        (tensors(&one.out), written.shards)
    };
    let (first, shards) = make("a", 7, 1, u64::MAX);
    assert_eq!(shards, 1);
    let (second, shards) = make("b", 7, 3, 100_000);
    assert!(shards > 3, "{shards} files");
    assert_eq!(first, second);
    // From a second implementation, in Python.
    let fold = |hash: u64, byte: &u8| hash.wrapping_mul(31).wrapping_add(u64::from(*byte));
    let hash = first.values().flatten().fold(0, fold);
    assert_eq!(hash, 0xd678_d205_a3d8_64c6, "{hash:#x}");

    let (other, _) = make("c", 8, 2, u64::MAX);
    let (high, _) = make("d", 7 + (1 << 40), 2, u64::MAX);
    for (name, bytes) in &first {
        assert!(other[name] != *bytes && high[name] != *bytes, "{name}");
    }
    let mut data: Vec<&Vec<u8>> = first.values().collect();
    data.sort();
    data.dedup();
    assert_eq!(data.len(), first.len(), "two tensors are the same");
}

#[test]
fn a_checkpoint_of_each_type_opens_and_its_logits_have_a_spread() {
    let tokens: Vec<u32> = (0..40).map(|i| i * 37 % 277).collect();
    for dtype in [DType::Bf16, DType::F16, DType::F32] {
        let folder = tempfile::tempdir().unwrap();
        write(&synthesis(folder.path(), dtype, 11));
        // f16 is the narrowest: a step that left its range would be an error.
        for run in [dtype, DType::F16] {
            let logits = prompt_logits(folder.path(), Run::new(run), &tokens);
            let last: Vec<f64> = logits[39].iter().map(|x| f64::from(*x)).collect();
            let [mean, deviation, _] = moments(&last);
            assert!(
                mean.abs() < 1.0 && (2.0..6.0).contains(&deviation),
                "{mean} {deviation}"
            );
        }
    }
}

#[test]
fn values_are_spread_as_a_model_has_them() {
    let folder = synthetic::model(5);
    let tensors = tensors(folder.path());
    let of = |name: &str| moments(&values(&tensors[name]));
    let close = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.1;
    let [mean, deviation, _] = of("model.layers.1.mlp.down_proj.weight");
    assert!(mean.abs() < 0.002 && close(deviation, 0.8 / 152f64.sqrt()));
    let [mean, deviation, _] = of("model.norm.weight");
    assert!((mean - 1.0).abs() < 0.05 && (deviation / 0.1 - 1.0).abs() < 0.3);
    assert!(close(of("lm_head.weight")[1], 4.0 / 136f64.sqrt()));
    assert!(close(
        of("model.embed_tokens.weight")[1],
        0.8 / 136f64.sqrt()
    ));
    let keys = |layer: usize| of(&format!("model.layers.{layer}.self_attn.k_proj.bias"));
    assert!(
        keys(0)[2] > 15.0 && keys(2)[2] < 13.0,
        "{:?} {:?}",
        keys(0),
        keys(2)
    );
    assert!(of("model.layers.2.self_attn.q_proj.bias")[2] < 21.0);
}

#[test]
fn the_command_writes_a_model_that_generates() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_string();
    std::fs::write(path("given.json"), config(DType::Bf16)).unwrap();
    std::fs::create_dir(path("tokenizer")).unwrap();
    let tokenizer = byte_tokenizer::tokenizer_json().to_string();
    std::fs::write(path("tokenizer/tokenizer.json"), &tokenizer).unwrap();
    let (given, from, out) = (path("given.json"), path("tokenizer"), path("out"));
    let args = ["synth", "--config", &given, "--seed", "3", "--out", &out];
    let more = [
        "--tokenizer",
        &from,
        "--dtype",
        "f16",
        "--max-shard-size",
        "100KB",
    ];
    let (code, text, said) = qwarp(&[&args[..], &more].concat());
    assert_eq!((code, text.as_str()), (0, ""), "{said}");
    assert!(
        said.contains("39 tensors") && said.contains("MB of f16 in "),
        "{said}"
    );
    assert!(said.contains(" files, seed 3"), "{said}");
    let json = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(Path::new(&out).join(name)).unwrap()).unwrap()
    };
    assert_eq!(json("config.json")["torch_dtype"], "float16");
    assert_eq!(json("config.json")["hidden_size"], 136);
    assert_eq!(json("generation_config.json")["eos_token_id"], 272);
    let total: usize = tensors(Path::new(&out)).values().map(Vec::len).sum();
    let index = json("model.safetensors.index.json");
    assert_eq!(index["metadata"]["total_size"], total);
    assert_eq!(index["weight_map"].as_object().unwrap().len(), 39);
    let answer = Command::new(env!("CARGO_BIN_EXE_generate"))
        .args([
            "--model",
            &out,
            "--prompt",
            "hello",
            "--max-tokens",
            "5",
            "--ignore-eos",
        ])
        .args(["--json", "--no-cache", "--device", "cpu"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.success(), "{error}");
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["token_ids"].as_array().unwrap().len(), 5);
    assert_eq!(answer["dtype"], "f16");
}

#[test]
fn what_cannot_be_made_is_refused_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_string();
    let (given, out) = (path("given.json"), path("out"));
    let refused = |config: &str, more: &[&str], code: i32, parts: &[&str]| {
        std::fs::write(&given, config).unwrap();
        let args = ["synth", "--config", &given, "--seed", "3", "--out", &out];
        let (found, text, said) = qwarp(&[&args[..], more].concat());
        assert_eq!((found, text.as_str()), (code, ""), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!Path::new(&out).exists(), "{said}");
    };
    let good = config(DType::Bf16);
    refused("{", &[], 3, &["given.json", "line 1"]);
    let no_width = good.replace("hidden_size", "hidden_sise");
    refused(&no_width, &[], 4, &["given.json", "hidden_sise"]);
    let other = good.replace("Qwen2ForCausalLM", "LlamaForCausalLM");
    refused(&other, &[], 4, &["LlamaForCausalLM", "Qwen2ForCausalLM"]);
    refused(&good, &["--threads", "0"], 2, &["--threads: found 0"]);
    refused(
        &good,
        &["--max-shard-size", "1e3"],
        2,
        &["--max-shard-size"],
    );
    let nowhere = path("nowhere");
    let flags = ["--tokenizer", nowhere.as_str()];
    refused(&good, &flags, 3, &["nowhere", "tokenizer.json"]);
    // 2^20 wide, 1,024 layers: far more than any disk, and than this process may have of memory.
    let huge = good.replace("136", "1048576").replace("152", "1048576");
    let huge = huge.replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1024");
    assert_ne!(huge, good);
    refused(&huge, &[], 5, &["shards", "1000"]);

    std::fs::create_dir(&out).unwrap();
    std::fs::write(Path::new(&out).join("mine.txt"), "mine").unwrap();
    std::fs::write(&given, &good).unwrap();
    let args = ["synth", "--config", &given, "--seed", "3", "--out", &out];
    let (code, _, said) = qwarp(&args);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("--out: found") && said.contains("a new or empty folder"),
        "{said}"
    );
    assert!(!said.contains("--force"), "{said}");
    let names: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["mine.txt"]);
}

#[test]
fn a_stopped_run_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let text = config(DType::F32);
    let file = JsonFile::parse(Path::new("config.json"), text.as_bytes()).unwrap();
    let config = ModelConfig::from_json(&file).unwrap();
    let tensors = model::synth::tensors(&config).unwrap();
    let one = synthesis(&root.path().join("out"), DType::F32, 1);
    let mut told = 0;
    let stopped = one.run(&tensors, &[], &mut |progress| {
        told += 1;
        assert!(progress.done <= progress.total && progress.done > 0);
        told < 5
    });
    assert_eq!((stopped.unwrap(), told), (None, 5));
    assert!(!one.out.exists());

    let mut wide = tensors.clone();
    wide[4].spread = Spread::Normal {
        center: 0.0,
        deviation: 1e6,
    };
    let half = synthesis(&root.path().join("out"), DType::F16, 1);
    let refused = half.run(&wide, &[], &mut |_| true).unwrap_err().to_string();
    assert!(
        refused.contains(&wide[4].name) && refused.contains("f16"),
        "{refused}"
    );
    assert!(!half.out.exists());
}

#[test]
fn the_committed_config_is_the_model_it_is_named_after() {
    let path = repo("tests/data/config/deepseek-r1-distill-qwen-1.5b.json");
    let config = ModelConfig::from_json(&JsonFile::read(&path).unwrap()).unwrap();
    let tensors = model::synth::tensors(&config).unwrap();
    assert_eq!(tensors.len(), 339);
    let elements = tensors.iter().map(|t| t.shape.iter().product::<usize>());
    // The parameter count of the model's card, 1.78 B.
    assert_eq!(elements.sum::<usize>(), 1_777_088_000);
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let config = repo("tests/data/config/deepseek-r1-distill-qwen-1.5b.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_qwarp"))
        .args(["synth", "--seed", "3", "--threads", "1"])
        .args(["--config".as_ref(), config.as_os_str()])
        .args(["--out".as_ref(), out.as_os_str()])
        .spawn()
        .unwrap();
    // The handler is there before the first file is.
    while !out.join(".partial/model.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!out.exists());
}
