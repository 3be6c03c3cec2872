//! Tokens of a `.cu` file, as far as reading its kernel signatures needs them.

use std::collections::BTreeMap;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// An identifier, a keyword or a number.
    Word(String),
    /// What stands between double quotes.
    Text(String),
    /// Any other character.
    Mark(char),
}

/// A file's tokens, each with its line from 1, and the `//` comments by line.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Tokens with their lines.
    pub list: Vec<(Token, u32)>,
    /// What follows `//` on a line.
    pub comments: BTreeMap<u32, String>,
}

/// Reads a whole file. Text that is not C++ gives tokens too: the signature reader refuses what it does not know.
pub fn tokens(text: &str) -> Tokens {
    let mut reader = Reader {
        rest: text,
        line: 1,
        found: Tokens::default(),
    };
    while reader.step() {}
    reader.found
}

struct Reader<'a> {
    rest: &'a str,
    line: u32,
    found: Tokens,
}

impl<'a> Reader<'a> {
    /// Reads one token, comment or run of white space; false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else {
            return false;
        };
        if first.is_whitespace() {
            self.take(|c| c.is_whitespace());
        } else if self.rest.starts_with("//") {
            let comment = self.take(|c| c != '\n');
            let comment = comment.trim_start_matches('/').trim().to_string();
            self.found.comments.insert(self.line, comment);
        } else if self.rest.starts_with("/*") {
            let length = self.rest.find("*/").map_or(self.rest.len(), |end| end + 2);
            self.advance(length);
        } else if first == '"' || first == '\'' {
            self.quoted(first);
        } else if is_word(first) {
            let line = self.line;
            let word = self.take(is_word).to_string();
            self.found.list.push((Token::Word(word), line));
        } else {
            self.found.list.push((Token::Mark(first), self.line));
            self.advance(first.len_utf8());
        }
        true
    }

    fn quoted(&mut self, quote: char) {
        let line = self.line;
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let end = end.map_or(self.rest.len(), |(at, _)| at);
        let text = self.rest.get(1..end).unwrap_or_default().to_string();
        self.advance((end + 1).min(self.rest.len()));
        self.found.list.push((Token::Text(text), line));
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let length = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        self.advance(length)
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count() as u32;
        self.rest = rest;
        taken
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
