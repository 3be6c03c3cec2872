//! Tiny checkpoints through the GPU backend on the emulator, every check on, against logits by Hugging Face transformers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use qwarp::DType;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::driver::Target;
use qwarp::emu::{EmuOptions, Emulator};
use qwarp::engine::{Engine, Request, open_on};
use support::{Reference, kl, repo};

/// Those whose heads are as wide as the kernels take them.
const CHECKPOINTS: [&str; 2] = ["tied-gqa6-head64-bf16", "untied-gqa2-head128-bf16"];

fn engine(name: &str, target: Target, dtype: DType, chunk: usize, max_len: usize) -> Engine {
    let folder = repo("tests/golden/tiny").join(name);
    let config = ModelConfig::read(&folder).unwrap();
    let emulator = Emulator::new(EmuOptions {
        target,
        host_threads: 2,
        checks: true,
        counters: false,
    });
    let limits = EngineConfig {
        dtype,
        threads: 2,
        max_num_seqs: 1,
        max_batched_tokens: chunk,
        max_logit_rows: chunk,
        max_model_len: max_len,
    };
    open_on(Box::new(emulator), &folder, &config, limits).unwrap()
}

fn logits(mut engine: Engine, tokens: &[u32]) -> Vec<Vec<f32>> {
    let request = Request {
        wanted_logits: 0..tokens.len(),
        ..Request::new(tokens.to_vec(), 0)
    };
    engine.submit(request).unwrap();
    let mut logits = vec![Vec::new(); tokens.len()];
    while !engine.is_idle() {
        engine
            .step(&mut |row| logits[row.position] = row.logits.to_vec())
            .unwrap();
    }
    assert!(logits.iter().all(|row| !row.is_empty()));
    logits
}

#[test]
fn half_precision_is_as_good_as_transformers() {
    for name in CHECKPOINTS {
        let folder = repo("tests/golden/tiny").join(name);
        let file = Reference::open(&folder.join("reference.safetensors"));
        let (shape, expected) = file.f32("logits");
        let expected: Vec<&[f32]> = expected.chunks(shape[1]).collect();
        let tokens = file.ids("token_ids");
        let provenance = std::fs::read_to_string(folder.join("provenance.json")).unwrap();
        let provenance: serde_json::Value = serde_json::from_str(&provenance).unwrap();
        for (target, dtype, key) in [
            (Target::Sm75, DType::F16, "hf_f16_sdpa"),
            (Target::Sm80, DType::F16, "hf_f16_sdpa"),
            (Target::Sm80, DType::Bf16, "hf_bf16_sdpa"),
            (Target::Sm90, DType::Bf16, "hf_bf16_sdpa"),
        ] {
            let ours = logits(engine(name, target, dtype, 128, tokens.len() + 1), &tokens);
            let each = expected.iter().zip(&ours).map(|(p, q)| kl(p, q));
            let mean = each.sum::<f64>() / ours.len() as f64;
            let theirs = provenance[key]["kl"]["mean"].as_f64().unwrap();
            println!("{name} {dtype} {target}: mean KL {mean:.2e}, transformers {theirs:.2e}");
            assert!(
                mean <= 2.0 * theirs,
                "{name} {target}: {mean} against {theirs}"
            );
        }
    }
}

#[test]
fn chunks_of_a_prompt_do_not_show() {
    for (name, dtype) in [(CHECKPOINTS[0], DType::F16), (CHECKPOINTS[1], DType::Bf16)] {
        let file = Reference::open(
            &repo("tests/golden/tiny")
                .join(name)
                .join("reference.safetensors"),
        );
        let tokens = &file.ids("token_ids")[..90];
        let run = |chunk| logits(engine(name, Target::Sm80, dtype, chunk, 100), tokens);
        let whole = run(90);
        for chunk in [1, 7, 64] {
            assert_eq!(run(chunk), whole, "{name}: chunks of {chunk}");
        }
    }
}
