//! The real Qwen2.5-Coder-0.5B-Instruct against logits by Hugging Face transformers on the same bf16 weights, in f64
//! (`tools/make_golden.py real`). Needs models/, which tools/get-model fills.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;

use qwarp::DType;
use qwarp::engine::Request;
use support::{Reference, Run, engine, greedy, log_sum_exp, max_difference, real_model, repo};

const FOLDER: &str = "tests/golden/qwen2.5-coder-0.5b-instruct";

/// One prompt's reference: the 64 largest logits at some positions.
struct Case {
    name: String,
    token_ids: Vec<u32>,
    rows: BTreeMap<usize, Row>,
    greedy: Option<Vec<u32>>,
}

struct Row {
    ids: Vec<i32>,
    logits: Vec<f32>,
    log_sum_exp: f64,
}

fn cases() -> (Vec<Case>, serde_json::Value) {
    let index: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(repo(FOLDER).join("cases.json")).unwrap())
            .unwrap();
    let read = |entry: &serde_json::Value| {
        let name = entry["name"].as_str().unwrap();
        let file = Reference::open(&repo(FOLDER).join(format!("{name}.safetensors")));
        let positions = file.ids("positions");
        let (shape, ids) = file.i32("top_ids");
        assert_eq!(shape, [positions.len(), 64]);
        let (_, logits) = file.f32("top_logits");
        let (_, sums) = file.f64("logsumexp");
        let row = |(i, position): (usize, &u32)| {
            let range = 64 * i..64 * (i + 1);
            let row = Row {
                ids: ids[range.clone()].to_vec(),
                logits: logits[range].to_vec(),
                log_sum_exp: sums[i],
            };
            (*position as usize, row)
        };
        Case {
            name: name.to_string(),
            token_ids: file.ids("token_ids"),
            rows: positions.iter().enumerate().map(row).collect(),
            greedy: file.has("greedy_ids").then(|| file.ids("greedy_ids")),
        }
    };
    let cases: Vec<Case> = index["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(read)
        .collect();
    assert_eq!(cases.len(), 10);
    assert_eq!(
        cases
            .iter()
            .filter(|case| case.token_ids.len() >= 1100)
            .count(),
        2
    );
    (cases, index)
}

/// KL and the largest difference of a row of ours from the reference's, over the reference's 64 largest logits.
///
/// Each term is written p ln(p / q) - p + q: never negative, so the sum is a lower bound of the KL over the whole
/// vocabulary, and of second order in the f32 rounding of the stored logits. The rest of the vocabulary is one more such
/// term where its mass is above `min_rest`; below, that mass is itself a rounding error of the 64.
fn distance(row: &Row, ours: &[f32], min_rest: f64) -> (f64, f64) {
    let sum = log_sum_exp(ours);
    let (mut kl, mut p_rest, mut q_rest, mut worst) = (0.0, 1.0, 1.0, 0f64);
    let term = |p: f64, q: f64| p * (p / q).ln() - p + q;
    for (&id, &logit) in row.ids.iter().zip(&row.logits) {
        let p = (f64::from(logit) - row.log_sum_exp).exp();
        let q = (f64::from(ours[id as usize]) - sum).exp();
        kl += term(p, q);
        p_rest -= p;
        q_rest -= q;
        worst = worst.max(max_difference(&[logit], &[ours[id as usize]]));
    }
    if p_rest > min_rest {
        kl += term(p_rest, q_rest);
    }
    (kl, worst)
}

/// Runs every case and gives (KL, largest difference) of each reference position to `check`.
fn for_each_position(dtype: DType, min_rest: f64, check: &mut dyn FnMut(&str, usize, f64, f64)) {
    let folder = real_model();
    let mut engine = engine(&folder, Run::new(dtype), 2301);
    let (cases, _) = cases();
    for case in cases {
        let request = Request {
            wanted_logits: 0..case.token_ids.len(),
            ..Request::new(case.token_ids.clone(), 0)
        };
        engine.submit(request).unwrap();
        let mut seen = 0;
        while !engine.is_idle() {
            engine
                .step(&mut |logits| {
                    if let Some(row) = case.rows.get(&logits.position) {
                        let (kl, worst) = distance(row, logits.logits, min_rest);
                        check(&case.name, logits.position, kl, worst);
                        seen += 1;
                    }
                })
                .unwrap();
        }
        assert_eq!(seen, case.rows.len(), "{}", case.name);
    }
}

#[test]
fn f32_logits_equal_the_reference_at_every_position() {
    let _cores = support::all_cores();
    let (mut count, mut worst_kl, mut worst_difference) = (0, 0f64, 0f64);
    for_each_position(DType::F32, 1e-2, &mut |name, position, kl, worst| {
        assert!(worst <= 5e-4, "{name} at {position}: max |Δlogit| {worst}");
        assert!(kl <= 1e-9, "{name} at {position}: KL {kl}");
        worst_kl = worst_kl.max(kl);
        worst_difference = worst_difference.max(worst);
        count += 1;
    });
    println!("f32: {count} positions, max KL {worst_kl:.2e}, max |Δlogit| {worst_difference:.2e}");
    assert!(count >= 600);
}

#[test]
fn f32_greedy_tokens_equal_the_reference() {
    let _cores = support::all_cores();
    let folder = real_model();
    let mut engine = engine(&folder, Run::new(DType::F32), 256);
    let mut compared = 0;
    for case in cases().0 {
        if let Some(expected) = case.greedy {
            assert_eq!(expected.len(), 48);
            assert_eq!(
                greedy(&mut engine, &case.token_ids, 48),
                expected,
                "{}",
                case.name
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 8);
}

#[test]
fn bf16_is_closer_than_transformers() {
    // Their distance is from their own f32, which is within 1.1e-9 of the f64 reference that ours is measured from.
    let _cores = support::all_cores();
    let theirs = cases().1["all_positions"]["hf_bf16_sdpa"]["kl_coarse"]["mean"]
        .as_f64()
        .unwrap();
    let (mut count, mut sum) = (0, 0.0);
    for_each_position(DType::Bf16, 1e-5, &mut |_, _, kl, _| {
        sum += kl;
        count += 1;
    });
    let mean = sum / f64::from(count);
    println!("bf16: mean KL {mean:.3e} over {count} positions; transformers bf16 {theirs:.3e}");
    assert!(mean <= 1.2e-3 && mean <= theirs, "{mean} against {theirs}");
}

#[test]
fn f16_stays_close() {
    let _cores = support::all_cores();
    let (mut count, mut sum, mut worst) = (0, 0.0, 0f64);
    for_each_position(DType::F16, 1e-5, &mut |name, position, kl, _| {
        assert!(kl <= 2e-4, "{name} at {position}: KL {kl}");
        sum += kl;
        worst = worst.max(kl);
        count += 1;
    });
    println!(
        "f16: mean KL {:.2e}, max {worst:.2e} over {count} positions",
        sum / f64::from(count)
    );
}
