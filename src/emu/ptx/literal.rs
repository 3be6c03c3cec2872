//! Number literals: integers in four radices, floats as bits, decimal fractions.

use super::Operand;
use super::lexer::Token;

/// The value of an integer literal: `12`, `0x1F`, `017`, `0b101`, each with or without `U`.
pub fn integer(token: &Token<'_>) -> Option<u64> {
    let text = token.text.strip_suffix('U').unwrap_or(token.text);
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', b'b' | b'B', ..] => (&text[2..], 2),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // from_str_radix takes a sign of its own.
    let plain = digits.bytes().all(|c| c.is_ascii_alphanumeric());
    u64::from_str_radix(digits, radix).ok().filter(|_| plain)
}

/// The operand that a number token writes.
pub fn number(token: &Token<'_>) -> Option<Operand> {
    let text = token.text;
    let hex = |digits: usize| {
        let found = text.get(2..).filter(|hex| hex.len() == digits)?;
        u64::from_str_radix(found, 16).ok()
    };
    match text.as_bytes() {
        [b'0', b'f' | b'F', ..] => hex(8).map(|bits| Operand::Float32(bits as u32)),
        [b'0', b'd' | b'D', ..] => hex(16).map(Operand::Float64),
        _ => integer(token)
            .map(Operand::Integer)
            .or_else(|| decimal(text)),
    }
}

/// `1.5`, `2.0e-3`.
fn decimal(text: &str) -> Option<Operand> {
    let fraction = text.contains('.') || text.contains(['e', 'E']);
    let value: f64 = text.parse().ok().filter(|_| fraction)?;
    value.is_finite().then(|| Operand::Float64(value.to_bits()))
}

/// The literal with its sign turned.
pub fn negate(literal: Operand) -> Option<Operand> {
    const SIGN: u64 = 1 << 63;
    match literal {
        Operand::Integer(value) if value <= SIGN => Some(Operand::Integer(value.wrapping_neg())),
        Operand::Float32(bits) => Some(Operand::Float32(bits ^ (1 << 31))),
        Operand::Float64(bits) => Some(Operand::Float64(bits ^ SIGN)),
        _ => None,
    }
}
