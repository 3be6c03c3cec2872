//! `--check-finite`: a value that leaves its type's range is named by layer, op, row and column, on the CPU and on the
//! emulator alike, and a run without one is not changed by looking.

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

use std::path::Path;
use std::process::Command;

use qwarp::backend::cpu::simd;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::driver::Target;
use qwarp::emu::{EmuOptions, Emulator};
use qwarp::engine::{Engine, OpenOptions, Request, open, open_on};
use qwarp::{DType, Error};
use support::greedy;
use support::kernels;
use synthetic::plant;

/// Where a model runs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum On {
    Cpu,
    Emulator(Target),
}

const PROMPT: [u32; 9] = [5, 270, 31, 8, 8, 119, 64, 200, 17];

fn engine(folder: &Path, on: On, dtype: DType) -> Engine {
    let config = ModelConfig::read(folder).unwrap();
    let engine = EngineConfig {
        dtype,
        threads: 2,
        max_num_seqs: 1,
        max_batched_tokens: 5,
        max_logit_rows: 1,
        max_model_len: 32,
    };
    match on {
        On::Cpu => {
            let path = simd::Path::best();
            open(folder, &config, OpenOptions { engine, path })
                .unwrap()
                .engine
        }
        On::Emulator(target) => {
            let emulator = Emulator::new(EmuOptions {
                target,
                host_threads: 2,
                checks: true,
                counters: false,
            });
            open_on(Box::new(emulator), folder, &config, engine).unwrap()
        }
    }
}

/// The first error of a checked run, as op, row, column and value.
fn found(folder: &Path, on: On, dtype: DType) -> (String, usize, usize, f32) {
    let mut engine = engine(folder, on, dtype);
    engine.check_finite();
    engine.submit(Request::new(PROMPT.to_vec(), 2)).unwrap();
    loop {
        match engine.step(&mut |_| {}) {
            Ok(_) => assert!(!engine.is_idle(), "nothing was found"),
            Err(Error::Range {
                op,
                row,
                column,
                value,
                ..
            }) => return (op, row, column.unwrap(), value),
            Err(other) => panic!("{other}"),
        }
    }
}

/// Where overflows are planted: tensor, element, the node that must be named, and the column where one element tells it.
const PLANTS: [(&str, usize, &str, usize); 4] = [
    (
        "model.layers.1.post_attention_layernorm.weight",
        77,
        "layer 1 post norm",
        77,
    ),
    // Position 0 rotates nothing, so the key stands where its bias does: behind three heads of queries.
    (
        "model.layers.2.self_attn.k_proj.bias",
        13,
        "layer 2 rope",
        3 * 64 + 13,
    ),
    (
        "model.layers.0.self_attn.v_proj.bias",
        50,
        "layer 0 rope",
        4 * 64 + 50,
    ),
    ("model.norm.weight", 135, "final norm", 135),
];

#[test]
fn an_overflow_is_named_where_it_arises() {
    if !kernels::have_kernels() {
        return;
    }
    for (tensor, element, node, column) in PLANTS {
        let model = synthetic::model(21);
        plant(model.path(), tensor, element, |_| 3e7);
        for on in [
            On::Cpu,
            On::Emulator(Target::Sm75),
            On::Emulator(Target::Sm80),
        ] {
            let (op, row, at, value) = found(model.path(), on, DType::F16);
            if on != On::Cpu && node == "layer 1 post norm" {
                // There it runs as one with the products and SiLU times up, in which an infinity reaches every column.
                assert_eq!((op.as_str(), row), ("layer 1 silu mul", 0), "{on:?}");
                assert!(!value.is_finite(), "{on:?}: {value}");
                continue;
            }
            assert_eq!((op.as_str(), row, at), (node, 0, column), "{on:?}");
            assert!(value.abs() > 65504.0, "{on:?}: {value}");
        }
    }
}

/// Makes element 9 of what layer 1 down writes infinite in f32, out of finite factors.
fn overflow_down(folder: &Path) {
    plant(folder, "model.layers.1.mlp.up_proj.weight", 3, |_| 1e9);
    plant(
        folder,
        "model.layers.1.mlp.down_proj.weight",
        9 * 152,
        |_| 3e38,
    );
}

#[test]
fn a_product_that_overflows_f32_is_named_itself_not_its_reader() {
    let model = synthetic::model(22);
    overflow_down(model.path());
    let (op, _, column, value) = found(model.path(), On::Cpu, DType::F32);
    assert_eq!((op.as_str(), column), ("layer 1 down", 9));
    assert!(!value.is_finite(), "{value}");
}

#[test]
fn looking_changes_nothing() {
    if !kernels::have_kernels() {
        return;
    }
    let model = synthetic::model(23);
    for on in [On::Cpu, On::Emulator(Target::Sm80)] {
        let plain = greedy(&mut engine(model.path(), on, DType::Bf16), &PROMPT, 4);
        let mut checked = engine(model.path(), on, DType::Bf16);
        checked.check_finite();
        assert_eq!(greedy(&mut checked, &PROMPT, 4), plain, "{on:?}");
        // With steps submitted early, or with that asked for and withheld by the check.
        for check in [false, true] {
            let mut ahead = engine(model.path(), on, DType::Bf16);
            ahead.set_run_ahead(true);
            if check {
                ahead.check_finite();
            }
            let tokens = greedy(&mut ahead, &PROMPT, 4);
            assert_eq!(tokens, plain, "{on:?} {check}");
        }
        assert_eq!(plain.len(), 4);
    }
}

#[test]
fn generate_takes_the_flag() {
    let model = synthetic::model(24);
    let tokenizer = byte_tokenizer::tokenizer_json().to_string();
    std::fs::write(model.path().join("tokenizer.json"), tokenizer).unwrap();
    let run = |flags: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_generate"))
            .args(["--model", model.path().to_str().unwrap()])
            .args(["--token-ids", "5,31,8", "--max-tokens", "3", "--ignore-eos"])
            .args(["--no-cache", "--device", "cpu", "--dtype", "f32", "--json"])
            .args(flags)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), error)
    };
    assert_eq!(run(&["--check-finite"]).0, 0);
    overflow_down(model.path());
    let (code, error) = run(&["--check-finite"]);
    assert_eq!(code, 1, "{error}");
    assert!(
        error.contains("layer 1 down, row ") && error.contains("column 9: "),
        "{error}"
    );
    assert!(error.contains("does not fit f32"), "{error}");
    let (code, error) = run(&[]);
    assert!(code == 1 && !error.contains("layer 1 down"), "{error}");
}
