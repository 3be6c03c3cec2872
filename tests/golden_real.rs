//! The real Qwen2.5-Coder-0.5B-Instruct against logits by Hugging Face transformers on the same bf16 weights, in f64
//! (`tools/make_golden.py real`). Needs models/, which tools/get-model fills.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use qwarp::DType;
use qwarp::engine::Request;
use support::real_case::{self, Case};
use support::{Run, engine, greedy, real_model};

fn cases() -> (Vec<Case>, serde_json::Value) {
    let index = real_case::index();
    let names = index["cases"].as_array().unwrap().iter();
    let cases: Vec<Case> = names
        .map(|entry| real_case::read(entry["name"].as_str().unwrap()))
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
                        let (kl, worst) = row.distance(logits.logits, min_rest);
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
