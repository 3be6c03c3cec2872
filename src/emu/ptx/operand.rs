//! Operands.

use super::cursor::{Cursor, Parsed};
use super::lexer::{Kind, Token};
use super::{Address, Operand, literal};

/// The most elements of a `{ }` operand: `mma` fragments have up to 8, wide loads 8.
const MAX_ELEMENTS: usize = 64;

/// Reads one operand.
pub fn operand(cursor: &mut Cursor<'_>) -> Parsed<Operand> {
    if cursor.accept(b'{')? {
        return vector(cursor);
    }
    if cursor.accept(b'[')? {
        return address(cursor).map(Operand::Address);
    }
    if cursor.accept(b'!')? {
        return Ok(Operand::Not(name(cursor)?));
    }
    element(cursor)
}

/// What may stand in a `{ }` operand too.
fn element(cursor: &mut Cursor<'_>) -> Parsed<Operand> {
    match cursor.peek().kind {
        Kind::Number | Kind::Mark(b'-') => constant(cursor),
        Kind::Word => named(cursor),
        _ => Err(cursor.unexpected("an operand: a name, a number, `[`, `{` or `!`")),
    }
}

fn named(cursor: &mut Cursor<'_>) -> Parsed<Operand> {
    let first = name(cursor)?;
    if cursor.accept(b'|')? {
        return Ok(Operand::Pair(first, name(cursor)?));
    }
    if cursor.at_mark(b'+') || cursor.at_mark(b'-') {
        return Err(cursor.unexpected("`,` or `;`: an offset is modelled only inside `[ ]`"));
    }
    Ok(Operand::Name(first))
}

/// A name; `%tid.x` is one.
fn name(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let word = cursor.word("a name")?;
    let mut name = word.text.to_string();
    while cursor.peek().kind == Kind::Dotted {
        name.push_str(cursor.take()?.text);
    }
    Ok(name)
}

/// A number with or without a sign.
pub fn constant(cursor: &mut Cursor<'_>) -> Parsed<Operand> {
    let negative = cursor.accept(b'-')?;
    let token = cursor.expect_kind(Kind::Number, "a number")?;
    let value = literal::number(&token).ok_or_else(|| not_a_number(&token))?;
    if !negative {
        return Ok(value);
    }
    literal::negate(value).ok_or_else(|| not_a_number(&token))
}

fn not_a_number(token: &Token<'_>) -> super::ParseError {
    let name = token.name();
    token.refuse(format!(
        "{name} is no number of PTX: integers have 64 bits, `0f` takes 8 hexadecimal digits and `0d` 16"
    ))
}

fn vector(cursor: &mut Cursor<'_>) -> Parsed<Operand> {
    let mut elements = Vec::new();
    loop {
        if elements.len() == MAX_ELEMENTS {
            return Err(cursor.unexpected(&format!("at most {MAX_ELEMENTS} elements")));
        }
        elements.push(element(cursor)?);
        if !cursor.accept(b',')? {
            cursor.expect(b'}', "after the elements")?;
            return Ok(Operand::Vector(elements));
        }
    }
}

/// `base`, `base+4`, `base+-4`, `base-4` or `4`, and the closing bracket.
fn address(cursor: &mut Cursor<'_>) -> Parsed<Address> {
    let base = match cursor.peek().kind {
        Kind::Word => Some(name(cursor)?),
        Kind::Number | Kind::Mark(b'-') => None,
        _ => return Err(cursor.unexpected("a name or a number after `[`")),
    };
    let mut offset = 0;
    let signed = cursor.at_mark(b'+') || cursor.at_mark(b'-');
    if base.is_none() || signed {
        cursor.accept(b'+')?;
        offset = byte_offset(cursor)?;
    }
    cursor.expect(b']', "after an address")?;
    Ok(Address { base, offset })
}

fn byte_offset(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    let at = cursor.peek();
    match constant(cursor)? {
        Operand::Integer(bits) => Ok(bits as i64),
        _ => Err(at.refuse(format!("found {}, expected bytes as an integer", at.name()))),
    }
}
