//! The tokenizer of GGUF metadata: what it becomes, and what is refused with key and values.

// The lints let a test panic, but not the helpers beside it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use qwarp::checkpoint::gguf::{Metadata, TokenizerFiles, Value, tokenizer_files};
use qwarp::tokenizer::{Specials, Tokenizer};
use qwarp::{Error, limits::LIMITS};

const FILE: &str = "small.gguf";

/// Keys and values of a small tokenizer: 256 bytes, two merged tokens, padding, two added tokens.
fn entries() -> Vec<(&'static str, Value)> {
    let printable =
        |byte: u32| (33..=126).contains(&byte) || (161..=255).contains(&byte) && byte != 173;
    let mut next = 256;
    let mut tokens: Vec<String> = (0..256)
        .map(|byte| {
            let code = if printable(byte) { byte } else { next };
            next += u32::from(!printable(byte));
            char::from_u32(code).unwrap().to_string()
        })
        .collect();
    let mut types = vec![1; 256];
    for (token, kind) in [
        ("ab", 1),
        ("Ġab", 1),
        ("<bos>", 3),
        ("<note>", 4),
        ("[PAD260]", 5),
        ("[PAD261]", 5),
    ] {
        tokens.push(token.to_string());
        types.push(kind);
    }
    let text = |text: &str| Value::String(text.to_string());
    vec![
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("qwen2")),
        ("tokenizer.ggml.tokens", Value::Strings(tokens)),
        ("tokenizer.ggml.token_type", Value::I32s(types)),
        (
            "tokenizer.ggml.merges",
            Value::Strings(vec!["a b".to_string(), "Ġ ab".to_string()]),
        ),
        ("tokenizer.ggml.bos_token_id", Value::U32(258)),
        ("tokenizer.ggml.eos_token_id", Value::U32(259)),
        ("tokenizer.ggml.padding_token_id", Value::U32(258)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
        ("tokenizer.chat_template", text("{{ bos_token }}x")),
    ]
}

/// The files after `edits` have replaced entries; `None` takes one out.
fn convert(edits: &[(&'static str, Option<Value>)]) -> Result<TokenizerFiles, Error> {
    let mut all = entries();
    for (key, value) in edits {
        all.retain(|(name, _)| name != key);
        all.extend(value.clone().map(|value| (*key, value)));
    }
    let mut metadata = Metadata::new(FILE);
    for (key, value) in all {
        metadata.insert(key.to_string(), value)?;
    }
    tokenizer_files(Path::new(FILE), &metadata)
}

fn open(files: &TokenizerFiles) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("tokenizer.json"),
        files.tokenizer_json.to_string(),
    )
    .unwrap();
    std::fs::write(
        folder.path().join("tokenizer_config.json"),
        files.tokenizer_config.to_string(),
    )
    .unwrap();
    Tokenizer::open(folder.path()).unwrap()
}

/// The token list or type list with one element changed.
fn changed(key: &str, index: usize, text: &str, kind: i32) -> Value {
    let entry = entries()
        .into_iter()
        .find(|(name, _)| *name == key)
        .unwrap()
        .1;
    match entry {
        Value::Strings(mut list) => {
            list[index] = text.to_string();
            Value::Strings(list)
        }
        Value::I32s(mut list) => {
            list[index] = kind;
            Value::I32s(list)
        }
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn the_files_open_and_encode() {
    let files = convert(&[]).unwrap();
    assert_eq!(files.chat_template.as_deref(), Some("{{ bos_token }}x"));
    assert_eq!(files.tokenizer_config["bos_token"], "<bos>");
    assert_eq!(files.tokenizer_config["eos_token"], "<note>");
    assert_eq!(files.tokenizer_json["normalizer"]["type"], "NFC");
    let tokenizer = open(&files);
    assert_eq!(tokenizer.vocab_size(), 260);
    assert_eq!(tokenizer.prompt_bos(), Some(258));
    assert_eq!(
        tokenizer.encode("ab ab<note>b[PAD260]").unwrap()[..4],
        [256, 257, 259, 98]
    );
    assert_eq!(tokenizer.encode_prompt("ab").unwrap(), [258, 256]);
    assert_eq!(
        tokenizer.encode("e\u{301}").unwrap(),
        tokenizer.encode("\u{e9}").unwrap()
    );
    assert_eq!(
        tokenizer.decode(&[258, 257, 259], Specials::Skip),
        " ab<note>"
    );
    assert_eq!(
        tokenizer.decode(&[258, 257, 259, 260], Specials::Show),
        "<bos> ab<note>"
    );
}

#[test]
fn the_r1_pre_tokenizer_does_not_compose() {
    let r1 = Some(Value::String("deepseek-r1-qwen".to_string()));
    let files = convert(&[
        ("tokenizer.ggml.pre", r1),
        ("tokenizer.ggml.add_bos_token", None),
    ])
    .unwrap();
    assert!(files.tokenizer_json["normalizer"].is_null());
    let tokenizer = open(&files);
    assert_eq!(tokenizer.prompt_bos(), None);
    assert_ne!(
        tokenizer.encode("e\u{301}").unwrap(),
        tokenizer.encode("\u{e9}").unwrap()
    );
}

/// Added tokens in front of normal ones, and padding between: ids stay those of the file.
#[test]
fn ids_with_holes_are_kept() {
    let files = convert(&[
        (
            "tokenizer.ggml.token_type",
            Some(changed("tokenizer.ggml.token_type", 258, "", 5)),
        ),
        ("tokenizer.ggml.bos_token_id", Some(Value::U32(259))),
        ("tokenizer.ggml.padding_token_id", None),
    ])
    .unwrap();
    let tokenizer = open(&files);
    assert_eq!(tokenizer.token_id("<note>"), Some(259));
    assert_eq!(tokenizer.encode("ab<note>").unwrap(), [256, 259]);
    assert_eq!(tokenizer.decode(&[259, 258], Specials::Show), "<note>");
}

#[test]
fn bad_metadata_is_refused_with_key_and_values() {
    let (model, pre, tokens, types, merges) = (
        "tokenizer.ggml.model",
        "tokenizer.ggml.pre",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.merges",
    );
    let text = |text: &str| Some(Value::String(text.to_string()));
    let merge = |text: &str| Some(Value::Strings(vec!["a b".to_string(), text.to_string()]));
    let cases: Vec<(&'static str, Option<Value>, &str)> = vec![
        (model, None, "tokenizer.ggml.model: found no entry"),
        (model, text("llama"), "tokenizer.ggml.model = llama"),
        (model, Some(Value::U32(1)), "found UINT32, expected STRING"),
        (pre, None, "tokenizer.ggml.pre: found no entry"),
        (pre, text("llama-bpe"), "tokenizer.ggml.pre = llama-bpe"),
        (tokens, None, "tokenizer.ggml.tokens: found no entry"),
        (tokens, Some(Value::I32s(vec![1])), "found ARRAY of INT32"),
        (
            tokens,
            Some(changed(tokens, 256, "b", 0)),
            "tokenizer.ggml.tokens[256]: found \"b\", also token 98",
        ),
        (
            tokens,
            Some(changed(tokens, 259, "<bos>", 0)),
            "tokenizer.ggml.tokens[259]: found \"<bos>\", also token 258",
        ),
        (
            tokens,
            Some(changed(tokens, 258, "", 0)),
            "tokenizer.ggml.tokens[258]: found an empty token",
        ),
        (types, None, "tokenizer.ggml.token_type: found no entry"),
        (
            types,
            Some(Value::I32s(vec![1; 261])),
            "found 261 entries, expected 262 entries",
        ),
        (
            types,
            Some(changed(types, 7, "", 6)),
            "tokenizer.ggml.token_type[7] = 6",
        ),
        (
            types,
            Some(changed(types, 7, "", -1)),
            "tokenizer.ggml.token_type[7] = -1",
        ),
        (
            types,
            Some(changed(types, 256, "", 5)),
            "tokenizer.ggml.merges[0]",
        ),
        (merges, None, "tokenizer.ggml.merges: found no entry"),
        (
            merges,
            merge("ab"),
            "tokenizer.ggml.merges[1]: found \"ab\"",
        ),
        (
            merges,
            merge("a b c"),
            "tokenizer.ggml.merges[1]: found \"a b c\"",
        ),
        (
            merges,
            merge(" b"),
            "tokenizer.ggml.merges[1]: found \" b\"",
        ),
        (
            merges,
            merge("a c"),
            "found \"a c\", expected \"ac\" among the normal tokens",
        ),
        (
            merges,
            merge("zz b"),
            "expected \"zz\" among the normal tokens",
        ),
        (
            "tokenizer.ggml.bos_token_id",
            Some(Value::U32(262)),
            "bos_token_id: found 262",
        ),
        (
            "tokenizer.ggml.bos_token_id",
            Some(Value::U32(260)),
            "bos_token_id: found 260",
        ),
        (
            "tokenizer.ggml.bos_token_id",
            None,
            "bos_token_id: found no entry",
        ),
        (
            "tokenizer.ggml.eos_token_id",
            Some(Value::U32(u32::MAX)),
            "eos_token_id: found 4294967295",
        ),
        (
            "tokenizer.ggml.padding_token_id",
            Some(Value::I32(-1)),
            "found INT32, expected UINT32",
        ),
        (
            "tokenizer.ggml.add_bos_token",
            Some(Value::U8(1)),
            "found UINT8, expected BOOL",
        ),
        (
            "tokenizer.ggml.add_eos_token",
            Some(Value::Bool(true)),
            "add_eos_token = true",
        ),
        (
            "tokenizer.chat_template",
            Some(Value::Strings(vec![])),
            "found ARRAY of STRING",
        ),
    ];
    for (key, value, part) in cases {
        match convert(&[(key, value)]) {
            Ok(_) => panic!("{part}: accepted"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(part) && text.contains(FILE), "{part}: {text}");
            }
        }
    }
    let many = usize::try_from(LIMITS.vocab).unwrap() + 1;
    let tokens_over = Value::Strings((0..many).map(|id| id.to_string()).collect());
    let error = convert(&[
        (tokens, Some(tokens_over)),
        (types, Some(Value::I32s(vec![1; many]))),
    ])
    .unwrap_err();
    assert!(
        matches!(error, Error::Limit { found, .. } if found == many as u64),
        "{error}"
    );
}
