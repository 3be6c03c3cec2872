//! A look at a template's tokens before it is compiled.
//!
//! The compiler recurses over expressions, visits a chain of operators once for each of its links, and computes what
//! is constant: so a tag is short, and a product of literals is small.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};

/// Largest value that a product of literals may make, in bytes.
const CONSTANT_BYTES: u64 = 1 << 20;

/// Most `not` and `-` in a row. The compiler looks through the rest of the row at each of them, twice for each template:
/// 2,000 took 20 ms. Nobody writes more than two.
const PREFIXES: u64 = 64;

/// What one tag holds.
#[derive(Default)]
struct Tag {
    tokens: u64,
    /// `not` and `-` up to here, in a row.
    prefixes: u64,
    literal_bytes: u64,
    /// Product of all numbers, each made one larger so that sums are covered too.
    factor: u64,
    multiplies: bool,
    raises: bool,
}

/// Refuses a template that would be hard to compile; gives the length of its longest text between tags.
pub(super) fn vet(source: &str, syntax: &SyntaxConfig) -> Result<u64> {
    Limits::check(
        "chat template: bytes",
        source.len() as u64,
        LIMITS.template_bytes,
    )?;
    let mut longest_raw = 0;
    let mut tag = Tag::default();
    for token in tokenize(source, false, syntax.clone()) {
        match token.map_err(super::failed)?.0 {
            Token::TemplateData(text) => longest_raw = longest_raw.max(text.len() as u64),
            Token::VariableStart | Token::BlockStart => {
                tag = Tag {
                    factor: 1,
                    ..Tag::default()
                }
            }
            Token::VariableEnd | Token::BlockEnd => tag.check()?,
            token => tag.add(&token)?,
        }
    }
    Ok(longest_raw)
}

impl Tag {
    fn add(&mut self, token: &Token) -> Result<()> {
        self.tokens += 1;
        Limits::check(
            "chat template: tokens in one tag",
            self.tokens,
            LIMITS.template_tag_tokens,
        )?;
        self.prefixes = match token {
            Token::Minus | Token::Ident("not") => self.prefixes + 1,
            _ => 0,
        };
        Limits::check(
            "chat template: `not` and `-` in a row",
            self.prefixes,
            PREFIXES,
        )?;
        let mut times =
            |number: u64| self.factor = self.factor.saturating_mul(number.saturating_add(1));
        match token {
            Token::Str(text) => self.literal_bytes += text.len() as u64,
            Token::String(text) => self.literal_bytes += text.len() as u64,
            Token::BracketOpen => self.literal_bytes += 1,
            Token::Int(number) => times(*number),
            // Rust turns a float outside the range into its nearer end.
            Token::Float(number) => times(number.abs().ceil() as u64),
            Token::Int128(_) => times(u64::MAX),
            Token::Mul => self.multiplies = true,
            Token::Pow => self.raises = true,
            _ => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.literal_bytes == 0 || !self.multiplies {
            return Ok(());
        }
        if self.raises {
            return Err(Error::Template(
                "a text or list is multiplied by a power in one tag".into(),
            ));
        }
        let bytes = self.literal_bytes.saturating_mul(self.factor);
        Limits::check(
            "chat template: product of literals, bytes",
            bytes,
            CONSTANT_BYTES,
        )?;
        Ok(())
    }
}
