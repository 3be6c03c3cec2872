//! A plan's bytes against the bytes that stand in memory once the model is open: in the containers, in the files, and by
//! the allocator's own count. One test only, so that nothing else allocates meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::alloc::System;
use std::path::Path;

use qwarp::DType;
use qwarp::backend::cpu::simd;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::engine::{OpenOptions, Opened, open};
use serde_json::Value;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::plan::{config_only, plan_json};
use support::{real_model, repo};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PARTS: [&str; 7] = [
    "weights_mapped",
    "weights_vectors",
    "weights_converted",
    "arena",
    "kv_cache",
    "scratch",
    "rope_table",
];

fn live_bytes() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

fn planned(folder: &Path, engine: EngineConfig) -> Value {
    // From a folder with nothing but config.json.
    let alone = config_only(folder);
    let flag = |name: &str, value: usize| [format!("--{name}"), value.to_string()];
    let mut args = vec!["--dtype".to_string(), engine.dtype.to_string()];
    args.extend(flag("threads", engine.threads));
    args.extend(flag("max-num-seqs", engine.max_num_seqs));
    args.extend(flag("max-batched-tokens", engine.max_batched_tokens));
    args.extend(flag("max-model-len", engine.max_model_len));
    plan_json(alone.path(), &args)
}

fn start(folder: &Path, engine: EngineConfig) -> Opened {
    let config = ModelConfig::read(folder).unwrap();
    let path = simd::Path::best();
    open(folder, &config, OpenOptions { engine, path }).unwrap()
}

/// Every part of the plan is the part that stands there.
fn check_parts(folder: &Path, engine: EngineConfig) -> u64 {
    let plan = planned(folder, engine);
    let opened = start(folder, engine);
    let what = format!("{} {engine:?}", folder.display());
    for (name, (held_name, held)) in PARTS.iter().zip(opened.memory.parts()) {
        assert_eq!(*name, held_name);
        assert_eq!(plan["memory_bytes"][name], held, "{what}: {name}");
    }
    let total = opened.memory.total().unwrap();
    assert_eq!(plan["memory_bytes"]["total"], total, "{what}");
    assert_eq!(plan["kv"]["blocks"], engine.num_blocks(), "{what}");
    assert_eq!(
        opened.memory.weights.mapped,
        data_bytes(folder),
        "{what}: the files without their headers"
    );
    opened.memory.weights.converted
}

fn data_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path());
    let models = files.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("model") && name.ends_with(".safetensors")
    });
    models
        .map(|path| {
            let length = std::fs::metadata(&path).unwrap().len();
            let mut header = [0; 8];
            let mut file = std::fs::File::open(&path).unwrap();
            std::io::Read::read_exact(&mut file, &mut header).unwrap();
            length - 8 - u64::from_le_bytes(header)
        })
        .sum()
}

/// What opening adds to the heap beyond the plan: names, graph, tables of owners.
fn unplanned(folder: &Path, engine: EngineConfig) -> i64 {
    let plan = planned(folder, engine);
    let part = |name: &str| plan["memory_bytes"][name].as_i64().unwrap();
    let heap = part("total") - part("weights_mapped");
    assert!(heap > 0);
    let before = live_bytes();
    let opened = start(folder, engine);
    let grown = live_bytes() - before;
    drop(opened);
    grown - heap
}

fn limits(dtype: DType, threads: usize, seqs: usize, tokens: usize, len: usize) -> EngineConfig {
    EngineConfig {
        dtype,
        threads,
        max_num_seqs: seqs,
        max_batched_tokens: tokens,
        max_logit_rows: seqs,
        max_model_len: len,
    }
}

#[test]
fn a_plan_is_what_is_mapped_and_allocated() {
    let mut converted = 0;
    let mut checked = 0;
    for folder in std::fs::read_dir(repo("tests/golden/tiny")).unwrap() {
        let folder = folder.unwrap().path();
        for dtype in [DType::Bf16, DType::F16, DType::F32] {
            converted += u64::from(check_parts(&folder, limits(dtype, 2, 3, 40, 100)) > 0);
            check_parts(&folder, limits(dtype, 1, 1, 7, 17));
            checked += 2;
        }
    }
    assert_eq!(checked, 84);
    assert!(
        converted >= 8,
        "only {converted} runs had matrices to convert"
    );
    let real = real_model();
    check_parts(&real, limits(DType::Bf16, 2, 1, 512, 4096));

    // The allocator's count holds the same bytes and a little that no limit changes, except that a KV block takes five
    // bytes in the tables of who owns it.
    let small = limits(DType::Bf16, 1, 1, 16, 16);
    let large = limits(DType::Bf16, 1, 4, 300, 500);
    let tiny = repo("tests/golden/tiny/untied-gqa2-head128-bf16");
    for folder in [tiny, real] {
        start(&folder, small);
        let (little, much) = (unplanned(&folder, small), unplanned(&folder, large));
        let tables = 5 * (large.num_blocks() - small.num_blocks()) as i64;
        assert_eq!(much - little, tables, "{}", folder.display());
        assert!((0..1 << 18).contains(&little), "{little} bytes unplanned");
    }
}
