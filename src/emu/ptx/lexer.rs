//! PTX text to tokens. A dotted word is a token of its own (`.global`), so `ld.global.nc`, `.reg.b32` and `.reg .b32` read
//! alike.

use super::ParseError;

/// The largest text that is read: sizes and positions then fit 32 bits with room to spare.
pub const MAX_TEXT_BYTES: usize = 64 << 20;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `add`, `%r1`, `$L__BB0_2`, `_`.
    Word,
    /// `.global`, `.L1::no_allocate`; the text includes the first dot.
    Dotted,
    /// `31`, `0x1F79U`, `0f3F800000`, `9.0`.
    Number,
    /// `"nounroll"`; the text excludes the quotes.
    Text,
    /// One of `{ } [ ] ( ) < > , ; : | ! @ + - =`.
    Mark(u8),
    /// The end of the text.
    End,
}

/// A piece of the text with its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// How it is written.
    pub text: &'a str,
    /// Offset of its first byte.
    pub start: usize,
    /// Line from 1.
    pub line: u32,
    /// Column in bytes from 1.
    pub column: u32,
}

impl Token<'_> {
    /// How errors name it.
    pub fn name(&self) -> String {
        const LONGEST: usize = 60;
        match self.kind {
            Kind::End => "the end of the text".into(),
            Kind::Text => "a string".into(),
            _ if self.text.len() > LONGEST => {
                format!(
                    "`{}...`",
                    self.text.chars().take(LONGEST).collect::<String>()
                )
            }
            _ => format!("`{}`", self.text),
        }
    }

    /// A refusal that points here.
    pub fn refuse(&self, what: impl Into<String>) -> ParseError {
        ParseError {
            line: self.line,
            column: self.column,
            what: what.into(),
        }
    }

    /// Offset of the byte after it.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Reads tokens from a text, one at a time.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    line_start: usize,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`.
    pub fn new(text: &'a str) -> Result<Self, ParseError> {
        let lexer = Lexer {
            text,
            at: 0,
            line: 1,
            line_start: 0,
        };
        if text.len() > MAX_TEXT_BYTES {
            let what = format!("{} bytes of text, at most {MAX_TEXT_BYTES}", text.len());
            return Err(lexer.refuse(what));
        }
        Ok(lexer)
    }

    /// The text between two offsets; empty where they are not its boundaries.
    pub fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The next token.
    pub fn token(&mut self) -> Result<Token<'a>, ParseError> {
        self.skip_blank()?;
        let (line, column) = (self.line, self.column());
        let start = self.at;
        let kind = match self.byte(0) {
            None => Kind::End,
            Some(b'"') => return self.string(),
            Some(b'0'..=b'9') => {
                self.number();
                Kind::Number
            }
            Some(b'.') if !self.byte(1).is_some_and(is_word) => {
                return Err(self.refuse("a dot without a name"));
            }
            Some(b'.') => {
                self.at += 1;
                self.dotted();
                Kind::Dotted
            }
            Some(c) if is_word(c) || c == b'%' => {
                self.at += 1;
                self.take_while(is_word);
                Kind::Word
            }
            Some(c) if b"{}[]()<>,;:|!@+-=".contains(&c) => {
                self.at += 1;
                Kind::Mark(c)
            }
            Some(_) => {
                let found = self
                    .text
                    .get(self.at..)
                    .and_then(|rest| rest.chars().next());
                let found = found.unwrap_or_default().escape_default();
                return Err(self.refuse(format!("`{found}` has no meaning in PTX")));
            }
        };
        Ok(Token {
            kind,
            text: self.slice(start, self.at),
            start,
            line,
            column,
        })
    }

    fn refuse(&self, what: impl Into<String>) -> ParseError {
        ParseError {
            line: self.line,
            column: self.column(),
            what: what.into(),
        }
    }

    fn column(&self) -> u32 {
        (self.at - self.line_start) as u32 + 1
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&accept) {
            self.at += 1;
        }
    }

    fn newline(&mut self) {
        self.line += 1;
        self.line_start = self.at;
    }

    /// White space and comments.
    fn skip_blank(&mut self) -> Result<(), ParseError> {
        while let Some(c) = self.byte(0) {
            match (c, self.byte(1)) {
                (b'\n', _) => {
                    self.at += 1;
                    self.newline();
                }
                (b' ' | b'\t' | b'\r', _) => self.at += 1,
                (b'/', Some(b'/')) => self.take_while(|c| c != b'\n'),
                (b'/', Some(b'*')) => self.block_comment()?,
                _ => break,
            }
        }
        Ok(())
    }

    fn block_comment(&mut self) -> Result<(), ParseError> {
        let open = self.refuse("a comment `/*` that no `*/` ends");
        self.at += 2;
        loop {
            match (self.byte(0), self.byte(1)) {
                (None, _) => return Err(open),
                (Some(b'*'), Some(b'/')) => {
                    self.at += 2;
                    return Ok(());
                }
                (Some(b'\n'), _) => {
                    self.at += 1;
                    self.newline();
                }
                _ => self.at += 1,
            }
        }
    }

    fn string(&mut self) -> Result<Token<'a>, ParseError> {
        let open = self.refuse("a string that does not end on its line");
        let start = self.at + 1;
        self.at = start;
        self.take_while(|c| c != b'"' && c != b'\n');
        if self.byte(0) != Some(b'"') {
            return Err(open);
        }
        let text = self.slice(start, self.at);
        self.at += 1;
        Ok(Token {
            kind: Kind::Text,
            text,
            start,
            line: open.line,
            column: open.column,
        })
    }

    /// Letters and digits; a decimal fraction and its exponent too.
    fn number(&mut self) {
        let radix_prefixed =
            self.byte(0) == Some(b'0') && self.byte(1).is_some_and(|c| c.is_ascii_alphabetic());
        self.take_while(|c| c.is_ascii_alphanumeric());
        if radix_prefixed {
            return;
        }
        if self.byte(0) == Some(b'.') && self.byte(1).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            self.take_while(|c| c.is_ascii_alphanumeric());
        }
        let exponent =
            self.at > 0 && matches!(self.text.as_bytes().get(self.at - 1), Some(b'e' | b'E'));
        if exponent
            && matches!(self.byte(0), Some(b'+' | b'-'))
            && self.byte(1).is_some_and(|c| c.is_ascii_digit())
        {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
        }
    }

    /// A name after a dot; `::` joins parts of one modifier (`L1::no_allocate`).
    fn dotted(&mut self) {
        loop {
            self.take_while(is_word);
            let joined = self.byte(0) == Some(b':')
                && self.byte(1) == Some(b':')
                && self.byte(2).is_some_and(is_word);
            if !joined {
                return;
            }
            self.at += 2;
        }
    }
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'$'
}
