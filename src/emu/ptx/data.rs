//! Types, alignments and variables with their initial bytes.

use super::cursor::{Cursor, Parsed};
use super::lexer::{Kind, Token};
use super::operand::constant;
use super::{Operand, Param, ParseError, Space, Type, Variable};

/// The most bytes of one variable; its initial bytes are held in memory.
const MAX_VARIABLE_BYTES: u64 = 16 << 20;
/// The largest alignment that PTX's `.align` needs here.
const MAX_ALIGN: u32 = 4096;

/// Reads a type such as `.u32`.
pub fn ty(cursor: &mut Cursor<'_>) -> Parsed<Type> {
    let token = cursor.peek();
    let found = token.text.strip_prefix('.').and_then(Type::from_name);
    match found {
        Some(ty) if token.kind == Kind::Dotted => {
            cursor.take()?;
            Ok(ty)
        }
        _ => Err(cursor.unexpected("a type such as `.u32`")),
    }
}

/// Reads `.align N` where it stands.
fn align(cursor: &mut Cursor<'_>) -> Parsed<Option<u32>> {
    if !cursor.accept_dotted(".align")? {
        return Ok(None);
    }
    let at = cursor.peek();
    let bytes = cursor.number("an alignment in bytes")?;
    if !bytes.is_power_of_two() || bytes > MAX_ALIGN {
        let what = format!("alignment {bytes}, expected a power of two up to {MAX_ALIGN}");
        return Err(at.refuse(what));
    }
    Ok(Some(bytes))
}

/// The space that a declaration's directive names.
pub fn declared_space(token: &Token<'_>) -> Option<Space> {
    match token.text {
        ".global" => Some(Space::Global),
        ".const" => Some(Space::Const),
        ".shared" => Some(Space::Shared),
        ".local" => Some(Space::Local),
        _ => None,
    }
}

/// Reads one `.param` of an entry, from behind the word.
pub fn param(cursor: &mut Cursor<'_>) -> Parsed<Param> {
    let mut aligned = align(cursor)?;
    let ty = ty(cursor)?;
    if cursor.accept_dotted(".ptr")? {
        let space = cursor.peek();
        if declared_space(&space).is_some() {
            cursor.take()?;
        }
        // The alignment of what the pointer points to, not of the parameter.
        align(cursor)?;
    }
    let name = cursor.word("the parameter's name")?;
    let mut count = 1;
    if cursor.accept(b'[')? {
        count = cursor.number("the number of elements")?;
        cursor.expect(b']', "after the number of elements")?;
    }
    let limit = 1 << 15;
    if ty == Type::Pred || u64::from(ty.bytes()) * u64::from(count) > limit {
        let what = format!("parameter of {count} x .{ty}, expected at most {limit} bytes");
        return Err(name.refuse(what));
    }
    Ok(Param {
        name: name.text.to_string(),
        ty,
        count,
        align: *aligned.get_or_insert(ty.bytes()),
    })
}

/// Reads variables from behind the space's directive to the `;`. `external`: `extern .shared x[];`, whose size the launch
/// gives.
pub fn variables(cursor: &mut Cursor<'_>, space: Space, external: bool) -> Parsed<Vec<Variable>> {
    let aligned = align(cursor)?;
    let mut lanes = 1;
    for (word, count) in [(".v2", 2), (".v4", 4)] {
        if cursor.accept_dotted(word)? {
            lanes = count;
        }
    }
    let ty = ty(cursor)?;
    let unit = ty.bytes() * lanes;
    let mut found = Vec::new();
    loop {
        let name = cursor.word("the variable's name")?;
        let (elements, open) = dimensions(cursor)?;
        let init = if cursor.accept(b'=')? {
            initial_bytes(cursor, ty)?
        } else {
            Vec::new()
        };
        let bytes = match open {
            true => init.len() as u64,
            false => elements.saturating_mul(u64::from(unit)),
        };
        let sized = if external { open } else { bytes > 0 };
        if !sized || ty == Type::Pred || bytes > MAX_VARIABLE_BYTES || init.len() as u64 > bytes {
            return Err(bad_size(&name, bytes, init.len()));
        }
        let mut variable = Variable {
            name: name.text.to_string(),
            space,
            align: aligned.unwrap_or(unit),
            bytes: bytes as u32,
            init,
        };
        if !variable.init.is_empty() {
            // PTX sets the elements that an initialiser leaves out to zero.
            variable.init.resize(bytes as usize, 0);
        }
        found.push(variable);
        if !cursor.accept(b',')? {
            cursor.expect(b';', "after a variable")?;
            return Ok(found);
        }
    }
}

fn bad_size(name: &Token<'_>, bytes: u64, initial: usize) -> ParseError {
    name.refuse(format!(
        "{} has {bytes} bytes and {initial} initial ones, expected 1 to {MAX_VARIABLE_BYTES} and no more initial ones \
         (`.extern .shared` has none: `[]`)",
        name.name()
    ))
}

/// `[4][8]`: the number of elements, and whether the first dimension is open (`[]`).
fn dimensions(cursor: &mut Cursor<'_>) -> Parsed<(u64, bool)> {
    let (mut elements, mut open, mut first) = (1u64, false, true);
    while cursor.accept(b'[')? {
        if first && cursor.at_mark(b']') {
            open = true;
        } else {
            elements = elements.saturating_mul(cursor.number("the number of elements")?.into());
        }
        first = false;
        cursor.expect(b']', "after a dimension")?;
    }
    Ok((elements, open))
}

/// `5` or `{1, 2, 3}`.
fn initial_bytes(cursor: &mut Cursor<'_>, ty: Type) -> Parsed<Vec<u8>> {
    let mut bytes = Vec::new();
    if !cursor.accept(b'{')? {
        value(cursor, ty, &mut bytes)?;
        return Ok(bytes);
    }
    loop {
        value(cursor, ty, &mut bytes)?;
        if bytes.len() as u64 > MAX_VARIABLE_BYTES {
            return Err(cursor.unexpected(&format!("at most {MAX_VARIABLE_BYTES} initial bytes")));
        }
        if !cursor.accept(b',')? {
            cursor.expect(b'}', "after the initial values")?;
            return Ok(bytes);
        }
    }
}

fn value(cursor: &mut Cursor<'_>, ty: Type, bytes: &mut Vec<u8>) -> Parsed<()> {
    let at = cursor.peek();
    if at.kind == Kind::Word {
        let what = format!(
            "found {}: an address as an initial value is not modelled",
            at.name()
        );
        return Err(at.refuse(what));
    }
    let float = matches!(ty, Type::F32 | Type::F64);
    let size = ty.bytes() as usize;
    let bits = match constant(cursor)? {
        Operand::Integer(bits) if !float && fits(bits, ty) => bits,
        Operand::Float32(bits) if ty == Type::F32 => bits.into(),
        Operand::Float64(bits) if ty == Type::F64 => bits,
        Operand::Float64(bits) if ty == Type::F32 => (f64::from_bits(bits) as f32).to_bits().into(),
        _ => return Err(at.refuse(format!("{} is no value of .{ty}", at.name()))),
    };
    bytes.extend(bits.to_le_bytes().iter().take(size));
    Ok(())
}

/// Whether an integer fits a type, taken as signed or as unsigned.
fn fits(bits: u64, ty: Type) -> bool {
    let width = ty.bytes() * 8;
    if width > 64 {
        return false;
    }
    let above = 64 - width;
    bits << above >> above == bits || ((bits << above) as i64 >> above) as u64 == bits
}
