//! Text to token ids and back, for byte-level BPE tokenizers in Hugging Face layout.
//!
//! Encoding is the `tokenizers` crate's, so ids are those of transformers. Decoding is our own, because a stream must
//! give whole characters as soon as they are complete and the crate decodes whole sequences only.
//!
//! Special-token text is parsed wherever it stands, user content included: transformers encodes a rendered chat
//! template as one string, and a client that must not inject tokens has to strip their text first.

mod bytes;
pub mod chat;
mod detokenizer;
mod folder;
mod header;
mod pieces;
mod stages;
mod template;
mod utf8;

use std::path::Path;
use std::sync::Arc;

use crate::config::json::read_text;
use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};

pub use detokenizer::{Detokenizer, Specials};
use pieces::Pieces;

/// A tokenizer of a model folder. Cheap to share between threads behind an `Arc`; encoding takes `&self`.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pieces: Arc<Pieces>,
    /// The id that starts a prompt, when the folder says that prompts start with one.
    prompt_bos: Option<u32>,
    special_texts: SpecialTexts,
}

/// The texts of the tokens that chat templates refer to by role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTexts {
    /// `bos_token` of tokenizer_config.json.
    pub bos: Option<String>,
    /// `eos_token` of tokenizer_config.json.
    pub eos: Option<String>,
    /// `pad_token` of tokenizer_config.json.
    pub pad: Option<String>,
    /// `unk_token` of tokenizer_config.json.
    pub unk: Option<String>,
}

impl Tokenizer {
    /// Opens `tokenizer.json` and, where there is one, `tokenizer_config.json` of a model folder.
    pub fn open(folder: &Path) -> Result<Self> {
        let config = folder::Config::open(&folder.join(folder::CONFIG))?;
        let path = folder.join(folder::TOKENIZER);
        let text = read_text(&path)?;
        Self::build(&path, text.as_bytes(), config)
    }

    /// A tokenizer from the contents of `tokenizer.json` and, where there is one, `tokenizer_config.json`; `folder` is
    /// named in errors and not opened.
    pub fn parse(folder: &Path, tokenizer: &[u8], config: Option<&[u8]>) -> Result<Self> {
        let config = match config {
            Some(bytes) => folder::Config::parse(&folder.join(folder::CONFIG), bytes)?,
            None => folder::Config::default(),
        };
        Self::build(&folder.join(folder::TOKENIZER), tokenizer, config)
    }

    fn build(path: &Path, bytes: &[u8], config: folder::Config) -> Result<Self> {
        let inner = folder::parse_tokenizer(path, bytes)?;
        let pieces = Arc::new(Pieces::new(&inner, path)?);
        let prompt_bos = folder::prompt_bos(&inner, path, &config)?;
        Ok(Tokenizer {
            inner,
            pieces,
            prompt_bos,
            special_texts: config.special_texts,
        })
    }

    /// The ids of `text` and nothing else. Rendered chat templates go through here: they write their own BOS.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        check_whitespace_runs(text)?;
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|e| Error::Tokenizer(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of `text` as the start of a sequence: BOS first if the folder says so and the text does not already
    /// begin with it.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode(text)?;
        if let Some(bos) = self.prompt_bos
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// The text of `ids`; bytes that are not UTF-8 become U+FFFD, ids without a token become nothing.
    pub fn decode(&self, ids: &[u32], specials: Specials) -> String {
        let mut stream = self.detokenizer(specials);
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// A decoder for one stream of ids.
    pub fn detokenizer(&self, specials: Specials) -> Detokenizer {
        Detokenizer::new(Arc::clone(&self.pieces), specials)
    }

    /// One more than the largest id. A model's vocabulary may be larger (padded) and never smaller.
    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// The id of a token by its spelling in the vocabulary (byte-level characters for ordinary tokens).
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The id that `encode_prompt` starts with, if the folder asks for one.
    pub fn prompt_bos(&self) -> Option<u32> {
        self.prompt_bos
    }

    /// The special-token texts that chat templates may print.
    pub fn special_texts(&self) -> &SpecialTexts {
        &self.special_texts
    }
}

/// The splitting regex of the crate keeps one stack entry for each character of a run of whitespace and, when it runs
/// out of them, stops splitting without an error: wrong ids. So such a text is refused before.
fn check_whitespace_runs(text: &str) -> Result<()> {
    let mut run: u64 = 0;
    let mut longest: u64 = 0;
    for c in text.chars() {
        run = if c.is_whitespace() { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    Limits::check(
        "characters in one run of whitespace",
        longest,
        LIMITS.whitespace_run,
    )?;
    Ok(())
}
