//! `model.safetensors.index.json`: entries that the shards contradict, and names that reach out of the folder.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::config::open_model;
use super::{Case, SHARDED, check, copy};

const FILE: &str = "model.safetensors.index.json";
const NORM: &str = "model.norm.weight";
const FIRST: &str = "model-00001-of-00003.safetensors";
const SECOND: &str = "model-00002-of-00003.safetensors";

#[test]
fn shard_indexes_are_refused_by_tensor() {
    check(cases(), || copy(SHARDED), open_model);
}

fn edited(name: &str, mentions: &[&str], edit: impl Fn(&mut Value) + 'static) -> Case {
    let mut all = vec![FILE];
    all.extend(mentions);
    Case::new(name, &all, move |folder| {
        let path = folder.join(FILE);
        let mut index: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        edit(&mut index);
        fs::write(path, index.to_string()).unwrap();
    })
}

fn norm(value: Value, mentions: &[&str]) -> Case {
    edited(&format!("norm in {value}"), mentions, move |index| {
        index["weight_map"][NORM] = value.clone()
    })
}

fn map(value: Value, mentions: &[&str]) -> Case {
    edited(&format!("map {value}"), mentions, move |index| {
        index["weight_map"] = value.clone()
    })
}

/// Every row.
pub fn cases() -> Vec<Case> {
    let name = "a .safetensors file name in this folder";
    let shard = |path: &Path| path.join(SECOND);
    vec![
        norm(json!(5), &[NORM, "5", "a file name"]),
        norm(json!(null), &[NORM, "null", "a file name"]),
        norm(json!([FIRST]), &[NORM, "a file name"]),
        norm(json!(FIRST), &["weight_map"]),
        norm(
            json!("other.safetensors"),
            &["other.safetensors", "missing"],
        ),
        norm(json!("../x.safetensors"), &["../x.safetensors", name]),
        norm(json!("/etc/x.safetensors"), &["/etc/x.safetensors", name]),
        norm(json!("a\\x.safetensors"), &["weight_map", name]),
        norm(json!(".."), &["weight_map", name]),
        norm(json!(""), &["weight_map", name]),
        norm(json!("config.json"), &["config.json", name]),
        norm(json!("pytorch_model.bin"), &["pytorch_model.bin", name]),
        norm(json!("x.safetensors\u{0}"), &["weight_map", name]),
        map(json!([]), &["weight_map", "[]"]),
        map(json!({}), &["weight_map", "at least one tensor"]),
        map(json!("x"), &["weight_map", "an object"]),
        edited("no map", &["weight_map", "nothing"], |index| {
            index.as_object_mut().unwrap().remove("weight_map");
        }),
        edited("no norm", &[NORM, "no file"], |index| {
            index["weight_map"].as_object_mut().unwrap().remove(NORM);
        }),
        edited("a tensor more", &["ghost"], |index| {
            index["weight_map"]["ghost"] = json!(FIRST)
        }),
        edited("too many shards", &["shards", "limit of 1000"], |index| {
            let entry = |i: usize| (i.to_string(), json!(format!("{i}.safetensors")));
            index["weight_map"] = Value::Object((0..1_001).map(entry).collect::<Map<_, _>>());
        }),
        edited(
            "too many tensors",
            &["tensors", "100001", "100000"],
            |index| {
                let entry = |i: usize| (i.to_string(), json!(FIRST));
                index["weight_map"] = Value::Object((0..100_001).map(entry).collect::<Map<_, _>>());
            },
        ),
        Case::content(
            "not JSON",
            FILE,
            "{\"weight_map\":",
            &[FILE, "line 1", "JSON"],
        ),
        Case::content("a list", FILE, "[]", &[FILE, "an array", "object"]),
        Case::new("a shard less", &[FILE, SECOND, "missing"], move |folder| {
            fs::remove_file(shard(folder)).unwrap()
        }),
        Case::new(
            "a folder for a shard",
            &[FILE, SECOND, "missing"],
            move |folder| {
                fs::remove_file(shard(folder)).unwrap();
                fs::create_dir(shard(folder)).unwrap();
            },
        ),
        Case::new("half a shard", &[SECOND, "file length"], move |folder| {
            let bytes = fs::read(shard(folder)).unwrap();
            fs::write(shard(folder), &bytes[..bytes.len() / 2]).unwrap();
        }),
        Case::new(
            "an empty shard",
            &[SECOND, "file length", "0"],
            move |folder| fs::write(shard(folder), b"").unwrap(),
        ),
        Case::new(
            "a shard in another's place",
            &["weight_map"],
            move |folder| {
                fs::copy(folder.join(FIRST), shard(folder)).unwrap();
            },
        ),
    ]
}
