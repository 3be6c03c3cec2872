//! `qwarp bench --device cuda`: every figure of a row from the stand-in's clock, which goes on by half a millisecond with each
//! event, and nothing of the device is kept.

use serde_json::{Value, json};

use super::generate::model;
use super::kernels::have_kernels;
use super::stub::{Machine, library};

pub const TRIALS: &[(&str, fn())] = &[
    ("bench/every_column_has_its_figure", every_column),
    ("bench/no_room_for_a_copy_is_no_limit", no_copy),
];

/// What one lap takes.
const LAP_MS: f64 = 0.5;
/// Free memory of which a quarter is the smallest buffer that a copy is measured with.
const FREE: u64 = 256 << 20;

fn bench(machine: &Machine) -> Vec<Value> {
    let folder = model();
    let path = folder.path().to_str().unwrap();
    let all = ["bench", "--model", path, "--device", "cuda", "-o", "json"];
    let more = ["-p", "12", "-n", "3", "-d", "5", "--batch", "1,3"];
    let last = ["-r", "2", "-t", "1", "--ubatch-size", "7"];
    let out = machine.qwarp(&[&all[..], &more, &last].concat());
    for kind in ["memory", "event", "exec", "graph", "stream", "context"] {
        let (made, ended) = machine.made_and_ended(kind);
        assert_eq!(made, ended, "{kind}");
    }
    serde_json::from_str(&out).unwrap()
}

fn number(object: &Value, field: &str) -> f64 {
    let value = &object[field];
    value.as_f64().unwrap_or_else(|| panic!("{field}: {value}"))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

fn every_column() {
    if !have_kernels() {
        return;
    }
    let machine = Machine::new(Some(library())).with("STUB_FREE", FREE);
    let objects = bench(&machine);
    let tests: Vec<Value> = objects
        .iter()
        .map(|x| json!([x["n_prompt"], x["n_gen"], x["n_sequences"], x["steps"]]))
        .collect();
    // Twelve tokens in steps of seven.
    let expected = [[12, 0, 1, 2], [0, 3, 1, 3], [0, 3, 3, 3]];
    assert_eq!(json!(tests), json!(expected));
    // Eight copies between two events, each read and written.
    let copy = 16.0 * (FREE / 4) as f64 / LAP_MS / 1e6;
    for object in &objects {
        assert_eq!(object["backends"], "CUDA");
        assert_eq!(object["gpu"]["name"], "Stub GPU 0");
        assert_eq!(object["gpu"]["target"], "sm_90");
        assert_eq!(object["gpu"]["compute_capability"], "9.0");
        assert_eq!(object["gpu"]["cuda_version"], 12000);
        assert_eq!(number(object, "device_ms"), LAP_MS);
        assert_eq!(number(object, "with_sampling_ms"), LAP_MS);
        assert!(number(object, "with_detokenise_ms") > LAP_MS);
        // One lap for each step of the run, none for those that only fill the cache.
        let steps = number(object, "steps");
        let busy = [steps * LAP_MS; 2];
        assert_eq!(object["busy_samples_ms"], json!(busy));
        let idle = object["samples_ns"].as_array().unwrap().iter();
        let idle: Vec<f64> = idle
            .map(|ns| 1.0 - busy[0] * 1e6 / ns.as_f64().unwrap())
            .collect();
        assert!(close(
            number(object, "idle_share"),
            (idle[0] + idle[1]) / 2.0
        ));
        let per_ms = |field| number(object, field) / LAP_MS;
        if object["n_gen"] == 0 {
            let tflops = per_ms("flops_per_step") / 1e9;
            assert!(close(number(object, "tflop_per_s"), tflops));
            assert_eq!(object["gb_per_s"], Value::Null);
            assert_eq!(object["percent_of_copy"], Value::Null);
        } else {
            let gb_per_s = per_ms("bytes_per_step") / 1e6;
            assert!(close(number(object, "gb_per_s"), gb_per_s));
            assert_eq!(object["tflop_per_s"], Value::Null);
            assert!(close(number(object, "copy_gb_per_s"), copy));
            assert_eq!(object["copy_samples"].as_array().unwrap().len(), 2);
            let percent = 100.0 * gb_per_s / copy;
            assert!(close(number(object, "percent_of_copy"), percent));
        }
    }
}

fn no_copy() {
    if !have_kernels() {
        return;
    }
    let machine = Machine::new(Some(library())).with("STUB_FREE", FREE - 1024);
    for object in bench(&machine) {
        assert_eq!(object["copy_gb_per_s"], Value::Null);
        assert_eq!(object["percent_of_copy"], Value::Null);
        assert_eq!(object["gb_per_s"].is_number(), object["n_gen"] == 3);
    }
}
