//! Valid inputs of each format, from which the mutated ones are made.

use serde_json::{Map, Value, json};

use crate::json;
use crate::mutate::{Kind, Part, Seed};

/// Checkpoint configs in both spellings.
pub const CONFIGS: [&str; 3] = [
    include_str!("../../tests/golden/tiny/untied-mha-f32/config.json"),
    include_str!("../../tests/golden/tiny/tied-mha-f32-v5/config.json"),
    include_str!("../../tests/golden/tiny/untied-gqa2-head128-bf16/config.json"),
];

/// Sampling defaults: token ids alone, and every field that is read.
pub const GENERATION: [&str; 2] = [
    include_str!("../../tests/golden/tiny/untied-mha-f32/generation_config.json"),
    r#"{"bos_token_id": 1, "pad_token_id": 1, "do_sample": true, "eos_token_id": [2, 1], "repetition_penalty": 1.1,
        "temperature": 0.7, "top_k": 20, "top_p": 0.8, "num_beams": 1, "min_p": 0.0, "transformers_version": "4.43.1"}"#,
];

/// Shard indexes.
pub const INDEXES: [&str; 2] = [
    r#"{"metadata": {"total_size": 1234}, "weight_map": {"a": "model-00001-of-00002.safetensors",
        "b.weight": "model-00001-of-00002.safetensors", "c.bias": "model-00002-of-00002.safetensors"}}"#,
    include_str!("../../tests/golden/tiny/untied-gqa6-f16-sharded/model.safetensors.index.json"),
];

/// Chat templates with what real ones use: loops, macros, filters, tools, slices.
pub const TEMPLATES: [&str; 3] = [
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "{%- set ns = namespace(found=false, text='') %}\n{%- macro show(x, n=2) %}{{ x | trim ~ ('-' * n) }}{% endmacro %}\n{%- for m in messages[::-1] if m.role in ['user', \"tool\"] %}\n{%- set ns.found = true %}{% set ns.text = ns.text + m.content.split('</think>')[-1].lstrip('\\n') %}{{ show(m.content) }}{%- if loop.index0 > 3 %}{% break %}{% endif %}\n{%- else %}none{% endfor %}{{ bos_token }}{{ ns.text|tojson(indent=2) }}{{ strftime_now('%d %b %Y') }}{# a note #}{% raw %}{{ x }}{% endraw %}",
    "{%- if tools is defined and tools is not none %}{{- 'tools' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}{%- elif messages|length > 1 and not (messages[0].content is string) %}{{ raise_exception('no text') }}{% endif %}{% for i in range(3) %}{{ i * 2 // 1 % 5 - 1.5 }}{{ [i, {'a': i}]|list|first }}{% endfor %}{% filter upper %}x{% endfilter %}{{ messages|map(attribute='role')|join(', ')|replace('u', 'U')|default('d') if messages else 'e' }}",
];

/// The byte alphabet, four merged tokens and two added ones, as `tokenizer.json`.
pub fn tokenizers() -> Vec<Seed> {
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true });
    let added = |id: u32, content: &str, special: bool| {
        json!({ "id": id, "content": content, "special": special, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false })
    };
    let plain = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [added(260, "<s>", true), added(261, "<soft>", false)],
        "normalizer": { "type": "NFC" },
        "pre_tokenizer": byte_level,
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "vocab": vocab(),
                   "merges": [["h", "e"], ["l", "l"], ["he", "ll"], ["Ġ", "hell"]] },
    });
    let mut bos = plain.clone();
    bos["normalizer"] = Value::Null;
    bos["truncation"] =
        json!({ "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0 });
    bos["model"]["merges"] = json!(["h e", "l l", "he ll"]);
    bos["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
        "special_tokens": { "<s>": { "id": "<s>", "ids": [260], "tokens": ["<s>"] } },
    });
    [plain, bos].map(|value| tokenizer_seed(&value)).into()
}

/// Members of the byte alphabet are most of the file and all alike: one in 16 of them stays a part.
fn tokenizer_seed(value: &Value) -> Seed {
    let mut seed = json::seed(&value.to_string());
    let text = seed.bytes.clone();
    let find = |word: &str| {
        let mut windows = text.windows(word.len());
        windows.position(|window| window == word.as_bytes())
    };
    let alphabet = find("\"vocab\"").unwrap_or(0)..find("\"merges\"").unwrap_or(0);
    let mut met = 0usize;
    seed.parts.retain(|part| {
        let inside = alphabet.contains(&part.range.start) && part.range.len() < 64;
        met += usize::from(inside);
        !inside || met.is_multiple_of(16)
    });
    seed
}

fn vocab() -> Map<String, Value> {
    let printable =
        |byte: u32| (33..=126).contains(&byte) || (161..=255).contains(&byte) && byte != 173;
    let mut others = 256u32..;
    let letters = (0..256).map(|byte| {
        let code = if printable(byte) {
            Some(byte)
        } else {
            others.next()
        };
        code.and_then(char::from_u32).unwrap_or('?').to_string()
    });
    let merged = ["he", "ll", "hell", "Ġhell"].map(String::from);
    let tokens: Vec<String> = letters.chain(merged).collect();
    tokens.into_iter().zip((0..).map(|id| json!(id))).collect()
}

/// A `tokenizer_config.json` for each template, one with a list of templates.
pub fn tokenizer_configs() -> Vec<Seed> {
    let one = |template: Value| {
        let config = json!({
            "add_bos_token": false, "bos_token": null, "eos_token": "<|im_end|>", "pad_token": { "content": "<s>" },
            "unk_token": null, "model_max_length": 32768, "tokenizer_class": "Qwen2Tokenizer",
            "added_tokens_decoder": { "1": { "content": "<s>", "special": true } }, "chat_template": template,
        });
        json::seed(&config.to_string())
    };
    let named = |name: &str, template: &str| json!({ "name": name, "template": template });
    vec![
        one(json!(TEMPLATES[0])),
        one(json!([
            named("tool_use", TEMPLATES[1]),
            named("default", "{{ bos_token }}x")
        ])),
    ]
}

/// A header for 48 bytes of data, behind its length, and those bytes.
pub fn safetensors() -> Vec<Seed> {
    let headers = [
        r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"c.weight":{"dtype":"F16","shape":[2,2,2],"data_offsets":[32,48]}}"#,
        r#"{"e":{"dtype":"I64","shape":[0],"data_offsets":[0,0]},"s":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"u":{"dtype":"U8","shape":[40],"data_offsets":[8,48]}}   "#,
    ];
    headers
        .map(|text| Seed {
            bytes: [
                &(text.len() as u64).to_le_bytes(),
                text.as_bytes(),
                &[1; 48],
            ]
            .concat(),
            parts: [
                crate::json::parts(text.as_bytes(), 8, Some(0)),
                vec![Part {
                    range: 0..8,
                    kind: Kind::Integer,
                    length_at: None,
                    count_at: None,
                }],
            ]
            .concat(),
        })
        .into()
}

/// The templates, cut into tags, words and signs.
pub fn templates() -> Vec<Seed> {
    TEMPLATES.map(template).into()
}

fn template(text: &str) -> Seed {
    let mut parts = Vec::new();
    let mut part = |start: usize, end: usize, kind: Kind| {
        parts.push(Part {
            range: start..end,
            kind,
            length_at: None,
            count_at: None,
        });
    };
    let mut tag = None;
    let mut word = None;
    for (at, c) in text.char_indices() {
        if c.is_alphanumeric() || c == '_' {
            word.get_or_insert(at);
            continue;
        }
        if let Some(start) = word.take() {
            part(start, at, Kind::Key);
        }
        match c {
            '{' if tag.is_none() => tag = Some(at),
            '}' if text.as_bytes().get(at.wrapping_sub(1)) != Some(&b'%') => {}
            _ if c.is_whitespace() => {}
            _ => part(at, at + c.len_utf8(), Kind::Value),
        }
        let ends = text
            .get(..=at)
            .is_some_and(|before| before.ends_with("%}") || before.ends_with("}}"));
        if let Some(start) = tag.filter(|_| ends) {
            part(start, at + 1, Kind::Unit);
            tag = None;
        }
    }
    Seed {
        bytes: text.as_bytes().to_vec(),
        parts,
    }
}
