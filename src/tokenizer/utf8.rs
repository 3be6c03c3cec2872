//! Bytes to text, as they come: whole characters only, and the same text as one lossy decode of all bytes.

/// Bytes that may still become a character. At most three wait at any time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Utf8Stream {
    waiting: Vec<u8>,
}

impl Utf8Stream {
    /// Adds bytes and appends to `text` every character they complete. A byte sequence that can no longer become a
    /// character gives U+FFFD, one for each maximal prefix, as `String::from_utf8_lossy` does.
    pub(crate) fn push(&mut self, bytes: &[u8], text: &mut String) {
        self.waiting.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(rest) = self.waiting.get(start..).filter(|rest| !rest.is_empty()) {
            let error = match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    start = self.waiting.len();
                    break;
                }
                Err(error) => error,
            };
            let (valid, _) = rest.split_at(error.valid_up_to());
            text.push_str(&String::from_utf8_lossy(valid));
            start += valid.len();
            match error.error_len() {
                Some(len) => {
                    text.push(char::REPLACEMENT_CHARACTER);
                    start += len;
                }
                None => break,
            }
        }
        self.waiting.drain(..start);
    }

    /// What the bytes still waiting decode to: nothing, or one U+FFFD for a character cut short.
    pub(crate) fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.waiting).into_owned();
        self.waiting.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Streams `bytes` cut after every length in `cuts` and returns the pieces.
    fn stream(bytes: &[u8], size: usize) -> Vec<String> {
        let mut utf8 = Utf8Stream::default();
        let mut pieces: Vec<String> = bytes
            .chunks(size)
            .map(|chunk| {
                let mut text = String::new();
                utf8.push(chunk, &mut text);
                text
            })
            .collect();
        pieces.push(utf8.finish());
        pieces
    }

    #[test]
    fn pieces_join_to_the_lossy_decode_for_every_sequence_of_hard_bytes() {
        // Lead bytes of each length, continuations at the edges of their ranges, overlongs, surrogates, bytes never used.
        let hard = [
            0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xE0, 0xE2, 0xED, 0xF0, 0xF4,
            0xF5, 0xFF,
        ];
        let mut with_replacement = 0u32;
        for index in 0..hard.len().pow(4) {
            let bytes: Vec<u8> = (0..4)
                .map(|digit| hard[index / hard.len().pow(digit) % hard.len()])
                .collect();
            let whole = String::from_utf8_lossy(&bytes);
            with_replacement += u32::from(whole.contains('\u{FFFD}'));
            for size in 1..=4 {
                assert_eq!(
                    stream(&bytes, size).concat(),
                    whole,
                    "{bytes:x?} in chunks of {size}"
                );
            }
        }
        assert!(
            with_replacement > 60_000,
            "only {with_replacement} sequences were invalid"
        );
    }

    #[test]
    fn a_character_comes_out_when_its_last_byte_arrives() {
        let pieces = stream("aé汉😀".as_bytes(), 1);
        assert_eq!(pieces, ["a", "", "é", "", "", "汉", "", "", "", "😀", ""]);
        assert_eq!(stream(&"😀".as_bytes()[..3], 1), ["", "", "", "\u{FFFD}"]);
    }
}
