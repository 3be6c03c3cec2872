//! Token ids to text, one id at a time.

use std::sync::Arc;

use crate::tokenizer::pieces::Pieces;
use crate::tokenizer::utf8::Utf8Stream;

/// What to do with tokens marked special, such as `<|im_end|>`. Added tokens that are not special, such as `<think>`,
/// are always text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Specials {
    /// Leave them out.
    Skip,
    /// Show their text.
    Show,
}

/// Decodes one stream of ids. Pieces joined with what `finish` gives are the decode of the whole sequence.
pub struct Detokenizer {
    pieces: Arc<Pieces>,
    specials: Specials,
    utf8: Utf8Stream,
}

impl Detokenizer {
    pub(crate) fn new(pieces: Arc<Pieces>, specials: Specials) -> Self {
        Detokenizer {
            pieces,
            specials,
            utf8: Utf8Stream::default(),
        }
    }

    /// The characters that `id` completes; empty while a character waits for more bytes.
    pub fn push(&mut self, id: u32) -> String {
        let mut text = String::new();
        if self.specials == Specials::Show || !self.pieces.is_special(id) {
            self.utf8.push(self.pieces.bytes(id), &mut text);
        }
        text
    }

    /// What the bytes still waiting decode to: nothing, or U+FFFD. The stream can be used again after it.
    pub fn finish(&mut self) -> String {
        self.utf8.finish()
    }
}
