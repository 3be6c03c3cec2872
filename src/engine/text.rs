//! An answer as text: characters as soon as they are whole, held back only while they may begin a stop string.

use crate::tokenizer::{Detokenizer, Specials, Tokenizer};

/// Turns one sequence's tokens into text and watches for stop strings.
pub struct TextStream {
    detokenizer: Detokenizer,
    stops: Vec<String>,
    /// Decoded but not yet given out: a suffix that may still become a stop string.
    held: String,
    stopped: bool,
}

impl TextStream {
    /// A stream that ends at the first of `stops`; empty strings are ignored.
    pub fn new(tokenizer: &Tokenizer, stops: &[String]) -> Self {
        TextStream {
            detokenizer: tokenizer.detokenizer(Specials::Skip),
            stops: stops
                .iter()
                .filter(|stop| !stop.is_empty())
                .cloned()
                .collect(),
            held: String::new(),
            stopped: false,
        }
    }

    /// The text that `token` completes.
    pub fn push(&mut self, token: u32) -> String {
        let text = self.detokenizer.push(token);
        self.add(&text)
    }

    /// The rest, once no more tokens come.
    pub fn finish(&mut self) -> String {
        let tail = self.detokenizer.finish();
        let mut text = self.add(&tail);
        if !self.stopped {
            text.push_str(&std::mem::take(&mut self.held));
        }
        text
    }

    /// Whether a stop string was reached. It is not part of the text.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    fn add(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        if let Some(at) = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()))
            .min()
        {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let keep = self
            .stops
            .iter()
            .map(|stop| overlap(&self.held, stop))
            .max()
            .unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }
}

/// Bytes of the longest end of `text` that begins `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    (1..stop.len())
        .rev()
        .find(|&len| stop.is_char_boundary(len) && text.ends_with(&stop[..len]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_of_a_stop_string_is_held() {
        assert_eq!(overlap("say </s", "</s>"), 3);
        assert_eq!(overlap("aab", "aabaac"), 3);
        assert_eq!(overlap("none", "</s>"), 0);
        assert_eq!(overlap("…中", "中文"), 3);
    }
}
