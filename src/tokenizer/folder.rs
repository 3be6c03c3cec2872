//! Reads `tokenizer.json` and `tokenizer_config.json` and refuses what would change ids behind the caller's back.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use tokenizers::ModelWrapper;

use crate::config::json::read_text;
use crate::error::{Error, Result};
use crate::tokenizer::SpecialTexts;
use crate::tokenizer::header::{AddedToken, Header};
use crate::tokenizer::stages;

/// The file with vocabulary, merges and added tokens.
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// The file with the BOS policy, special-token texts and, in some folders, the chat template.
pub(crate) const CONFIG: &str = "tokenizer_config.json";

/// What `tokenizer_config.json` says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) special_texts: SpecialTexts,
    pub(crate) add_bos: Option<bool>,
    pub(crate) chat_template: Option<Value>,
}

/// The fields that are read; the many others of the file do not concern the engine.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ConfigFile {
    bos_token: Option<TokenText>,
    eos_token: Option<TokenText>,
    pad_token: Option<TokenText>,
    unk_token: Option<TokenText>,
    add_bos_token: Option<bool>,
    chat_template: Option<Value>,
}

/// A token is written as its text or as an object around it.
#[derive(Deserialize)]
#[serde(untagged)]
enum TokenText {
    Text(String),
    Object { content: String },
}

impl TokenText {
    fn into_text(self) -> String {
        match self {
            TokenText::Text(text) | TokenText::Object { content: text } => text,
        }
    }
}

impl Config {
    /// Reads the file; a folder without it has no special texts and no policy of its own.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Config::default());
        }
        Self::parse(path, read_text(path)?.as_bytes())
    }

    /// Reads `bytes`; `path` is named in errors.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let file: ConfigFile = parse(path, bytes)?;
        let text = |token: Option<TokenText>| token.map(TokenText::into_text);
        Ok(Config {
            special_texts: SpecialTexts {
                bos: text(file.bos_token),
                eos: text(file.eos_token),
                pad: text(file.pad_token),
                unk: text(file.unk_token),
            },
            add_bos: file.add_bos_token,
            chat_template: file.chat_template,
        })
    }
}

fn parse<'a, T: Deserialize<'a>>(path: &Path, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::malformed(path, "JSON", e, "a document of this format"))
}

/// Reads the bytes of a `tokenizer.json` through the crate and checks what the crate does not.
pub(crate) fn parse_tokenizer(path: &Path, bytes: &[u8]) -> Result<tokenizers::Tokenizer> {
    let header: Header = parse(path, bytes)?;
    header.check(path)?;
    let mut tokenizer: tokenizers::Tokenizer = parse(path, bytes)?;
    let ModelWrapper::BPE(model) = tokenizer.get_model() else {
        return Err(Error::unsupported(
            path,
            "model.type",
            "another model",
            "BPE",
        ));
    };
    if model.dropout.is_some_and(|p| p > 0.0) {
        return Err(Error::unsupported(
            path,
            "model.dropout",
            "set",
            "none: ids must not be random",
        ));
    }
    check_added_ids(&tokenizer, path, &header.added_tokens)?;
    stages::check(path, &tokenizer)?;
    // A file may carry the limits of the run that saved it; a prompt is never cut or filled up.
    tokenizer
        .with_truncation(None)
        .map_err(|e| Error::Tokenizer(e.to_string()))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// The crate numbers added tokens itself and only logs when the file says another id.
fn check_added_ids(
    tokenizer: &tokenizers::Tokenizer,
    path: &Path,
    tokens: &[AddedToken],
) -> Result<()> {
    for token in tokens {
        let id = tokenizer.token_to_id(&token.content);
        if id != Some(token.id) {
            let field = format!("added_tokens, \"{}\", id", token.content);
            let expected = id.map_or("a token with text".to_string(), |id| id.to_string());
            return Err(Error::malformed(path, field, token.id, expected));
        }
    }
    Ok(())
}

/// The BOS that starts a prompt: `add_bos_token` of the config where it is said, else what the post-processor adds.
pub(crate) fn prompt_bos(
    tokenizer: &tokenizers::Tokenizer,
    path: &Path,
    config: &Config,
) -> Result<Option<u32>> {
    let encoding = tokenizer
        .encode_fast("", true)
        .map_err(|e| Error::Tokenizer(e.to_string()))?;
    let added = encoding.get_ids();
    let named = config
        .special_texts
        .bos
        .as_deref()
        .and_then(|text| tokenizer.token_to_id(text));
    match (config.add_bos, added) {
        (Some(false), _) | (None, []) => Ok(None),
        (_, &[id]) if named.is_none_or(|named| named == id) => Ok(Some(id)),
        (Some(true), []) => named.map(Some).ok_or_else(|| {
            let found = config.special_texts.bos.as_deref().unwrap_or("none");
            Error::malformed(
                path.with_file_name(CONFIG),
                "bos_token (add_bos_token is true)",
                found,
                "a token of the vocabulary",
            )
        }),
        _ => Err(Error::unsupported(
            path,
            "post_processor, ids added to a text",
            format!("{added:?}"),
            format!("none or BOS alone ({named:?})"),
        )),
    }
}
