//! A small byte-level tokenizer made by hand: what folders are refused, what BOS policy they set, how ids decode.

// The lints let a test panic, but not the helpers beside it.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/byte_tokenizer.rs"]
mod byte_tokenizer;

use std::panic::catch_unwind;
use std::path::Path;

use qwarp::Error;
use qwarp::tokenizer::chat::{Chat, ChatTemplate, CivilTime};
use qwarp::tokenizer::{Specials, Tokenizer};
use serde_json::{Map, Value, json};

use byte_tokenizer::{added, tokenizer_json};

fn write(folder: &Path, tokenizer: &Value, config: &Value) {
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
}

fn open(edit: impl Fn(&mut Value, &mut Value)) -> Result<Tokenizer, Error> {
    let folder = tempfile::tempdir().unwrap();
    let (mut tokenizer, mut config) = (
        tokenizer_json(),
        json!({ "bos_token": "<s>", "eos_token": { "content": "<soft>" } }),
    );
    edit(&mut tokenizer, &mut config);
    write(folder.path(), &tokenizer, &config);
    Tokenizer::open(folder.path())
}

fn bos_first(tokenizer: &mut Value) {
    tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
        "special_tokens": { "<s>": { "id": "<s>", "ids": [260], "tokens": ["<s>"] } },
    });
}

#[test]
fn text_is_cut_merged_and_never_truncated_or_padded() {
    let tokenizer = open(|_, _| {}).unwrap();
    assert_eq!(
        tokenizer.encode("hello hello").unwrap(),
        [258, 111, 259, 111]
    );
    assert_eq!(
        tokenizer.encode("he<s>lo<soft>!").unwrap(),
        [256, 260, 108, 111, 261, 33]
    );
    assert_eq!(tokenizer.encode("é").unwrap(), [0xC3, 0xA9]);
    assert_eq!(tokenizer.encode("").unwrap(), [0u32; 0]);
    assert_eq!(tokenizer.vocab_size(), 263);
    assert_eq!(tokenizer.token_id("Ġhell"), Some(259));
    assert_eq!(tokenizer.token_id("nope"), None);
    let texts = tokenizer.special_texts();
    assert_eq!(
        (
            texts.bos.as_deref(),
            texts.eos.as_deref(),
            texts.pad.as_deref()
        ),
        (Some("<s>"), Some("<soft>"), None)
    );
}

#[test]
fn special_tokens_are_shown_or_skipped_and_bytes_join_across_tokens() {
    let tokenizer = open(|_, _| {}).unwrap();
    let ids = [259, 260, 0xC3, 261, 0xC3, 0xA9, 262, 0xF0, 0x9F];
    assert_eq!(
        tokenizer.decode(&ids, Specials::Show),
        " hell<s>\u{FFFD}<soft>éé∎\u{FFFD}"
    );
    assert_eq!(
        tokenizer.decode(&ids, Specials::Skip),
        " hell\u{FFFD}<soft>é\u{FFFD}"
    );
    // A skipped token between two halves of a character does not part them.
    assert_eq!(tokenizer.decode(&[0xC3, 260, 0xA9], Specials::Skip), "é");
    assert_eq!(
        tokenizer.decode(&[0xC3, 260, 0xA9], Specials::Show),
        "\u{FFFD}<s>\u{FFFD}"
    );
    assert_eq!(tokenizer.decode(&[263, 1 << 30], Specials::Show), "");
}

#[test]
fn the_bos_policy_is_that_of_the_config_and_then_of_the_post_processor() {
    let policy = |post: bool, add: Value| {
        let tokenizer = open(|tokenizer, config| {
            if post {
                bos_first(tokenizer);
            }
            config["add_bos_token"] = add.clone();
        });
        tokenizer.unwrap().encode_prompt("he").unwrap()
    };
    assert_eq!(policy(false, Value::Null), [256]);
    assert_eq!(policy(false, json!(false)), [256]);
    assert_eq!(policy(false, json!(true)), [260, 256]);
    assert_eq!(policy(true, Value::Null), [260, 256]);
    assert_eq!(policy(true, json!(true)), [260, 256]);
    assert_eq!(policy(true, json!(false)), [256]);
    let tokenizer = open(|tokenizer, _| bos_first(tokenizer)).unwrap();
    assert_eq!(tokenizer.encode_prompt("<s>he").unwrap(), [260, 256]);
    assert_eq!(tokenizer.encode("he").unwrap(), [256]);
}

#[test]
fn a_folder_without_config_has_no_policy_and_no_template() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("tokenizer.json"),
        tokenizer_json().to_string(),
    )
    .unwrap();
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    assert_eq!(tokenizer.prompt_bos(), None);
    assert!(ChatTemplate::open(folder.path()).unwrap().is_none());
}

#[test]
fn what_would_change_ids_unseen_is_refused() {
    type Edit = fn(&mut Value, &mut Value);
    let cases: [(Edit, &str); 17] = [
        (
            |t, _| t["model"] = json!({ "type": "WordLevel", "vocab": {}, "unk_token": "x" }),
            "model.type",
        ),
        (|t, _| t["model"]["dropout"] = json!(0.5), "model.dropout"),
        (|t, _| t["decoder"] = Value::Null, "decoder.type"),
        (
            |t, _| t["decoder"] = json!({ "type": "Fuse" }),
            "decoder.type",
        ),
        (
            |t, _| t["added_tokens"][1]["id"] = json!(300),
            "added_tokens, \"<soft>\", id: found 300, expected 261",
        ),
        (
            |t, _| t["added_tokens"][0]["content"] = json!(""),
            "added_tokens, \"\"",
        ),
        (
            |t, _| t["added_tokens"][0]["id"] = json!(-1),
            "tokenizer.json",
        ),
        (|t, _| t["model"]["vocab"]["x"] = json!(5), "token id 5"),
        (
            |t, _| t["model"]["vocab"]["x"] = json!(4_000_000_000u32),
            "token id",
        ),
        (
            |t, _| t["model"]["merges"][0] = json!(["h", "nope"]),
            "tokenizer.json",
        ),
        (
            |t, _| drop(t["model"]["vocab"].as_object_mut().unwrap().remove("Ġ")),
            "tokenizer.json",
        ),
        (|t, _| t["version"] = json!("9"), "version"),
        (
            |t, _| t["pre_tokenizer"] = json!({ "type": "Split", "pattern": { "Regex": "(" }, "behavior": "Isolated", "invert": false }),
            "tokenizer.json",
        ),
        (|t, _| *t = json!([]), "tokenizer.json"),
        (|_, c| c["bos_token"] = json!(7), "tokenizer_config.json"),
        (
            |_, c| *c = json!({ "add_bos_token": true, "bos_token": "<none>" }),
            "bos_token",
        ),
        (
            |t, c| {
                bos_first(t);
                c["bos_token"] = json!("<soft>");
            },
            "post_processor",
        ),
    ];
    for (index, (edit, part)) in cases.iter().enumerate() {
        match open(edit) {
            Ok(_) => panic!("case {index} ({part}) opens"),
            Err(error) => assert!(
                error.to_string().contains(part),
                "case {index} ({part}): {error}"
            ),
        }
    }
}

/// Whether the crate itself panics on `tokenizer` and a text: what stands here must not reach it.
fn crate_panics(tokenizer: &Value) -> bool {
    let text = tokenizer.to_string();
    catch_unwind(|| {
        let tokenizer: tokenizers::Tokenizer = text.parse().unwrap();
        let _ = tokenizer.encode_fast("", true);
        let _ = tokenizer.encode_fast("<soft>   hello  x", true);
    })
    .is_err_and(|panic| {
        // `unwrap` is this test's own: a file that the crate refuses is no danger.
        let text = panic.downcast_ref::<String>();
        !text.is_some_and(|text| text.contains("Result::unwrap()"))
    })
}

#[test]
fn what_panics_in_the_crate_is_refused_before_it_gets_there() {
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 14] = [
        (
            |t| t["model"]["continuing_subword_prefix"] = json!("@@@@@@@@"),
            "model.continuing_subword_prefix = \"@@@@@@@@\" is not supported",
        ),
        (
            |t| t["model"]["merges"][1] = json!(["Ġhell", "Ġhell"]),
            "model.merges[1]: found a token of 12 bytes, expected at most 6",
        ),
        (
            |t| t["model"]["merges"] = json!(["h e", "l l", "Ġhell Ġhell"]),
            "model.merges[2]: found a token of 12 bytes, expected at most 6",
        ),
        (
            |t| t["normalizer"] = json!({ "type": "Precompiled", "precompiled_charsmap": "x" }),
            "normalizer.type = Precompiled",
        ),
        (
            |t| t["normalizer"] = json!({ "type": "Sequence", "normalizers": [{ "type": "NFC" }, { "type": "Precompiled" }] }),
            "normalizer.type = Precompiled",
        ),
        (
            |t| {
                let fixed = json!({ "type": "FixedLength", "length": 0 });
                t["pre_tokenizer"] =
                    json!({ "type": "Sequence", "pretokenizers": [fixed, t["pre_tokenizer"]] });
            },
            "pre_tokenizer.type = FixedLength",
        ),
        (
            |t| split(t, r"(?=hello\K)"),
            "pre_tokenizer, pattern = (?=hello\\K)",
        ),
        (
            |t| {
                bos_first(t);
                t["post_processor"]["special_tokens"] = json!({});
            },
            "post_processor.single: found special token \"<s>\"",
        ),
        (
            |t| {
                bos_first(t);
                t["post_processor"]["special_tokens"] = json!({});
                let inner = t["post_processor"].take();
                t["post_processor"] =
                    json!({ "type": "Sequence", "processors": [t["decoder"], inner] });
            },
            "post_processor.single: found special token \"<s>\"",
        ),
        (
            |t| {
                bos_first(t);
                t["post_processor"]["single"] =
                    json!([{ "Sequence": { "id": "B", "type_id": 0 } }]);
            },
            "post_processor.single, sequences: found [\"B\"]",
        ),
        (
            |t| {
                bos_first(t);
                t["post_processor"]["single"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } }));
                let twice = [t["post_processor"].clone(), t["post_processor"].clone()];
                t["post_processor"] = json!({ "type": "Sequence", "processors": twice });
            },
            "number of TemplateProcessing = 2",
        ),
        (
            |t| {
                t["added_tokens"][1]["rstrip"] = json!(true);
                let mut blank = added(263, " ", false);
                blank["lstrip"] = json!(true);
                t["added_tokens"].as_array_mut().unwrap().push(blank);
            },
            "added_tokens, \"<soft>\", rstrip = true beside token \" \"",
        ),
        (
            |t| {
                bos_first(t);
                t["post_processor"]["single"] = json!([]);
            },
            "post_processor.single, sequences: found []",
        ),
        (
            |t| t["model"]["end_of_word_suffix"] = json!("</w>"),
            "model.end_of_word_suffix = \"</w>\" is not supported",
        ),
    ];
    let mut panics = 0;
    for (index, (edit, part)) in cases.iter().enumerate() {
        let error = open(|t, _| edit(t)).err().unwrap().to_string();
        assert!(error.contains(part), "case {index} ({part}): {error}");
        let mut tokenizer = tokenizer_json();
        tokenizer["truncation"] = Value::Null;
        tokenizer["padding"] = Value::Null;
        edit(&mut tokenizer);
        panics += usize::from(crate_panics(&tokenizer));
    }
    assert!(panics >= 11, "only {panics} of these files were dangerous");
    assert!(!crate_panics(&tokenizer_json()));
}

fn split(tokenizer: &mut Value, regex: &str) {
    let split = json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false });
    let parts = [split, tokenizer["pre_tokenizer"].take()];
    tokenizer["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": parts });
}

#[test]
fn the_first_bad_field_is_not_hidden_by_a_second_one() {
    let folder = tempfile::tempdir().unwrap();
    let whole = tokenizer_json().to_string();
    let twice = whole.replacen("{", "{\"decoder\":{\"type\":\"Fuse\"},", 1);
    std::fs::write(folder.path().join("tokenizer.json"), twice).unwrap();
    let error = Tokenizer::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("duplicate field `decoder`"), "{error}");
}

#[test]
fn stages_of_byte_level_models_are_run() {
    let tokenizer = open(|t, _| {
        split(t, r"\p{N}|\s+(?!\S)|\s+");
        t["normalizer"] = json!({ "type": "Sequence", "normalizers": [{ "type": "NFC" }] });
        bos_first(t);
        let inner = t["post_processor"].take();
        t["post_processor"] = json!({ "type": "Sequence", "processors": [t["decoder"], inner] });
    })
    .unwrap();
    assert_eq!(
        tokenizer.encode_prompt("e\u{301}1").unwrap(),
        [260, 0xC3, 0xA9, 49]
    );
}

#[test]
fn broken_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tokenizer::open(folder.path()).err().unwrap();
    assert!(
        matches!(error, Error::Io { .. }) && error.to_string().contains("tokenizer.json"),
        "{error}"
    );
    let whole = tokenizer_json().to_string();
    for cut in [0, 1, 10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(
            folder.path().join("tokenizer.json"),
            &whole[..whole.floor_char_boundary(cut)],
        )
        .unwrap();
        let error = Tokenizer::open(folder.path()).err().unwrap();
        assert!(matches!(error, Error::Malformed { .. }), "{cut}: {error}");
    }
    std::fs::write(folder.path().join("tokenizer.json"), "[".repeat(1 << 20)).unwrap();
    assert!(Tokenizer::open(folder.path()).is_err());
    let file = std::fs::File::create(folder.path().join("tokenizer.json")).unwrap();
    file.set_len(65 << 20).unwrap();
    let error = Tokenizer::open(folder.path()).err().unwrap();
    assert!(
        matches!(error, Error::Limit { found, .. } if found == 65 << 20),
        "{error}"
    );
}

fn render(folder: &Path, tools: Option<&[Value]>) -> Result<String, Error> {
    let template = ChatTemplate::open(folder)?.unwrap();
    template.render(&Chat {
        messages: &[json!({ "role": "user", "content": "x" })],
        tools,
        add_generation_prompt: false,
        variables: &Map::new(),
        now: CivilTime::from_unix(0),
    })
}

#[test]
fn the_template_comes_from_where_transformers_looks() {
    let folder = tempfile::tempdir().unwrap();
    let config = |template: Value| {
        write(
            folder.path(),
            &tokenizer_json(),
            &json!({ "bos_token": "<s>", "chat_template": template }),
        );
    };
    config(json!("text {{ bos_token }}"));
    assert_eq!(render(folder.path(), None).unwrap(), "text <s>");
    let list = json!([{ "name": "tool_use", "template": "tools" }, { "name": "default", "template": "list" }]);
    config(list.clone());
    assert_eq!(render(folder.path(), None).unwrap(), "list");
    assert_eq!(render(folder.path(), Some(&[])).unwrap(), "tools");
    config(json!([{ "name": "rag", "template": "x" }]));
    assert!(
        render(folder.path(), None)
            .unwrap_err()
            .to_string()
            .contains("default")
    );
    config(json!({ "a": 1 }));
    assert!(
        render(folder.path(), None)
            .unwrap_err()
            .to_string()
            .contains("chat_template")
    );
    config(json!("{% if %}"));
    assert!(matches!(
        render(folder.path(), None),
        Err(Error::Template(_))
    ));
    std::fs::write(
        folder.path().join("chat_template.jinja"),
        "file {{ messages[0].content }}\n",
    )
    .unwrap();
    assert_eq!(render(folder.path(), None).unwrap(), "file x");
    std::fs::write(folder.path().join("chat_template.jinja"), b"\xff").unwrap();
    assert!(
        render(folder.path(), None)
            .unwrap_err()
            .to_string()
            .contains("chat_template.jinja")
    );
}
