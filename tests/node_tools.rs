//! `qwarp diff` and `qwarp profile`: a planted difference is named by the node where it arises, two backends agree node by
//! node, and every node has a time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;
#[path = "support/synthetic.rs"]
mod synthetic;

use std::path::Path;

use serde_json::Value;
use support::kernels;
use support::plan::qwarp;
use synthetic::{LAYERS, plant};

const IDS: &str = "5,270,31,8,8,119,64,200,17,3,77,140,9,255,18,6,91,44,201";
/// Nodes of a plan: the embedding, nine a layer, the rows, the norm and the head.
const NODES: usize = 1 + 9 * LAYERS + 3;
/// The same where norm, product and what follows run as one.
const JOINED: usize = NODES - 4 * LAYERS;

fn diff(model: &Path, flags: &[&str]) -> (i32, Value, String) {
    let args = ["diff", model.to_str().unwrap(), "--json"];
    let (code, out, error) = qwarp(&[&args[..], flags].concat());
    (code, serde_json::from_str(&out).unwrap_or_default(), error)
}

#[test]
fn backends_agree_node_by_node() {
    if !kernels::have_kernels() {
        return;
    }
    let model = synthetic::model(31);
    // 19 tokens: chunks of 7, 7 and 3, and two tokens alone.
    for (a, b, nodes, unbounded) in [
        ("cpu", "emulator", JOINED, 0),
        ("cpu/f16", "emulator:sm_75/f16", JOINED, 0),
        ("emulator:sm_80/f16", "cpu/f16", JOINED, 0),
        // Attention has no bound between unequal types.
        ("cpu/f32", "cpu/bf16", NODES - LAYERS, LAYERS),
        ("cpu/f32", "emulator:sm_90", JOINED - LAYERS, LAYERS),
    ] {
        let (code, json, error) = diff(
            model.path(),
            &["--token-ids", IDS, "--chunk", "7", "--a", a, "--b", b],
        );
        assert_eq!(code, 0, "{a} {b}: {json:#} {error}");
        assert_eq!(json["step_tokens"], serde_json::json!([7, 7, 3, 1, 1]));
        assert_eq!(json["nodes_within_bounds"], 5 * nodes, "{a} {b}");
        assert_eq!(json["nodes_without_bound"], 5 * unbounded, "{a} {b}");
        // The two sides do differ, so something was compared.
        assert!(
            json["largest_nmse"].as_f64().unwrap() > 0.0,
            "{a} {b}: {json:#}"
        );
        assert_eq!(json["first_over_bound"], Value::Null);
    }
    let flags = ["--token-ids", IDS, "--a", "cpu", "--b", "cpu"];
    assert_eq!(diff(model.path(), &flags).1["largest_nmse"], 0.0);
}

/// Weights that one build has otherwise: tensor, element, the node named on the CPU, and the column.
const PLANTS: [(&str, usize, &str, usize); 6] = [
    ("model.embed_tokens.weight", 31 * 136 + 5, "embed", 5),
    (
        "model.layers.0.self_attn.k_proj.weight",
        20 * 136 + 3,
        "layer 0 qkv",
        192 + 20,
    ),
    (
        "model.layers.1.self_attn.o_proj.weight",
        99 * 192 + 4,
        "layer 1 o",
        99,
    ),
    (
        "model.layers.1.mlp.up_proj.weight",
        7 * 136 + 60,
        "layer 1 gate up",
        152 + 7,
    ),
    (
        "model.layers.2.post_attention_layernorm.weight",
        88,
        "layer 2 post norm",
        88,
    ),
    ("lm_head.weight", 276 * 136, "head", 276),
];

#[test]
fn a_planted_difference_is_named_where_it_arises() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("nodes.safetensors");
    let file = file.to_str().unwrap();
    let first = synthetic::model(32);
    let (code, _, error) = diff(first.path(), &["--token-ids", IDS, "--dump", file]);
    assert_eq!(code, 0, "{error}");
    let (code, json, error) = diff(first.path(), &["--against", file, "--b", "cpu"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(json["largest_nmse"], 0.0);
    for (tensor, element, name, column) in PLANTS {
        let other = synthetic::model(32);
        plant(other.path(), tensor, element, |x| x + 4.0);
        let (code, json, error) = diff(other.path(), &["--against", file, "--b", "cpu"]);
        assert_eq!(code, 1, "{tensor}: {error}");
        let found = &json["first_over_bound"];
        assert_eq!(
            (found["name"].as_str(), found["column"].as_u64()),
            (Some(name), Some(column as u64)),
            "{json:#}"
        );
        assert_ne!(found["a"], found["b"]);
        if kernels::have_kernels() {
            let (code, json, error) = diff(other.path(), &["--against", file, "--b", "emulator"]);
            assert_eq!(code, 1, "{tensor}: {error}");
            let found = &json["first_over_bound"];
            // The emulator runs norm, product and what follows as one. Rotation mixes a key's halves, and an element of a
            // norm reaches every column.
            let (name, columns) = match name {
                "layer 0 qkv" => ("layer 0 rope", vec![column, column + 32]),
                "layer 1 gate up" => ("layer 1 silu mul", vec![column - 152]),
                "layer 2 post norm" => ("layer 2 silu mul", (0..152).collect()),
                _ => (name, vec![column]),
            };
            assert_eq!(found["name"].as_str(), Some(name), "{json:#}");
            let at = found["column"].as_u64().unwrap() as usize;
            assert!(columns.contains(&at), "{json:#}");
        }
    }
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let model = synthetic::model(33);
    let refused = |flags: &[&str], code: i32, part: &str| {
        let (found, _, error) = diff(model.path(), flags);
        assert_eq!(found, code, "{flags:?}: {error}");
        assert!(error.contains(part), "{flags:?}: {error}");
    };
    let ids = ["--token-ids", "5,6"];
    refused(
        &[&ids[..], &["--b", "gpu"]].concat(),
        2,
        "DEVICE[:TARGET][/TYPE]",
    );
    refused(
        &[&ids[..], &["--b", "cpu/f8"]].concat(),
        2,
        "DEVICE[:TARGET][/TYPE]",
    );
    refused(&ids, 2, "--b");
    refused(&["--b", "cpu"], 2, "--prompt");
    refused(
        &["--token-ids", "277", "--b", "cpu"],
        2,
        "below the vocabulary size 277",
    );
    refused(
        &[&ids[..], &["--b", "cpu", "--chunk", "0"]].concat(),
        2,
        "--chunk",
    );
    let bad = model.path().join("model.safetensors");
    let flags = ["--against", bad.to_str().unwrap(), "--b", "cpu"];
    refused(&flags, 3, "a file that qwarp diff --dump wrote");
    let config = model.path().join("config.json");
    let flags = ["--against", config.to_str().unwrap(), "--b", "cpu"];
    refused(&flags, 3, "config.json");
}

#[test]
fn every_node_has_a_time() {
    let model = synthetic::model(34);
    let trace = model.path().join("trace.json");
    let profile = |flags: &[&str]| -> Value {
        let args = [
            "profile",
            "--model",
            model.path().to_str().unwrap(),
            "--json",
        ];
        let (code, out, error) = qwarp(&[&args[..], flags].concat());
        assert_eq!((code, error.as_str()), (0, ""), "{flags:?}");
        serde_json::from_str(&out).unwrap()
    };
    let check = |json: &Value, count: usize, repetitions: usize| {
        let nodes = json["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), count);
        let mut next = 0;
        for node in nodes {
            assert_eq!(node["first_node"], next);
            next = node["last_node"].as_u64().unwrap() + 1;
            assert_eq!(node["samples_ms"].as_array().unwrap().len(), repetitions);
        }
        assert_eq!(next as usize, NODES);
        let sum: f64 = nodes
            .iter()
            .map(|node| node["median_ms"].as_f64().unwrap())
            .sum();
        assert!(sum > 0.0 && (sum / json["step_ms"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    };
    let flags = ["--device", "cpu", "--context", "37", "-r", "3"];
    let traced = ["--trace", trace.to_str().unwrap()];
    let json = profile(&[&flags[..], &traced].concat());
    check(&json, NODES, 3);
    assert_eq!(json["nodes"][1]["name"], "layer 0 input norm");
    assert!(json["device"] == "cpu" && json["gpu"].is_null(), "{json:#}");
    let trace: Value = serde_json::from_slice(&std::fs::read(trace).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    assert_eq!(events.len(), NODES);
    let mut end = 0.0;
    for (event, node) in events.iter().zip(json["nodes"].as_array().unwrap()) {
        assert_eq!(
            (&event["name"], &event["ph"]),
            (&node["name"], &Value::from("X"))
        );
        assert!((event["ts"].as_f64().unwrap() - end).abs() < 1e-6);
        end += event["dur"].as_f64().unwrap();
    }
    if kernels::have_kernels() {
        let json = profile(&[
            "--device",
            "emulator",
            "--context",
            "0",
            "--prefill",
            "9",
            "-r",
            "2",
        ]);
        check(&json, JOINED, 2);
        assert_eq!(
            json["nodes"][4]["name"],
            "layer 0 post norm + layer 0 gate up + layer 0 silu mul"
        );
        let note = json["note"].as_str().unwrap();
        assert!(note.contains("nothing of a GPU"), "{note}");
        assert_eq!(json["gpu"]["target"], "sm_80");
    }
    let args = [
        "profile",
        "--model",
        model.path().to_str().unwrap(),
        "--device",
        "cpu",
    ];
    let (code, out, _) = qwarp(&[&args[..], &["--context", "8"]].concat());
    assert_eq!(code, 0);
    assert!(
        out.contains("layer 2 down") && out.contains("3 x attention"),
        "{out}"
    );
    let (code, _, error) = qwarp(&[&args[..], &["--context", "512"]].concat());
    assert!(
        code == 2 && error.contains("512 + 1 = 513 tokens"),
        "{error}"
    );
}
