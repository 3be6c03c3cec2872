//! The parsers under test: seeds, words to put in, and one call through the library's public functions.

use std::path::Path;

use qwarp::checkpoint::gguf;
use qwarp::checkpoint::safetensors::read_header;
use qwarp::checkpoint::shards::Shards;
use qwarp::config::json::JsonFile;
use qwarp::config::{GenerationConfig, ModelConfig};
use qwarp::graph::Plan;
use qwarp::limits::LIMITS;
use qwarp::shape::MaxRows;
use qwarp::tokenizer::chat::{Chat, ChatTemplate, CivilTime};
use qwarp::tokenizer::{SpecialTexts, Specials, Tokenizer};
use qwarp::{DType, Result};
use serde_json::{Map, json};

use crate::mutate::{Seed, Words};
use crate::{gguf as gguf_seed, json as json_seed, planted, seeds};

/// One parser.
pub struct Format {
    /// Its name on the command line and in file names.
    pub name: &'static str,
    /// Bytes it may have allocated at once for each byte of input, besides 64 MiB.
    pub factor: usize,
    /// Valid inputs.
    pub seeds: fn() -> Vec<Seed>,
    /// What replaces parts.
    pub words: Words,
    /// Reads an input and uses what it says.
    pub read: fn(&[u8]) -> Result<()>,
}

/// Values of every JSON type, and numbers at the ends of ranges.
const JSON: Words = Words {
    values: &[
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1",
        "2",
        "1.5",
        "-0.0",
        "1e-60",
        "1e308",
        "1e400",
        "4294967295",
        "4294967296",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "NaN",
        "\"\"",
        "\"x\"",
        "\"../x.safetensors\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"F4\"",
        "\"BF16\"",
        "\"bfloat16\"",
        "\"(a*)*b\"",
        "[]",
        "[0]",
        "[1,2,3]",
        "[0,0]",
        "[1099511627776,1099511627776]",
        "[[1,2],[3]]",
        "{}",
        "{\"a\":1}",
        "{\"Regex\":\"(\"}",
        "{\"type\":\"ByteLevel\"}",
        "\"rope_scaling\"",
        "\"head_dim\"",
        "\"chat_template\"",
        ",",
    ],
    nests: &[
        ("[", "]"),
        ("{\"a\":", "}"),
        ("[0,", "]"),
        ("\"", "\""),
        ("{\"type\":\"Sequence\",\"pretokenizers\":[", "]}"),
    ],
};

/// Pieces of template text.
const JINJA: Words = Words {
    values: &[
        "{% for x in messages %}",
        "{% endfor %}",
        "{% if x %}",
        "{% endif %}",
        "{% else %}",
        "{% set x = [x] %}",
        "{% macro m(a) %}",
        "{% endmacro %}",
        "{{ m(m) }}",
        "{{ loop(1) }}",
        "{{ range(1000000000) }}",
        "{{ 'A' * n }}",
        "99999999999",
        "'A' * 1000000000",
        "**",
        "|",
        "|tojson",
        "|join",
        "|reverse",
        "|indent(999999)",
        "|batch(0)",
        "[::-1]",
        "[:]",
        ".x",
        "(",
        ")",
        "[",
        "]",
        "~",
        "not",
        "is",
        "in",
        "recursive",
        "namespace",
        "loop",
        "caller",
        "messages",
        "self",
        "%}",
        "}}",
        "{{",
        "{%",
        "{#",
        "'",
        "\"",
        "\\",
        "-1",
        "1e400",
        "é",
        "\u{0}",
        "=",
    ],
    nests: &[
        ("(", ")"),
        ("[", "]"),
        ("{% if 1 %}", "{% endif %}"),
        ("not ", ""),
        ("-", ""),
        ("{{", "}}"),
        ("{% for i in [1] %}", "{% endfor %}"),
        ("{% macro a() %}", "{% endmacro %}"),
        ("x|e ~ ", ""),
    ],
};

/// Every parser, in the order of the report.
pub static FORMATS: [Format; 8] = [
    Format {
        name: "safetensors",
        factor: 2,
        seeds: seeds::safetensors,
        words: JSON,
        read: safetensors,
    },
    Format {
        name: "index",
        factor: 2,
        seeds: || seeds::INDEXES.map(json_seed::seed).into(),
        words: JSON,
        read: index,
    },
    Format {
        name: "config",
        factor: 2,
        seeds: || seeds::CONFIGS.map(json_seed::seed).into(),
        words: JSON,
        read: config,
    },
    Format {
        name: "generation_config",
        factor: 2,
        seeds: || seeds::GENERATION.map(json_seed::seed).into(),
        words: JSON,
        read: generation_config,
    },
    // What its crate needs for a vocabulary.
    Format {
        name: "tokenizer",
        factor: 12,
        seeds: seeds::tokenizers,
        words: JSON,
        read: tokenizer,
    },
    Format {
        name: "tokenizer_config",
        factor: 2,
        seeds: seeds::tokenizer_configs,
        words: JSON,
        read: tokenizer_config,
    },
    Format {
        name: "template",
        factor: 2,
        seeds: seeds::templates,
        words: JINJA,
        read: template,
    },
    Format {
        name: "gguf",
        factor: 2,
        seeds: gguf_seeds,
        words: JSON,
        read: gguf_file,
    },
];

/// The parser called `name`; the planted ones can be named and are not in the list.
pub fn named(name: &str) -> Option<&'static Format> {
    let mut all = FORMATS.iter().chain(&PLANTED);
    all.find(|format| format.name == name)
}

static PLANTED: [Format; 4] = [
    planted("planted-panic", planted::panics),
    planted("planted-allocation", planted::allocates),
    planted("planted-hang", planted::hangs),
    planted("planted-crash", planted::crashes),
];

const fn planted(name: &'static str, read: fn(&[u8]) -> Result<()>) -> Format {
    Format {
        name,
        factor: 2,
        seeds: || seeds::GENERATION.map(json_seed::seed).into(),
        words: JSON,
        read,
    }
}

fn safetensors(bytes: &[u8]) -> Result<()> {
    let header = read_header(Path::new("model.safetensors"), bytes)?;
    // What a checkpoint does with it: every range is inside the file.
    for (_, info) in &header.tensors {
        let range =
            header.data_start + info.data_offsets.0..header.data_start + info.data_offsets.1;
        assert!(bytes.get(range).is_some(), "a tensor outside the file");
    }
    Ok(())
}

fn json_file(name: &str, bytes: &[u8]) -> Result<JsonFile> {
    JsonFile::parse(Path::new(name), bytes)
}

fn index(bytes: &[u8]) -> Result<()> {
    let shards = Shards::from_index(&json_file("model.safetensors.index.json", bytes)?)?;
    match shards.files.first() {
        Some(file) => shards.check(file, &["a", "b.weight"]),
        None => Ok(()),
    }
}

fn config(bytes: &[u8]) -> Result<()> {
    let config = ModelConfig::from_json(&json_file("config.json", bytes)?)?;
    // The graph grows with the layers, which are many in some inputs and all alike.
    if config.num_hidden_layers <= 4 {
        let graph = qwarp::model::build(&config, DType::Bf16)?;
        Plan::new(
            graph,
            MaxRows {
                tokens: 512,
                logits: 8,
            },
        )?;
    }
    Ok(())
}

fn generation_config(bytes: &[u8]) -> Result<()> {
    GenerationConfig::from_json(&json_file("generation_config.json", bytes)?, &[1]).map(drop)
}

fn tokenizer(bytes: &[u8]) -> Result<()> {
    let tokenizer = Tokenizer::parse(Path::new("."), bytes, Some(br#"{"bos_token": "<s>"}"#))?;
    let ids = tokenizer.encode_prompt("hell hello<s> 12\r\n\n é<soft>\u{301}")?;
    tokenizer.decode(&ids, Specials::Show);
    Ok(())
}

fn tokenizer_config(bytes: &[u8]) -> Result<()> {
    ChatTemplate::parse_config(Path::new("tokenizer_config.json"), bytes).map(drop)
}

fn template(bytes: &[u8]) -> Result<()> {
    // A file that is not UTF-8 is refused before the template engine sees it.
    let text = String::from_utf8_lossy(bytes).into_owned();
    render(&ChatTemplate::new(text, None, SpecialTexts::default())?)
}

fn render(template: &ChatTemplate) -> Result<()> {
    let chat = Chat {
        messages: &[
            json!({ "role": "system", "content": "s" }),
            json!({ "role": "user", "content": "hello \"é\"\n</think>x" }),
        ],
        tools: Some(&[json!({ "name": "f", "parameters": { "a": [1, 2.5, null] } })]),
        add_generation_prompt: true,
        variables: &Map::new(),
        now: CivilTime::from_unix(0),
    };
    template.render(&chat).map(drop)
}

fn gguf_seeds() -> Vec<Seed> {
    vec![
        gguf_seed::seed(3, None),
        gguf_seed::seed(2, Some("{{ messages }}")),
    ]
}

fn gguf_file(bytes: &[u8]) -> Result<()> {
    let header = gguf::Header::parse(Path::new("model.gguf"), bytes, &LIMITS)?;
    gguf::convert::check(&header, DType::Bf16)
}
