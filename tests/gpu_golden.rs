//! Tiny checkpoints of every layout through the GPU backend on the emulator, every check on, against logits by Hugging Face
//! transformers: a prompt prefilled in one step, and its end decoded a token a step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use qwarp::DType;
use qwarp::driver::Target;
use support::golden_run::{self, FULL, differing};
use support::kernels::have_kernels;
use support::tiny::{self, Tiny};
use support::visits::Counting;

/// What a machine of each generation runs.
const RUNS: [(Target, DType); 4] = [
    (Target::Sm75, DType::F16),
    (Target::Sm80, DType::F16),
    (Target::Sm80, DType::Bf16),
    (Target::Sm90, DType::Bf16),
];

/// What makes a layout, but for widths.
fn layout(config: &serde_json::Value, shards: usize) -> String {
    let whole = |key: &str| config[key].as_u64().unwrap();
    let (heads, kv) = (whole("num_attention_heads"), whole("num_key_value_heads"));
    let dtype = config.get("dtype").unwrap_or(&config["torch_dtype"]);
    format!(
        "tied {} group {} layers {} eps {} {dtype} shards {shards}",
        config["tie_word_embeddings"],
        heads / kv,
        whole("num_hidden_layers"),
        config["rms_norm_eps"],
    )
}

fn shards(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    let model = |name: &std::ffi::OsString| {
        let name = name.to_str().unwrap();
        name.starts_with("model") && name.ends_with(".safetensors")
    };
    names.filter(model).count()
}

/// Those whose heads are as wide as the kernels take them. Every layout of the narrow ones is among them.
fn checkpoints() -> Vec<PathBuf> {
    let (mut wide, mut layouts, mut narrow) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for folder in tiny::folders() {
        let layout = layout(&tiny::config(&folder), shards(&folder));
        if tiny::has_wide_heads(&folder) {
            wide.push(folder);
            layouts.insert(layout);
        } else {
            narrow.insert(layout);
        }
    }
    assert_eq!((wide.len(), narrow.len()), (8, 6));
    let missing: Vec<_> = narrow.difference(&layouts).collect();
    assert!(missing.is_empty(), "no wide heads: {missing:?}");
    wide
}

fn emulator(target: Target) -> Counting {
    Counting::new(target, 2, true)
}

/// Prefill and decode of one checkpoint: as good as transformers, and the same bits.
fn prefill_and_decode(tiny: &Tiny, (target, dtype): (Target, DType)) {
    let mut new = || Ok(emulator(target));
    let logits = golden_run::prefill_and_decode(&mut new, tiny, dtype, FULL);
    let held = tiny.hold(&logits.unwrap(), dtype);
    println!("{} {dtype} {target}: {held:?}", tiny.name());
    held.check().unwrap();
    // Not held by luck: most positions are no near-ties.
    assert!(
        held.near_ties * 5 <= FULL.prompt,
        "{}: {held:?}",
        tiny.name()
    );
}

fn every_checkpoint(run: (Target, DType)) {
    if !have_kernels() {
        return;
    }
    for folder in checkpoints() {
        prefill_and_decode(&Tiny::open(&folder), run);
    }
}

#[test]
fn f16_on_sm_75_is_as_good_as_transformers() {
    every_checkpoint(RUNS[0]);
}

#[test]
fn f16_on_sm_80_is_as_good_as_transformers() {
    every_checkpoint(RUNS[1]);
}

#[test]
fn bf16_on_sm_80_is_as_good_as_transformers() {
    every_checkpoint(RUNS[2]);
}

#[test]
fn bf16_on_sm_90_is_as_good_as_transformers() {
    every_checkpoint(RUNS[3]);
}

/// All 333 positions, two chunks of attention among them.
#[test]
fn a_whole_prompt_is_as_good_as_transformers() {
    if !have_kernels() {
        return;
    }
    for (name, run) in [
        ("tied-gqa6-head64-bf16", RUNS[0]),
        ("untied-gqa2-head128-bf16", RUNS[2]),
    ] {
        let tiny = Tiny::named(name);
        let (count, (target, dtype)) = (tiny.tokens.len(), run);
        assert_eq!(count, 333);
        let logits = golden_run::prefill(emulator(target), &tiny, dtype, count);
        let held = tiny.hold(&logits.unwrap(), dtype);
        println!("{name} {dtype} {target}: {held:?}");
        held.check().unwrap();
    }
}

/// The comparison of two runs sees a bit, a sign and a NaN.
#[test]
fn differing_bits_are_counted() {
    let ours = [vec![1.0, 0.0, 3.5], vec![-2.0, 5.0]];
    assert_eq!(differing(&ours, &ours), (0, 0.0));
    let mut theirs = ours.clone();
    theirs[0][1] = -0.0;
    theirs[1][0] = -2.25;
    assert_eq!(differing(&ours, &theirs), (2, 0.25));
    theirs[1][1] = f32::NAN;
    assert_eq!(differing(&ours, &theirs), (3, f64::INFINITY));
}
