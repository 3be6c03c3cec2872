//! The tokenizer of a GGUF file, turned into the two JSON files that Hugging Face tools read.
//!
//! Only the Qwen2 byte-level BPE is known. What the metadata leaves to the reader's knowledge (split pattern,
//! normaliser) is fixed by the name of the pre-tokenizer, so another name is refused.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::checkpoint::gguf::metadata::Metadata;
use crate::checkpoint::gguf::vocabulary::{Token, Vocabulary};
use crate::error::{Error, Result};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const MERGES: &str = "tokenizer.ggml.merges";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";
const BOS: &str = "tokenizer.ggml.bos_token_id";
const EOS: &str = "tokenizer.ggml.eos_token_id";
const PADDING: &str = "tokenizer.ggml.padding_token_id";
const CHAT_TEMPLATE: &str = "tokenizer.chat_template";

/// How Qwen2, and the R1 distills made from it, cut text before merging.
const QWEN2_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The tokenizer part of a Hugging Face model folder.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerFiles {
    /// `tokenizer.json`.
    pub tokenizer_json: Value,
    /// `tokenizer_config.json`; the chat template is in it.
    pub tokenizer_config: Value,
    /// The chat template again, for those who keep it in a file of its own.
    pub chat_template: Option<String>,
}

/// Reads the tokenizer from the metadata of `file`.
pub fn tokenizer_files(file: &Path, metadata: &Metadata) -> Result<TokenizerFiles> {
    let family = metadata.required(MODEL, metadata.string(MODEL)?)?;
    if family != "gpt2" {
        return Err(Error::unsupported(file, MODEL, family, "gpt2"));
    }
    let normalizer = normalizer(file, metadata)?;
    if metadata.bool(ADD_EOS)? == Some(true) {
        return Err(Error::unsupported(file, ADD_EOS, true, false));
    }
    let vocabulary = Vocabulary::read(file, metadata)?;
    let merges = merges(file, metadata, &vocabulary)?;
    let [bos, eos, padding] =
        [BOS, EOS, PADDING].map(|key| named(file, metadata, key, &vocabulary));
    let (bos, eos, padding) = (bos?, eos?, padding?);
    let add_bos = metadata.bool(ADD_BOS)? == Some(true);
    let chat_template = metadata.string(CHAT_TEMPLATE)?.map(str::to_string);

    Ok(TokenizerFiles {
        tokenizer_json: json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added_tokens(&vocabulary),
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer(),
            "post_processor": post_processor(file, bos.as_ref(), add_bos)?,
            "decoder": byte_level(),
            "model": model(&vocabulary, merges),
        }),
        tokenizer_config: json!({
            "add_bos_token": add_bos,
            "add_eos_token": false,
            "add_prefix_space": false,
            "bos_token": bos.map(|token| token.text),
            "eos_token": eos.map(|token| token.text),
            "pad_token": padding.map(|token| token.text),
            "unk_token": null,
            "chat_template": chat_template,
            "clean_up_tokenization_spaces": false,
            "errors": "replace",
            "split_special_tokens": false,
            // The class that takes tokenizer.json as it stands; the Qwen2 class would put NFC in front of R1's.
            "tokenizer_class": "PreTrainedTokenizerFast",
        }),
        chat_template,
    })
}

/// Qwen2 composes characters before it cuts; the R1 distills take text as it is.
fn normalizer(file: &Path, metadata: &Metadata) -> Result<Value> {
    match metadata.required(PRE, metadata.string(PRE)?)? {
        "qwen2" => Ok(json!({ "type": "NFC" })),
        "deepseek-r1-qwen" => Ok(Value::Null),
        other => Err(Error::unsupported(
            file,
            PRE,
            other,
            "qwen2, deepseek-r1-qwen",
        )),
    }
}

/// The token that an id in the metadata names.
fn named<'a>(
    file: &Path,
    metadata: &Metadata,
    key: &str,
    vocabulary: &Vocabulary<'a>,
) -> Result<Option<Token<'a>>> {
    let Some(id) = metadata.u32(key)? else {
        return Ok(None);
    };
    vocabulary.get(id).map(Some).ok_or_else(|| {
        let expected = format!("the id of a used token, below {}", vocabulary.padded_len());
        Error::malformed(file, key, id, expected)
    })
}

/// The merges as pairs; both halves and their join have to be tokens.
fn merges(file: &Path, metadata: &Metadata, vocabulary: &Vocabulary) -> Result<Vec<Value>> {
    let list = metadata.required(MERGES, metadata.strings(MERGES)?)?;
    let pair = |(index, merge): (usize, &String)| {
        let field = || format!("{MERGES}[{index}]");
        let halves = merge
            .split_once(' ')
            .filter(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains(' '));
        let Some((left, right)) = halves else {
            return Err(Error::malformed(
                file,
                field(),
                format!("{merge:?}"),
                "two tokens with one space between",
            ));
        };
        let joined = [left, right].concat();
        for token in [left, right, &joined] {
            if !vocabulary.has_normal(token) {
                let found = format!("{merge:?}");
                return Err(Error::malformed(
                    file,
                    field(),
                    found,
                    format!("{token:?} among the normal tokens"),
                ));
            }
        }
        Ok(json!([left, right]))
    };
    list.iter().enumerate().map(pair).collect()
}

fn added_tokens(vocabulary: &Vocabulary) -> Vec<Value> {
    let added = vocabulary.added().iter();
    added
        .map(|token| {
            json!({
                "id": token.id,
                "content": token.text,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": token.special,
            })
        })
        .collect()
}

/// Readers of tokenizer.json number added tokens on from the vocabulary; where the ids of this file do not follow
/// that rule, the added tokens stand in the vocabulary too, which fixes their ids.
fn model_vocab(vocabulary: &Vocabulary) -> Map<String, Value> {
    let entry = |token: &Token| (token.text.to_string(), json!(token.id));
    let mut vocab: Map<String, Value> = vocabulary.normal().iter().map(entry).collect();
    if !vocabulary.ids_without_holes() {
        vocab.extend(vocabulary.added().iter().map(entry));
    }
    vocab
}

fn model(vocabulary: &Vocabulary, merges: Vec<Value>) -> Value {
    json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": null,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": false,
        "byte_fallback": false,
        "ignore_merges": false,
        "vocab": model_vocab(vocabulary),
        "merges": merges,
    })
}

fn pre_tokenizer() -> Value {
    let split = json!({ "Regex": QWEN2_SPLIT });
    json!({
        "type": "Sequence",
        "pretokenizers": [
            { "type": "Split", "pattern": split, "behavior": "Isolated", "invert": false },
            byte_level(),
        ],
    })
}

fn byte_level() -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false })
}

/// Puts BOS in front of a text, where the metadata asks for it.
fn post_processor(file: &Path, bos: Option<&Token>, add_bos: bool) -> Result<Value> {
    if !add_bos {
        return Ok(byte_level());
    }
    let Some(bos) = bos else {
        let expected = format!("one entry, as {ADD_BOS} is true");
        return Err(Error::malformed(file, BOS, "no entry", expected));
    };
    let special = |type_id: u8| json!({ "SpecialToken": { "id": bos.text, "type_id": type_id } });
    let sequence = |id: &str, type_id: u8| json!({ "Sequence": { "id": id, "type_id": type_id } });
    Ok(json!({
        "type": "TemplateProcessing",
        "single": [special(0), sequence("A", 0)],
        "pair": [special(0), sequence("A", 0), special(1), sequence("B", 1)],
        "special_tokens": { (bos.text): { "id": bos.text, "ids": [bos.id], "tokens": [bos.text] } },
    }))
}
