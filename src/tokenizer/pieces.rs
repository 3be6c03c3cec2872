//! The bytes of every token, in one block indexed by id.

use std::path::Path;

use tokenizers::ModelWrapper;

use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};
use crate::tokenizer::bytes::{ByteTable, alphabet};

/// What a token id stands for when decoding.
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    /// End of token `id` in `bytes`; it starts where the one before ends. An id without a token is empty.
    ends: Vec<usize>,
    special: Vec<bool>,
}

impl Pieces {
    /// Reads the vocabulary of `tokenizer`, which came from `path`.
    pub(crate) fn new(tokenizer: &tokenizers::Tokenizer, path: &Path) -> Result<Self> {
        let ModelWrapper::BPE(model) = tokenizer.get_model() else {
            return Err(Error::unsupported(
                path,
                "model.type",
                "another model",
                "BPE",
            ));
        };
        for (byte, c) in alphabet().into_iter().enumerate() {
            if tokenizers::Model::token_to_id(model, c.encode_utf8(&mut [0; 4])).is_none() {
                let field = format!("model.vocab, byte {byte:#04x}");
                return Err(Error::malformed(
                    path,
                    field,
                    "no token",
                    format!("a token \"{c}\""),
                ));
            }
        }
        let mut spellings: Vec<Option<String>> = Vec::new();
        for (token, id) in tokenizer.get_vocab(true) {
            let slot = slot(&mut spellings, id, path)?;
            if let Some(other) = slot.replace(token) {
                let names = format!(
                    "\"{other}\" and \"{}\"",
                    slot.as_deref().unwrap_or_default()
                );
                return Err(Error::malformed(
                    path,
                    format!("token id {id}"),
                    names,
                    "one token",
                ));
            }
        }
        let added = tokenizer.get_added_tokens_decoder();
        let table = ByteTable::new();
        let mut pieces = Pieces {
            bytes: Vec::new(),
            ends: Vec::new(),
            special: Vec::new(),
        };
        for (id, spelling) in spellings.iter().enumerate() {
            let spelling = spelling.as_deref().unwrap_or_default();
            let added = u32::try_from(id).ok().and_then(|id| added.get(&id));
            if added.is_some() {
                pieces.bytes.extend_from_slice(spelling.as_bytes());
            } else {
                append_byte_level(&mut pieces.bytes, spelling, &table);
            }
            pieces.ends.push(pieces.bytes.len());
            pieces
                .special
                .push(added.is_some_and(|token| token.special));
        }
        Ok(pieces)
    }

    /// One more than the largest id.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of `id`; empty for an id without a token.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = id
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        let end = self.ends.get(id).copied().unwrap_or(start);
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Whether `id` is an added token marked special.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }
}

/// The place for `id`, which is checked before the table grows to it.
fn slot<'a>(
    spellings: &'a mut Vec<Option<String>>,
    id: u32,
    path: &Path,
) -> Result<&'a mut Option<String>> {
    let index = id as usize;
    if index >= spellings.len() {
        Limits::check(
            format!("{}: token id", path.display()),
            u64::from(id),
            LIMITS.vocab - 1,
        )?;
        spellings.resize(index + 1, None);
    }
    spellings
        .get_mut(index)
        .ok_or_else(|| Error::malformed(path, "token id", id, "an id in the table"))
}

/// A token spelled with a character outside the alphabet stands for its own text, as in the crate's decoder.
fn append_byte_level(bytes: &mut Vec<u8>, spelling: &str, table: &ByteTable) {
    let start = bytes.len();
    for c in spelling.chars() {
        let Some(byte) = table.byte(c) else {
            bytes.truncate(start);
            bytes.extend_from_slice(spelling.as_bytes());
            return;
        };
        bytes.push(byte);
    }
}
