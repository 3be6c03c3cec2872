//! The parts of a JSON text: members, keys and values, by a scan that trusts the text to be valid.

use crate::mutate::{Kind, Part, Seed};

/// A seed from a valid JSON text.
pub fn seed(text: &str) -> Seed {
    Seed {
        parts: parts(text.as_bytes(), 0, None),
        bytes: text.as_bytes().to_vec(),
    }
}

/// The parts of `text`, which stands `offset` bytes into its file, behind a length at `length_at`.
pub fn parts(text: &[u8], offset: usize, length_at: Option<usize>) -> Vec<Part> {
    let mut scan = Scan {
        text,
        at: 0,
        found: Vec::new(),
    };
    scan.value();
    let shift = |(start, end, kind)| Part {
        range: offset + start..offset + end,
        kind,
        length_at,
        count_at: None,
    };
    scan.found.into_iter().map(shift).collect()
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    found: Vec<(usize, usize, Kind)>,
}

impl Scan<'_> {
    fn peek(&mut self) -> u8 {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn value(&mut self) {
        let open = self.peek();
        let start = self.at;
        match open {
            b'{' => self.list(b'}'),
            b'[' => self.list(b']'),
            b'"' => self.string(),
            _ => {
                while !matches!(self.text.get(self.at), None | Some(b',' | b'}' | b']')) {
                    self.at += 1;
                }
            }
        }
        self.found.push((start, self.at, Kind::Value));
    }

    /// Members or elements, each with the comma behind it, so that doubling one gives valid JSON.
    fn list(&mut self, close: u8) {
        self.at += 1;
        while self.peek() != close && self.at < self.text.len() {
            let start = self.at;
            if close == b'}' {
                self.string();
                self.found.push((start, self.at, Kind::Key));
                self.peek();
                self.at += 1;
            }
            self.value();
            if self.peek() == b',' {
                self.at += 1;
                self.found.push((start, self.at, Kind::Unit));
            }
        }
        self.at += 1;
    }

    fn string(&mut self) {
        self.at += 1;
        while !matches!(self.text.get(self.at), None | Some(b'"')) {
            self.at += if self.text[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at = (self.at + 1).min(self.text.len());
    }
}
