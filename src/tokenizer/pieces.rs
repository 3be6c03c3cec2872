//! The bytes of every token, in one block indexed by id.

use std::collections::BTreeMap;
use std::path::Path;

use tokenizers::Model;

use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};
use crate::tokenizer::bytes::{ByteTable, alphabet};
use crate::tokenizer::folder::Pipeline;

/// What a token id stands for when decoding.
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    /// End of token `id` in `bytes`; it starts where the one before ends. An id without a token is empty.
    ends: Vec<usize>,
    special: Vec<bool>,
}

impl Pieces {
    /// Reads the vocabulary of `tokenizer`, which came from `path`.
    pub(crate) fn new(tokenizer: &Pipeline, path: &Path) -> Result<Self> {
        let model = tokenizer.get_model();
        for (byte, c) in alphabet().into_iter().enumerate() {
            if model.token_to_id(c.encode_utf8(&mut [0; 4])).is_none() {
                let field = format!("model.vocab, byte {byte:#04x}");
                return Err(Error::malformed(
                    path,
                    field,
                    "no token",
                    format!("a token \"{c}\""),
                ));
            }
        }
        let added: BTreeMap<u32, tokenizers::AddedToken> =
            tokenizer.get_added_tokens_decoder().into_iter().collect();
        let named = added.iter().map(|(&id, token)| (id, &*token.content));
        let tokens = || model.tokens().chain(named.clone());
        let largest = tokens().map(|(id, _)| id).max().unwrap_or(0);
        let what = format!("{}: token id", path.display());
        Limits::check(what, u64::from(largest), LIMITS.vocab - 1)?;
        let mut spellings: Vec<Option<&str>> = vec![None; largest as usize + 1];
        for (id, token) in tokens() {
            let Some(slot) = spellings.get_mut(id as usize) else {
                continue;
            };
            if let Some(other) = slot.replace(token).filter(|&other| other != token) {
                let names = format!("\"{other}\" and \"{token}\"");
                return Err(Error::malformed(
                    path,
                    format!("token id {id}"),
                    names,
                    "one token",
                ));
            }
        }
        let table = ByteTable::new();
        let mut pieces = Pieces {
            bytes: Vec::new(),
            ends: Vec::new(),
            special: Vec::new(),
        };
        for (id, spelling) in spellings.iter().enumerate() {
            let spelling = spelling.unwrap_or_default();
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
