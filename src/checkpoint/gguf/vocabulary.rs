//! The token list of a GGUF file, sorted by what each token is for.

use std::collections::HashMap;
use std::path::Path;

use crate::checkpoint::gguf::metadata::Metadata;
use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};

const TOKENS: &str = "tokenizer.ggml.tokens";
const TOKEN_TYPE: &str = "tokenizer.ggml.token_type";

/// One token that the model can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) id: u32,
    /// Byte-level characters for a normal token, plain text for an added one.
    pub(super) text: &'a str,
    /// Control tokens, which are left out of shown text.
    pub(super) special: bool,
}

/// What a token type of the file means here.
enum Role {
    Normal,
    Added { special: bool },
    Unused,
}

/// The tokens of a file without its padding.
pub(super) struct Vocabulary<'a> {
    normal: Vec<Token<'a>>,
    added: Vec<Token<'a>>,
    /// Every used token by text; the flag says whether it is a normal one.
    by_text: HashMap<&'a str, (u32, bool)>,
    by_id: HashMap<u32, Token<'a>>,
    padded_len: usize,
}

impl<'a> Vocabulary<'a> {
    /// Reads tokens and token types.
    pub(super) fn read(file: &Path, metadata: &'a Metadata) -> Result<Self> {
        let tokens = metadata.required(TOKENS, metadata.strings(TOKENS)?)?;
        let types = metadata.required(TOKEN_TYPE, metadata.i32s(TOKEN_TYPE)?)?;
        if tokens.len() != types.len() {
            let found = format!("{} entries", types.len());
            let expected = format!("{} entries, as many as {TOKENS}", tokens.len());
            return Err(Error::malformed(file, TOKEN_TYPE, found, expected));
        }
        Limits::check(
            format!("{}: {TOKENS}", file.display()),
            tokens.len() as u64,
            LIMITS.vocab,
        )?;
        let mut vocabulary = Vocabulary {
            normal: Vec::with_capacity(tokens.len()),
            added: Vec::new(),
            by_text: HashMap::with_capacity(tokens.len()),
            by_id: HashMap::with_capacity(tokens.len()),
            padded_len: tokens.len(),
        };
        for ((id, text), &kind) in (0u32..).zip(tokens).zip(types) {
            match role(file, id, kind)? {
                Role::Unused => {}
                Role::Normal => vocabulary.add(
                    file,
                    Token {
                        id,
                        text,
                        special: false,
                    },
                    true,
                )?,
                Role::Added { special } => {
                    vocabulary.add(file, Token { id, text, special }, false)?
                }
            }
        }
        Ok(vocabulary)
    }

    fn add(&mut self, file: &Path, token: Token<'a>, normal: bool) -> Result<()> {
        let field = || format!("{TOKENS}[{}]", token.id);
        if token.text.is_empty() {
            return Err(Error::malformed(file, field(), "an empty token", "text"));
        }
        if let Some((other, _)) = self.by_text.insert(token.text, (token.id, normal)) {
            let found = format!("{:?}, also token {other}", token.text);
            return Err(Error::malformed(file, field(), found, "a token of its own"));
        }
        self.by_id.insert(token.id, token);
        if normal {
            self.normal.push(token)
        } else {
            self.added.push(token)
        }
        Ok(())
    }

    /// Byte-level tokens by ascending id.
    pub(super) fn normal(&self) -> &[Token<'a>] {
        &self.normal
    }

    /// Tokens whose text is matched before splitting, by ascending id.
    pub(super) fn added(&self) -> &[Token<'a>] {
        &self.added
    }

    /// Whether `text` is a normal token.
    pub(super) fn has_normal(&self, text: &str) -> bool {
        self.by_text.get(text).is_some_and(|&(_, normal)| normal)
    }

    /// The token `id`, unless it is padding or outside the list.
    pub(super) fn get(&self, id: u32) -> Option<Token<'a>> {
        self.by_id.get(&id).copied()
    }

    /// Length of the list with padding.
    pub(super) fn padded_len(&self) -> usize {
        self.padded_len
    }

    /// Whether the normal tokens are 0, 1, 2, ... and the added tokens go on from there.
    pub(super) fn ids_without_holes(&self) -> bool {
        self.normal
            .iter()
            .chain(&self.added)
            .zip(0..)
            .all(|(token, id)| token.id == id)
    }
}

fn role(file: &Path, id: u32, kind: i32) -> Result<Role> {
    match kind {
        1 => Ok(Role::Normal),
        3 => Ok(Role::Added { special: true }),
        4 => Ok(Role::Added { special: false }),
        5 => Ok(Role::Unused),
        _ => Err(Error::unsupported(
            file,
            format!("{TOKEN_TYPE}[{id}]"),
            kind,
            "1 normal, 3 control, 4 user-defined, 5 unused",
        )),
    }
}
