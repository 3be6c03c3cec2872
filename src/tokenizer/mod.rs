//! Text to token ids and back, for byte-level BPE tokenizers in Hugging Face layout.
//!
//! Files are read and texts are normalised and split by the `tokenizers` crate; the merges are applied by `bpe`, whose
//! tables need no building at each start, in the crate's order. So ids are those of transformers. Decoding is our own,
//! because a stream must give whole characters as soon as they are complete and the crate decodes whole sequences only.
//!
//! Special-token text is parsed wherever it stands, user content included: transformers encodes a rendered chat
//! template as one string, and a client that must not inject tokens has to strip their text first.

mod bpe;
mod bytes;
mod cache;
pub mod chat;
mod detokenizer;
mod folder;
mod header;
mod packed;
mod pieces;
mod stages;
mod template;
mod utf8;

use std::path::Path;
use std::sync::Arc;

use crate::config::json::{read_bytes, utf8};
use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};

use cache::Entry;
pub use detokenizer::{Detokenizer, Specials};
use folder::Pipeline;
use pieces::Pieces;

/// A tokenizer of a model folder. Cheap to share between threads behind an `Arc`; encoding takes `&self`.
pub struct Tokenizer {
    inner: Pipeline,
    pieces: Arc<Pieces>,
    /// The id that starts a prompt, when the folder says that prompts start with one.
    prompt_bos: Option<u32>,
    special_texts: SpecialTexts,
    from_cache: bool,
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
        Self::open_maybe_cached(folder, None)
    }

    /// Opens a model folder as `open` does, with the same result and the same errors, but keeps what it made of
    /// `tokenizer.json` in the folder `cache`, and takes it from there the next time. A cache that is absent, damaged or
    /// cannot be written costs time and nothing else.
    pub fn open_cached(folder: &Path, cache: &Path) -> Result<Self> {
        Self::open_maybe_cached(folder, Some(cache))
    }

    fn open_maybe_cached(folder: &Path, cache: Option<&Path>) -> Result<Self> {
        let config = folder::Config::open(&folder.join(folder::CONFIG))?;
        let path = folder.join(folder::TOKENIZER);
        let json = read_bytes(&path)?;
        let entry = cache.map(|cache| Entry::new(cache, &json));
        let kept = entry.as_ref().and_then(Entry::read);
        // An entry with the right hash that does not open was made by somebody else; it is made anew.
        if let Some((inner, pieces)) = kept.and_then(|packed| unpacked(&path, &packed).ok()) {
            return Self::finish(&path, inner, pieces, config, true);
        }
        let packed = folder::pack_tokenizer(&path, utf8(&path, &json)?.as_bytes())?;
        let (inner, pieces) = unpacked(&path, &packed)?;
        if let Some(entry) = entry {
            // Without the entry the next start takes longer, which is no reason to fail this one.
            let _ = entry.write(&packed);
        }
        Self::finish(&path, inner, pieces, config, false)
    }

    /// A tokenizer from the contents of `tokenizer.json` and, where there is one, `tokenizer_config.json`; `folder` is
    /// named in errors and not opened.
    pub fn parse(folder: &Path, tokenizer: &[u8], config: Option<&[u8]>) -> Result<Self> {
        let config = match config {
            Some(bytes) => folder::Config::parse(&folder.join(folder::CONFIG), bytes)?,
            None => folder::Config::default(),
        };
        let path = folder.join(folder::TOKENIZER);
        let packed = folder::pack_tokenizer(&path, tokenizer)?;
        let (inner, pieces) = unpacked(&path, &packed)?;
        Self::finish(&path, inner, pieces, config, false)
    }

    fn finish(
        path: &Path,
        inner: Pipeline,
        pieces: Pieces,
        config: folder::Config,
        from_cache: bool,
    ) -> Result<Self> {
        let prompt_bos = folder::prompt_bos(&inner, path, &config)?;
        Ok(Tokenizer {
            inner,
            pieces: Arc::new(pieces),
            prompt_bos,
            special_texts: config.special_texts,
            from_cache,
        })
    }

    /// Whether this one was taken from the folder given to `open_cached` rather than made from JSON.
    pub fn is_from_cache(&self) -> bool {
        self.from_cache
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

/// What a packed tokenizer holds, ready to use.
fn unpacked(path: &Path, packed: &[u8]) -> Result<(Pipeline, Pieces)> {
    let inner = folder::assemble(path, packed)?;
    let pieces = Pieces::new(&inner, path)?;
    Ok((inner, pieces))
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
