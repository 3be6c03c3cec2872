//! A place in the token stream with one token of lookahead, and the refusals that all parts of the grammar share.

use super::lexer::{Kind, Lexer, Token};
use super::{ParseError, literal};

/// A result of parsing.
pub type Parsed<T> = Result<T, ParseError>;

/// The token stream.
#[derive(Debug)]
pub struct Cursor<'a> {
    lexer: Lexer<'a>,
    ahead: Token<'a>,
    /// Offset of the byte after the token taken last.
    end: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `text`.
    pub fn new(text: &'a str) -> Parsed<Self> {
        let mut lexer = Lexer::new(text)?;
        let ahead = lexer.token()?;
        Ok(Cursor {
            lexer,
            ahead,
            end: 0,
        })
    }

    /// The token that comes next.
    pub fn peek(&self) -> Token<'a> {
        self.ahead
    }

    /// Takes the next token.
    pub fn take(&mut self) -> Parsed<Token<'a>> {
        let token = self.ahead;
        self.end = token.end();
        self.ahead = self.lexer.token()?;
        Ok(token)
    }

    /// The text from `start` to the token taken last.
    pub fn taken_since(&self, start: usize) -> &'a str {
        self.lexer.slice(start, self.end)
    }

    /// Whether the next token is this mark.
    pub fn at_mark(&self, mark: u8) -> bool {
        self.ahead.kind == Kind::Mark(mark)
    }

    /// Takes the next token if it is this mark.
    pub fn accept(&mut self, mark: u8) -> Parsed<bool> {
        let found = self.at_mark(mark);
        if found {
            self.take()?;
        }
        Ok(found)
    }

    /// Takes the next token if it is this dotted word (dot included).
    pub fn accept_dotted(&mut self, word: &str) -> Parsed<bool> {
        let found = self.ahead.kind == Kind::Dotted && self.ahead.text == word;
        if found {
            self.take()?;
        }
        Ok(found)
    }

    /// Takes this mark; `what` says what it would have ended or begun.
    pub fn expect(&mut self, mark: u8, what: &str) -> Parsed<Token<'a>> {
        if self.at_mark(mark) {
            return self.take();
        }
        Err(self.unexpected(&format!("`{}` {what}", char::from(mark))))
    }

    /// Takes a token of this kind.
    pub fn expect_kind(&mut self, kind: Kind, what: &str) -> Parsed<Token<'a>> {
        if self.ahead.kind == kind {
            return self.take();
        }
        Err(self.unexpected(what))
    }

    /// Takes a name.
    pub fn word(&mut self, what: &str) -> Parsed<Token<'a>> {
        self.expect_kind(Kind::Word, what)
    }

    /// Takes an unsigned integer that fits 32 bits.
    pub fn number(&mut self, what: &str) -> Parsed<u32> {
        let token = self.expect_kind(Kind::Number, what)?;
        literal::integer(&token)
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| {
                let name = token.name();
                token.refuse(format!("{name} is no 32-bit number; expected {what}"))
            })
    }

    /// Refuses the next token.
    pub fn unexpected(&self, expected: &str) -> ParseError {
        let found = self.ahead.name();
        self.ahead
            .refuse(format!("found {found}, expected {expected}"))
    }
}
