//! A small byte-level tokenizer made by hand.
#![allow(dead_code, reason = "each test binary uses its own part")]

use serde_json::{Map, Value, json};

/// The GPT-2 byte alphabet, written out again: 256 bytes, then "he", "ll", "hell", " hell".
pub fn vocab() -> Map<String, Value> {
    let mut vocab = Map::new();
    let printable =
        |byte: u32| (33..=126).contains(&byte) || (161..=255).contains(&byte) && byte != 173;
    let mut next = 256;
    for byte in 0..256 {
        let code = if printable(byte) { byte } else { next };
        next += u32::from(!printable(byte));
        vocab.insert(char::from_u32(code).unwrap().to_string(), json!(byte));
    }
    for (id, token) in (256..).zip(["he", "ll", "hell", "Ġhell"]) {
        vocab.insert(token.to_string(), json!(id));
    }
    vocab
}

/// An added token.
pub fn added(id: u32, content: &str, special: bool) -> Value {
    json!({ "id": id, "content": content, "special": special, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false })
}

/// A whole `tokenizer.json` around it.
pub fn tokenizer_json() -> Value {
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true });
    json!({
        "version": "1.0",
        // Limits of the run that saved the file: they must not cut or fill a prompt.
        "truncation": { "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0 },
        "padding": { "strategy": { "Fixed": 9 }, "direction": "Right", "pad_to_multiple_of": null,
                     "pad_id": 0, "pad_type_id": 0, "pad_token": "!" },
        "added_tokens": [added(260, "<s>", true), added(261, "<soft>", false), added(262, "é∎", true)],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": { "type": "BPE", "vocab": vocab(),
                   "merges": [["h", "e"], ["l", "l"], ["he", "ll"], ["Ġ", "hell"]] },
    })
}

/// Makes the post-processor put `<s>` in front.
pub fn bos_first(tokenizer: &mut Value) {
    tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
        "special_tokens": { "<s>": { "id": "<s>", "ids": [260], "tokens": ["<s>"] } },
    });
}
