//! The byte-level alphabet: the printable character that stands for each byte in a GPT-2 style vocabulary.

/// Bytes that stand for themselves; the other 68 are numbered from U+0100 in ascending order.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The character of each byte.
pub(crate) fn alphabet() -> [char; 256] {
    let mut next = 0x100u32;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        if is_printable(byte) {
            return char::from(byte);
        }
        let c = char::from_u32(next).unwrap_or(char::REPLACEMENT_CHARACTER);
        next += 1;
        c
    })
}

/// The way back from characters to bytes.
pub(crate) struct ByteTable {
    /// Indexed by code point; the alphabet ends at U+0143.
    byte_of: [Option<u8>; 0x144],
}

impl ByteTable {
    pub(crate) fn new() -> Self {
        let mut byte_of = [None; 0x144];
        for (byte, c) in alphabet().into_iter().enumerate() {
            if let Some(slot) = byte_of.get_mut(c as usize) {
                *slot = Some(byte as u8);
            }
        }
        ByteTable { byte_of }
    }

    /// The byte that `c` stands for.
    pub(crate) fn byte(&self, c: char) -> Option<u8> {
        self.byte_of.get(c as usize).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character_and_comes_back() {
        let table = ByteTable::new();
        let letters = alphabet();
        for byte in 0..=255u8 {
            assert_eq!(table.byte(letters[byte as usize]), Some(byte));
        }
        assert_eq!(letters[b' ' as usize], 'Ġ');
        assert_eq!(letters[b'\n' as usize], 'Ċ');
        assert_eq!(letters[0xAD], 'Ń');
        assert_eq!(table.byte(' '), None);
        assert_eq!(table.byte('｜'), None);
    }
}
