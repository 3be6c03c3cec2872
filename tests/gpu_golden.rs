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
use support::by_hand::{ByHand, How};
use support::kernels::have_kernels;
use support::tiny::{self, Tiny};

/// Tokens prefilled in one step: an odd number, more than a tile of 64.
const PROMPT: usize = 107;
/// Tokens of them that are decoded once more.
const DECODED: usize = 11;

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
        let config = tiny::config(&folder);
        let layout = layout(&config, shards(&folder));
        if [64, 128].contains(&tiny::head_dim(&config)) {
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

fn open(tiny: &Tiny, (target, dtype): (Target, DType), count: usize) -> ByHand {
    let how = How {
        target,
        dtype,
        checks: true,
        threads: 2,
        max_tokens: count,
        max_sequences: 1,
        max_len: count,
    };
    ByHand::open(&tiny.folder, how).unwrap()
}

/// Prefill and decode of one checkpoint: as good as transformers, and the same bits.
fn prefill_and_decode(tiny: &Tiny, run: (Target, DType)) {
    let blocks = PROMPT.div_ceil(16);
    let mut model = open(tiny, run, PROMPT);
    // Blocks stand in no order.
    let table: Vec<u32> = (0..blocks as u32)
        .map(|i| (i * 3 + 2) % blocks as u32)
        .collect();
    let tokens = &tiny.tokens[..PROMPT];
    let prefilled = model.run(tokens, 0..PROMPT, &table).unwrap();
    let after_prefill = (
        model.visits.of("flash_attention"),
        model.visits.of("paged_attention"),
    );
    assert!(after_prefill.0 > 0, "no prefill kernel ran");

    let first = PROMPT - DECODED;
    let mut again = open(tiny, run, PROMPT);
    let mut decoded = again.run(tokens, 0..first, &table).unwrap();
    let before = again.visits.of("paged_attention");
    for position in first..PROMPT {
        let logits = again.run(tokens, position..position + 1, &table).unwrap();
        decoded.extend(logits);
    }
    let after = again.visits.of("paged_attention");
    assert!(after >= before + DECODED as u64, "no decode kernel ran");
    assert!(
        support::bits(&decoded) == support::bits(&prefilled),
        "{} {run:?}: decoded and prefilled logits differ",
        tiny.name()
    );

    let held = tiny.hold(&prefilled, run.1);
    println!("{} {} {}: {held:?}", tiny.name(), run.1, run.0);
    assert!(
        held.kl <= 2.0 * held.theirs,
        "{} {run:?}: {held:?}",
        tiny.name()
    );
    assert_eq!(held.wrong_top1, 0, "{} {run:?}", tiny.name());
    // Not held by luck: most positions are no near-ties.
    assert!(held.near_ties * 5 <= PROMPT, "{}: {held:?}", tiny.name());
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
        let (count, blocks) = (tiny.tokens.len(), tiny.tokens.len().div_ceil(16));
        assert_eq!(count, 333);
        let table: Vec<u32> = (0..blocks as u32).collect();
        let mut model = open(&tiny, run, count);
        let logits = model.run(&tiny.tokens, 0..count, &table).unwrap();
        let held = tiny.hold(&logits, run.1);
        println!("{name} {} {}: {held:?}", run.1, run.0);
        assert!(held.kl <= 2.0 * held.theirs, "{name} {run:?}: {held:?}");
        assert_eq!(held.wrong_top1, 0, "{name} {run:?}");
    }
}
