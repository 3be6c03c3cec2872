//! Tiny seeded checkpoints of every layout against logits by Hugging Face transformers (`tools/make_golden.py tiny`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use qwarp::DType;
use support::{Reference, Run, kl, max_difference, prompt_logits, repo};

fn checkpoints() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(repo("tests/golden/tiny"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(folders.len() >= 14, "only {} checkpoints", folders.len());
    folders
}

fn reference(folder: &Path) -> (Vec<u32>, Vec<Vec<f32>>) {
    let file = Reference::open(&folder.join("reference.safetensors"));
    let (shape, logits) = file.f32("logits");
    assert_eq!(shape[0], 333);
    (
        file.ids("token_ids"),
        logits.chunks(shape[1]).map(<[f32]>::to_vec).collect(),
    )
}

fn provenance(folder: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(folder.join("provenance.json")).unwrap()).unwrap()
}

#[test]
fn f32_logits_equal_the_reference_at_every_position() {
    for folder in checkpoints() {
        let (tokens, expected) = reference(&folder);
        let ours = prompt_logits(&folder, Run::new(DType::F32), &tokens);
        let worst = ours
            .iter()
            .zip(&expected)
            .map(|(a, b)| max_difference(a, b))
            .fold(0.0, f64::max);
        println!("{}: max |Δlogit| {worst:.2e}", folder.display());
        assert!(worst <= 1e-4, "{}: {worst}", folder.display());
    }
}

fn half_precision_is_as_good_as_transformers(dtype: DType, key: &str) {
    for folder in checkpoints() {
        let (tokens, expected) = reference(&folder);
        let theirs = provenance(&folder)[key]["kl"]["mean"].as_f64().unwrap();
        let ours = prompt_logits(&folder, Run::new(dtype), &tokens);
        let mean = expected
            .iter()
            .zip(&ours)
            .map(|(p, q)| kl(p, q))
            .sum::<f64>()
            / 333.0;
        println!(
            "{}: mean KL {mean:.2e}, transformers {theirs:.2e}",
            folder.display()
        );
        assert!(
            mean <= 2.0 * theirs,
            "{}: {mean} against {theirs}",
            folder.display()
        );
    }
}

#[test]
fn bf16_is_as_good_as_transformers() {
    half_precision_is_as_good_as_transformers(DType::Bf16, "hf_bf16_sdpa");
}

#[test]
fn f16_is_as_good_as_transformers() {
    half_precision_is_as_good_as_transformers(DType::F16, "hf_f16_sdpa");
}
