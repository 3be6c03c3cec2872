//! `tokenizer.json` and `tokenizer_config.json`: what would change ids unseen, and what makes the crate panic.

use std::fs;
use std::path::Path;

use qwarp::tokenizer::Tokenizer;
use qwarp::tokenizer::chat::ChatTemplate;
use serde_json::{Value, json};

use super::{Case, check};
use crate::byte_tokenizer::{added, bos_first, tokenizer_json};

const FILE: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";

/// A good folder.
pub fn good() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "bos_token": "<s>", "chat_template": "{{ bos_token }}" });
    fs::write(folder.path().join(FILE), tokenizer_json().to_string()).unwrap();
    fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
    folder
}

fn open(folder: &Path) -> qwarp::Result<()> {
    let tokenizer = Tokenizer::open(folder)?;
    tokenizer.encode_prompt("hello")?;
    ChatTemplate::open(folder).map(drop)
}

#[test]
fn tokenizers_are_refused_by_field() {
    check(cases(), good, open);
}

#[test]
fn tokenizer_configs_are_refused_by_field() {
    check(config_cases(), good, open);
}

fn edited(
    file: &'static str,
    name: &str,
    mentions: &[&str],
    edit: impl Fn(&mut Value) + 'static,
) -> Case {
    let mut all = vec![file];
    all.extend(mentions);
    Case::new(name, &all, move |folder| {
        let path = folder.join(file);
        let mut value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        edit(&mut value);
        fs::write(path, value.to_string()).unwrap();
    })
}

/// A row that sets what a JSON pointer points to; the last step of it may be new.
fn set(pointer: &'static str, value: Value, mentions: &[&str]) -> Case {
    let shown: String = value.to_string().chars().take(60).collect();
    edited(
        FILE,
        &format!("{pointer} = {shown}"),
        mentions,
        move |file| {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let parent = file.pointer_mut(parent).unwrap();
            match key.parse::<usize>() {
                Ok(index) if parent.is_array() => parent[index] = value.clone(),
                _ => parent[key] = value.clone(),
            }
        },
    )
}

/// A row whose post-processor is the good one with a value at a pointer.
fn processor(pointer: &'static str, value: Value, mentions: &[&str]) -> Case {
    edited(
        FILE,
        &format!("post_processor{pointer} = {value}"),
        mentions,
        move |file| {
            bos_first(file);
            *file["post_processor"].pointer_mut(pointer).unwrap() = value.clone();
        },
    )
}

/// Every row of `tokenizer.json`.
pub fn cases() -> Vec<Case> {
    let split = json!({ "type": "Split", "pattern": { "Regex": "(" }, "behavior": "Isolated", "invert": false });
    let ghost = json!({ "SpecialToken": { "id": "<ghost>", "type_id": 0 } });
    let second = json!({ "Sequence": { "id": "B", "type_id": 0 } });
    let word_level = json!({ "type": "WordLevel", "vocab": {}, "unk_token": "x" });
    let two_decoders = tokenizer_json()
        .to_string()
        .replacen('{', "{\"decoder\":null,", 1);
    let half_decoder = tokenizer_json()
        .to_string()
        .replace("\"decoder\":{", "\"decoder\":{,");
    vec![
        set("/model", word_level, &["model.type", "BPE"]),
        set("/model", json!({}), &[]),
        set("/model/dropout", json!(0.5), &["model.dropout"]),
        set("/model/vocab", json!([]), &["model.merges", "longest"]),
        set("/model/vocab/x", json!(5), &["token id 5"]),
        set("/model/vocab/x", json!(-1), &["JSON"]),
        set("/model/vocab/x", json!(1.5), &["JSON"]),
        set(
            "/model/vocab/x",
            json!(1 << 20),
            &["token id", "1048576", "1048575"],
        ),
        set("/model/vocab/x", json!(4_000_000_000_u32), &["token id"]),
        set("/model/vocab/x", json!(1_u64 << 32), &["JSON"]),
        set("/model/merges/0", json!(["h", "nope"]), &["JSON", "nope"]),
        set("/model/merges/0", json!(["h"]), &["JSON"]),
        set(
            "/model/merges/3",
            json!(["hell", "hell"]),
            &["model.merges[3]", "8 bytes", "at most 6"],
        ),
        set(
            "/model/continuing_subword_prefix",
            json!("##"),
            &["model.continuing_subword_prefix", "##", "none"],
        ),
        set("/model/merges", json!("h e"), &["JSON"]),
        set("/decoder", Value::Null, &["decoder.type", "ByteLevel"]),
        set("/decoder", json!("ByteLevel"), &["decoder.type"]),
        set(
            "/decoder",
            json!({ "type": "Fuse" }),
            &["decoder.type", "Fuse"],
        ),
        set(
            "/decoder",
            json!({ "type": "ByteLevel", "add_prefix_space": 1 }),
            &["JSON"],
        ),
        set("/added_tokens/1/id", json!(300), &["<soft>", "300", "261"]),
        set("/added_tokens/0/id", json!(-1), &["JSON", "-1"]),
        set(
            "/added_tokens/0/content",
            json!(""),
            &["added_tokens, \"\""],
        ),
        set(
            "/added_tokens/0",
            added(260, "he", true),
            &["added_tokens, \"he\"", "260", "256"],
        ),
        set("/added_tokens", json!({}), &["JSON"]),
        set("/version", json!("9"), &["version"]),
        set("/pre_tokenizer", split, &["JSON"]),
        set("/pre_tokenizer", json!({ "type": "Nothing" }), &["JSON"]),
        set("/normalizer", json!({ "type": 1 }), &["normalizer.type"]),
        set(
            "/post_processor",
            json!({ "type": "TemplateProcessing" }),
            &["JSON"],
        ),
        processor(
            "/single/0",
            ghost.clone(),
            &["post_processor.single", "<ghost>"],
        ),
        processor("/pair/0", ghost, &["post_processor.pair", "<ghost>"]),
        processor("/single/1", second, &["post_processor.single", "\"B\""]),
        processor(
            "/special_tokens",
            json!({}),
            &["post_processor.single", "<s>"],
        ),
        edited(
            FILE,
            "no byte",
            &["model.vocab, byte 0xff", "no token"],
            |file| {
                let vocab = file["model"]["vocab"].as_object_mut().unwrap();
                let id = vocab.remove("ÿ").unwrap();
                vocab.insert("zz".into(), id);
            },
        ),
        edited(FILE, "no model", &["JSON"], |file| {
            file.as_object_mut().unwrap().remove("model");
        }),
        Case::content("empty", FILE, "", &[FILE, "JSON"]),
        Case::content("a list", FILE, "[]", &[FILE]),
        Case::content(
            "cut",
            FILE,
            &tokenizer_json().to_string()[..600],
            &[FILE, "JSON"],
        ),
        Case::content(
            "not UTF-8",
            FILE,
            b"{\"\xff\": 1}".as_slice(),
            &[FILE, "UTF-8"],
        ),
        Case::content("lists in lists", FILE, "[".repeat(1 << 20), &[FILE, "JSON"]),
        Case::content(
            "decoder twice",
            FILE,
            two_decoders,
            &[FILE, "duplicate field"],
        ),
        Case::content(
            "decoder that is not JSON",
            FILE,
            half_decoder,
            &[FILE, "JSON"],
        ),
        Case::new("no file", &[FILE, "open"], |folder| {
            fs::remove_file(folder.join(FILE)).unwrap()
        }),
        Case::new("65 MiB", &[FILE, "68157440", "67108864"], |folder| {
            let file = fs::File::create(folder.join(FILE)).unwrap();
            file.set_len(65 << 20).unwrap();
        }),
    ]
}

/// Every row of `tokenizer_config.json`.
pub fn config_cases() -> Vec<Case> {
    let whole = |name: &str, value: Value, mentions: &[&str]| {
        edited(CONFIG, name, mentions, move |config| {
            *config = value.clone()
        })
    };
    vec![
        whole("BOS a number", json!({ "bos_token": 7 }), &["JSON"]),
        whole(
            "EOS without content",
            json!({ "eos_token": { "id": 1 } }),
            &["JSON"],
        ),
        whole(
            "policy a text",
            json!({ "add_bos_token": "yes" }),
            &["JSON", "yes"],
        ),
        whole(
            "BOS that is no token",
            json!({ "add_bos_token": true, "bos_token": "<none>" }),
            &["bos_token", "<none>"],
        ),
        whole(
            "BOS asked for and not named",
            json!({ "add_bos_token": true }),
            &["bos_token", "none"],
        ),
        whole(
            "template a number",
            json!({ "chat_template": 1 }),
            &["chat_template", "a text or a list"],
        ),
        whole(
            "template an object",
            json!({ "chat_template": { "a": 1 } }),
            &["chat_template"],
        ),
        whole(
            "no default template",
            json!({ "chat_template": [{ "name": "rag", "template": "x" }] }),
            &["default"],
        ),
        whole(
            "a default without text",
            json!({ "chat_template": [{ "name": "default" }] }),
            &["default"],
        ),
        whole(
            "a list of texts",
            json!({ "chat_template": ["x"] }),
            &["default"],
        ),
        Case::content("empty", CONFIG, "", &[CONFIG, "JSON"]),
        Case::content("cut", CONFIG, "{\"bos_token\": \"<s", &[CONFIG, "JSON"]),
        Case::content("not UTF-8", CONFIG, b"\xff".as_slice(), &[CONFIG, "UTF-8"]),
        Case::content(
            "a field twice",
            CONFIG,
            "{\"bos_token\":\"<s>\",\"bos_token\":\"x\"}",
            &[CONFIG, "duplicate"],
        ),
        Case::content(
            "lists in lists",
            CONFIG,
            format!("{{\"chat_template\":{}", "[".repeat(100_000)),
            &[CONFIG, "recursion"],
        ),
    ]
}
