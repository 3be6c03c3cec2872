//! `qwarp bench`: which tests run, what each object says, and that its figures follow from one another and from the plan.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use qwarp::backend::cpu::simd;
use serde_json::Value;
use support::plan::{plan_json, qwarp};
use support::{repo, scaled_copy};

const MODEL: &str = "untied-mha-f32";

fn tiny(name: &str) -> PathBuf {
    repo("tests/golden/tiny").join(name)
}

/// The arguments of a bench of `model` on the CPU.
fn arguments<'a>(model: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    [&["bench", "--model", model, "--device", "cpu"], flags].concat()
}

/// `qwarp bench -o json` with more flags; it must succeed and say nothing else.
fn bench(name: &str, flags: &[&str]) -> Vec<Value> {
    let folder = tiny(name);
    let flags = [&["-o", "json"], flags].concat();
    let (code, out, error) = qwarp(&arguments(folder.to_str().unwrap(), &flags));
    assert_eq!((code, error.as_str()), (0, ""), "{flags:?}");
    serde_json::from_str(&out).unwrap()
}

fn number(object: &Value, field: &str) -> f64 {
    let value = &object[field];
    value.as_f64().unwrap_or_else(|| panic!("{field}: {value}"))
}

fn list(object: &Value, field: &str) -> Vec<f64> {
    let values = object[field].as_array().unwrap();
    values.iter().map(|value| value.as_f64().unwrap()).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

fn counts(object: &Value) -> [u64; 4] {
    ["n_threads", "n_depth", "n_prompt", "n_gen"].map(|field| object[field].as_u64().unwrap())
}

/// Threads a test may ask for on this machine.
fn threads() -> Vec<u64> {
    let cores = std::thread::available_parallelism().unwrap().get();
    (1..=cores.min(2) as u64).collect()
}

#[test]
fn every_combination_is_one_test() {
    let threads = threads();
    let joined: Vec<String> = threads.iter().map(u64::to_string).collect();
    let joined = joined.join(",");
    let flags = ["-p", "0,9,70", "-n", "3,0", "-d", "40,0", "-r", "2"];
    let more = ["-t", &joined, "--ubatch-size", "32", "--dtype", "bf16"];
    let objects = bench(MODEL, &[&flags[..], &more].concat());
    let mut expected = Vec::new();
    for &threads in &threads {
        for depth in [40, 0] {
            expected.extend([[9, 0], [70, 0], [0, 3]].map(|[p, n]| [threads, depth, p, n]));
        }
    }
    let found: Vec<_> = objects.iter().map(counts).collect();
    assert_eq!(found, expected);
    for object in &objects {
        assert_eq!(
            (&object["n_ubatch"], &object["n_sequences"]),
            (&32.into(), &1.into())
        );
        for field in ["dtype", "type_k", "type_v"] {
            assert_eq!(object[field], "bf16", "{field}");
        }
        assert_eq!(object["simd"], simd::Path::best().name());
        assert_eq!(object["backends"], "CPU");
        let time = object["test_time"].as_str().unwrap();
        assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
    }
}

#[test]
fn figures_follow_from_the_samples() {
    let objects = bench(MODEL, &["-p", "50", "-n", "35", "-d", "0,64", "-r", "4"]);
    assert_eq!(objects.len(), 4);
    for object in &objects {
        let [_, _, prompt, answer] = counts(object);
        let tokens = (prompt + answer) as f64;
        let (ns, ts) = (list(object, "samples_ns"), list(object, "samples_ts"));
        assert_eq!((ns.len(), ts.len()), (4, 4));
        for (ns, ts) in ns.iter().zip(&ts) {
            assert!(*ns > 0.0 && close(*ts, tokens * 1e9 / ns));
        }
        let mean = |x: &[f64]| x.iter().sum::<f64>() / 4.0;
        let deviation = |x: &[f64]| {
            let squares: f64 = x.iter().map(|x_i| (x_i - mean(x)).powi(2)).sum();
            (squares / 3.0).sqrt()
        };
        let middle = |x: &[f64]| {
            let mut x = x.to_vec();
            x.sort_by(f64::total_cmp);
            (x[(x.len() - 1) / 2] + x[x.len() / 2]) / 2.0
        };
        // The two in nanoseconds are whole numbers, rounded down.
        assert_eq!(number(object, "avg_ns"), mean(&ns).floor());
        assert!((deviation(&ns) - number(object, "stddev_ns")).abs() <= 1.0);
        assert!(close(number(object, "avg_ts"), mean(&ts)));
        assert!((number(object, "stddev_ts") - deviation(&ts)).abs() <= 1e-6 * mean(&ts));
        assert!(close(number(object, "median_ts"), middle(&ts)));

        let limits = list(object, "limit_samples");
        let (reached, limit) = if answer > 0 {
            assert!(object["tflop_per_s"].is_null() && object["limit_tflop_per_s"].is_null());
            // After steps 16, 32 and 35 of each repetition.
            assert_eq!(limits.len(), 4 * 3);
            let moved = number(object, "bytes_per_token") * tokens;
            let reached = number(object, "gb_per_s");
            assert!(close(reached, moved / middle(&ns)));
            (reached, number(object, "limit_gb_per_s"))
        } else {
            assert!(object["gb_per_s"].is_null() && object["limit_gb_per_s"].is_null());
            assert_eq!(limits.len(), 4);
            (
                number(object, "tflop_per_s"),
                number(object, "limit_tflop_per_s"),
            )
        };
        assert!(limits.iter().all(|&limit| limit > 0.0) && close(limit, middle(&limits)));
        assert!(close(
            number(object, "percent_of_limit"),
            100.0 * reached / limit
        ));
    }
}

/// A step's cost in the plan: (bytes, FLOPs).
fn planned(name: &str, kind: &str, flags: &[&str]) -> (f64, f64) {
    let total = &plan_json(&tiny(name), flags)["cost"][kind]["total"];
    (number(total, "bytes"), number(total, "flops"))
}

#[test]
fn bytes_and_flops_are_those_of_the_plan() {
    for (name, dtype) in [
        (MODEL, "f32"),
        ("tied-gqa7-bf16", "bf16"),
        ("untied-gqa6-f16-sharded", "f32"),
    ] {
        let flags = ["-p", "60", "-n", "1,4", "-d", "0,100", "-r", "1"];
        let objects = bench(name, &[&flags[..], &["--dtype", dtype]].concat());
        let decode = |context: usize| {
            let context = context.to_string();
            let flags = ["--dtype", dtype, "--context", &context];
            planned(name, "decode", &flags).0
        };
        // Depth 0: the prompt of 60, one token, four tokens; then the same at depth 100.
        let bytes: Vec<f64> = objects
            .iter()
            .map(|x| number(x, "bytes_per_token"))
            .collect();
        assert_eq!(bytes[1], decode(1), "{name}");
        assert_eq!(bytes[4], decode(101), "{name}");
        for (index, depth) in [(2, 0), (5, 100)] {
            let sum: f64 = (1..=4).map(|token| decode(depth + token)).sum();
            assert_eq!(bytes[index], sum / 4.0, "{name} at {depth}");
        }
        assert!(
            bytes[4] > bytes[1] && bytes[3] > bytes[0],
            "a depth was not there"
        );
        let flags = [
            "--dtype",
            dtype,
            "--max-batched-tokens",
            "60",
            "--max-model-len",
            "60",
        ];
        let (prefill_bytes, flops) = planned(name, "prefill", &flags);
        assert!(close(bytes[0] * 60.0, prefill_bytes), "{name}");
        let ns = list(&objects[0], "samples_ns")[0];
        assert!(
            close(number(&objects[0], "tflop_per_s"), flops / ns / 1e3),
            "{name}"
        );
    }
}

#[test]
fn a_batch_counts_the_tokens_of_all_its_sequences() {
    let flags = [
        "-p", "9", "-n", "3", "-d", "20", "--batch", "2,1", "-r", "2",
    ];
    let objects = bench(MODEL, &flags);
    let batches: Vec<u64> = objects
        .iter()
        .map(|x| x["n_sequences"].as_u64().unwrap())
        .collect();
    assert_eq!(batches, [1, 2, 1]);
    for (object, batch) in objects[1..].iter().zip([2.0, 1.0]) {
        for (ns, ts) in list(object, "samples_ns")
            .iter()
            .zip(list(object, "samples_ts"))
        {
            assert!(close(ts, 3.0 * batch * 1e9 / ns));
        }
        let decode = |context: u64| {
            let (context, batch) = (context.to_string(), batch.to_string());
            let flags = ["--context", &context, "--max-num-seqs", &batch];
            planned(MODEL, "decode", &flags).0
        };
        let sum: f64 = (21..=23).map(decode).sum();
        assert!(close(number(object, "bytes_per_token"), sum / 3.0 / batch));
    }
    let folder = tiny(MODEL);
    let (code, out, _) = qwarp(&arguments(folder.to_str().unwrap(), &flags));
    assert_eq!(code, 0);
    assert!(
        out.contains(" tg3 x2 @ d20 |") && out.contains(" tg3 @ d20 |"),
        "{out}"
    );
}

#[test]
fn the_head_describes_the_model() {
    // Tied, so its embedding counts once.
    let object = &bench(
        "tied-gqa7-bf16",
        &["-p", "0", "-n", "1", "-r", "1", "--no-warmup"],
    )[0];
    let path = tiny("tied-gqa7-bf16");
    let (code, out, _) = qwarp(&["inspect", path.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0);
    let inspected: Value = serde_json::from_str(&out).unwrap();
    let read = inspected["tensors"].as_array().unwrap().iter();
    let bytes: u64 = read.map(|tensor| tensor["bytes"].as_u64().unwrap()).sum();
    assert_eq!(object["model_size"], bytes);
    assert_eq!(object["model_n_params"], bytes / 2, "all in bf16");
    assert_eq!(object["model_filename"], path.to_str().unwrap());
    let kind = object["model_type"].as_str().unwrap();
    assert!(
        kind.starts_with("qwen2 ") && kind.ends_with(" BF16"),
        "{kind}"
    );
}

#[test]
fn the_default_output_is_a_markdown_table() {
    let folder = tiny(MODEL);
    let flags = ["-p", "20", "-n", "2", "-d", "0,30", "-r", "2", "-t", "1"];
    let (code, out, error) = qwarp(&arguments(folder.to_str().unwrap(), &flags));
    assert_eq!((code, error.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 2 + 4, "{out}");
    let column = |name: &str| rows[0].iter().position(|cell| *cell == name).unwrap();
    for row in &rows {
        assert_eq!(row.len(), rows[0].len(), "{out}");
    }
    for cell in &rows[1][1..rows[1].len() - 1] {
        let rule = cell.trim_end_matches(':');
        assert!(!rule.is_empty() && rule.chars().all(|c| c == '-'), "{out}");
    }
    let (test, speed) = (column("test"), column("t/s"));
    let names = ["pp20", "tg2", "pp20 @ d30", "tg2 @ d30"];
    for (row, name) in rows[2..].iter().zip(names) {
        assert_eq!(row[test], name);
        let (mean, deviation) = row[speed].split_once(" ± ").unwrap();
        assert!(mean.parse::<f64>().unwrap() > 0.0 && deviation.parse::<f64>().is_ok());
        let unit = if name.starts_with("tg") {
            " GB/s"
        } else {
            " TFLOP/s"
        };
        assert!(row[column("achieved")].ends_with(unit), "{out}");
        assert!(row[column("of limit")].ends_with(" %"), "{out}");
    }
}

#[test]
fn qwarp_simd_takes_the_path_it_names_or_is_refused() {
    let run = |name: &str| {
        Command::new(env!("CARGO_BIN_EXE_qwarp"))
            .env("QWARP_SIMD", name)
            .args(arguments(
                tiny(MODEL).to_str().unwrap(),
                &["-p", "8", "-n", "0"],
            ))
            .args(["-r", "1", "-o", "json"])
            .output()
            .unwrap()
    };
    for path in simd::Path::available() {
        let objects: Value = serde_json::from_slice(&run(path.name()).stdout).unwrap();
        assert_eq!(objects[0]["simd"], path.name());
    }
    let wrong = run("sse9");
    let error = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{error}");
    assert!(
        error.contains("QWARP_SIMD: found 'sse9'") && error.contains("portable"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_numbers() {
    // NaN in a weight: reading weights fails, so a refusal by name shows that none was read.
    let broken = scaled_copy(
        "tests/golden/tiny/untied-mha-f32",
        "lm_head.weight",
        f32::NAN,
    );
    let refused = |flags: &[&str], code: i32, parts: &[&str]| {
        let (found, out, error) = qwarp(&arguments(broken.path().to_str().unwrap(), flags));
        assert_eq!((found, out.as_str()), (code, ""), "{flags:?}: {error}");
        for part in parts {
            assert!(error.contains(part), "{flags:?}: {error}");
        }
    };
    refused(
        &["-p", "500", "-d", "0,13"],
        2,
        &["-d + -p: found 13 + 500 = 513 tokens, expected at most 512"],
    );
    refused(
        &["-p", "0", "-d", "500", "-n", "13"],
        2,
        &["-d + -n", "500 + 13 = 513", "at most 512"],
    );
    refused(
        &["-d", "18446744073709551615"],
        2,
        &["-d + -p", "at most 512"],
    );
    refused(
        &["-p", "0", "-n", "0"],
        2,
        &["-p and -n", "one that is not 0"],
    );
    refused(
        &["-r", "0"],
        2,
        &["--repetitions: found 0, expected at least 1"],
    );
    refused(&["--ubatch-size", "0"], 2, &["--ubatch-size: found 0"]);
    refused(&["-t", "0"], 2, &["--threads: found 0, expected 1 to"]);
    refused(
        &["-t", "1,100000"],
        2,
        &["--threads: found 100000, expected 1 to"],
    );
    refused(&["-p", "eight"], 2, &["eight"]);
    refused(&["-o", "csv"], 2, &["csv", "json"]);
    // What is allowed gets as far as the weights; the head of the table is printed by then.
    let allowed = arguments(broken.path().to_str().unwrap(), &["-p", "512", "-n", "0"]);
    let (code, _, error) = qwarp(&allowed);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("lm_head.weight"), "{error}");
    let nowhere = repo("tests/golden/nowhere");
    let (code, out, error) = qwarp(&arguments(nowhere.to_str().unwrap(), &[]));
    assert_eq!((code, out.as_str()), (3, ""), "{error}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_run_after_its_step() {
    let folder = tiny(MODEL);
    let flags = ["-p", "1", "-n", "400", "-r", "1000000", "--no-warmup"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_qwarp"))
        .args(arguments(folder.to_str().unwrap(), &flags))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The head is printed once the handler is there.
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(out.next().unwrap().unwrap().contains("t/s"));
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(out.count(), 1, "only the rule of the table, no result");
}
