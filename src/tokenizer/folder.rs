//! Reads `tokenizer.json` and `tokenizer_config.json` and refuses what would change ids behind the caller's back.

use std::fmt::Display;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenizers::{
    DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    TokenizerImpl,
};

use crate::config::json::read_text;
use crate::error::{Error, Result};
use crate::tokenizer::bpe::Bpe;
use crate::tokenizer::header::{AddedToken, Header};
use crate::tokenizer::packed::{self, Rest};
use crate::tokenizer::{SpecialTexts, stages};

/// The crate's pipeline around our own merges. It decodes nothing, so it has no decoder.
pub(crate) type Pipeline = TokenizerImpl<
    Bpe,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

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

/// The merges of the file, each a pair or, in older files, one text with a space between the two.
#[derive(Deserialize)]
struct MergesFile {
    model: Merges,
}

#[derive(Deserialize)]
struct Merges {
    #[serde(default)]
    merges: Vec<MergeText>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum MergeText {
    Pair(String, String),
    Line(String),
}

impl MergeText {
    /// The two parts; none for the version line of a merges file, which the crate skips as well.
    fn into_pair(self) -> Option<(String, String)> {
        match self {
            MergeText::Pair(left, right) => Some((left, right)),
            MergeText::Line(line) if line.starts_with("#version") => None,
            MergeText::Line(line) => {
                let (left, right) = line.split_once(' ').unwrap_or((&line, ""));
                Some((left.to_string(), right.to_string()))
            }
        }
    }
}

/// Packs the bytes of a `tokenizer.json`, which the crate has to accept first.
pub(crate) fn pack_tokenizer(path: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    let header: Header = parse(path, bytes)?;
    header.check(path)?;
    let tokenizer: tokenizers::Tokenizer = parse(path, bytes)?;
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
    let file: MergesFile = parse(path, bytes)?;
    let merges: Vec<(String, String)> = file
        .model
        .merges
        .into_iter()
        .filter_map(MergeText::into_pair)
        .collect();
    // Limits of the run that saved the file are not among these: a prompt is never cut or filled up.
    let rest = Rest {
        ignore_merges: model.ignore_merges,
        normalizer: stage(path, tokenizer.get_normalizer())?,
        pre_tokenizer: stage(path, tokenizer.get_pre_tokenizer())?,
        post_processor: stage(path, tokenizer.get_post_processor())?,
        added_tokens: header.added_tokens,
    };
    packed::pack(path, &model.get_vocab(), &merges, &rest)
}

fn stage(path: &Path, stage: Option<&impl Serialize>) -> Result<Value> {
    serde_json::to_value(stage).map_err(|e| failed(path, e))
}

/// A tokenizer from its packed form, which is checked as if it were a file.
pub(crate) fn assemble(path: &Path, bytes: &[u8]) -> Result<Pipeline> {
    let (tables, rest) = packed::unpack(path, bytes)?;
    stages::check(path, &rest)?;
    let mut tokenizer = Pipeline::new(Bpe::new(tables));
    let normalizer: Option<NormalizerWrapper> = read_stage(path, rest.normalizer)?;
    let pre_tokenizer: Option<PreTokenizerWrapper> = read_stage(path, rest.pre_tokenizer)?;
    let post_processor: Option<PostProcessorWrapper> = read_stage(path, rest.post_processor)?;
    // Before the tokens, since some are searched for in their normalized form.
    tokenizer
        .with_normalizer(normalizer)
        .map_err(|e| failed(path, e))?;
    tokenizer.with_pre_tokenizer(pre_tokenizer);
    tokenizer.with_post_processor(post_processor);
    let tokens = rest.added_tokens.iter().map(|added| added.token.clone());
    tokenizer.add_tokens(tokens).map_err(|e| failed(path, e))?;
    check_added_ids(&tokenizer, path, &rest.added_tokens)?;
    Ok(tokenizer)
}

fn read_stage<T: DeserializeOwned>(path: &Path, stage: Value) -> Result<Option<T>> {
    serde_json::from_value(stage).map_err(|e| failed(path, e))
}

fn failed(path: &Path, error: impl Display) -> Error {
    Error::Tokenizer(format!("{}: {error}", path.display()))
}

/// The crate numbers added tokens itself and only logs when the file says another id.
fn check_added_ids(tokenizer: &Pipeline, path: &Path, tokens: &[AddedToken]) -> Result<()> {
    for added in tokens {
        let content = &added.token.content;
        let id = tokenizer.token_to_id(content);
        if id != Some(added.id) {
            let field = format!("added_tokens, \"{content}\", id");
            let expected = id.map_or("a token with text".to_string(), |id| id.to_string());
            return Err(Error::malformed(path, field, added.id, expected));
        }
    }
    Ok(())
}

/// The BOS that starts a prompt: `add_bos_token` of the config where it is said, else what the post-processor adds.
pub(crate) fn prompt_bos(
    tokenizer: &Pipeline,
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
