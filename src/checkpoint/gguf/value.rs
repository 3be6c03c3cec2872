//! The values of GGUF metadata: their types and how they are read.

use crate::error::{Error, Result};
use crate::limits::{Limits, Size};

use super::source::Source;

/// One metadata value. Arrays that the import reads have a variant of their own; other numeric arrays stay
/// as bytes, so that no value takes more memory than a small multiple of its bytes in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `UINT8`
    U8(u8),
    /// `INT8`
    I8(i8),
    /// `UINT16`
    U16(u16),
    /// `INT16`
    I16(i16),
    /// `UINT32`
    U32(u32),
    /// `INT32`
    I32(i32),
    /// `FLOAT32`
    F32(f32),
    /// `BOOL`
    Bool(bool),
    /// `STRING`
    String(String),
    /// `UINT64`
    U64(u64),
    /// `INT64`
    I64(i64),
    /// `FLOAT64`
    F64(f64),
    /// Array of `STRING`
    Strings(Vec<String>),
    /// Array of `INT32`
    I32s(Vec<i32>),
    /// Array of `FLOAT32`
    F32s(Vec<f32>),
    /// Any other array of numbers, little-endian.
    Numbers {
        /// What each element is.
        kind: Kind,
        /// The elements as they stand in the file.
        bytes: Vec<u8>,
    },
}

impl Value {
    /// The type, in the words of the GGUF specification.
    pub fn type_name(&self) -> String {
        let kind = match self {
            Value::U8(_) => Kind::U8,
            Value::I8(_) => Kind::I8,
            Value::U16(_) => Kind::U16,
            Value::I16(_) => Kind::I16,
            Value::U32(_) => Kind::U32,
            Value::I32(_) => Kind::I32,
            Value::F32(_) => Kind::F32,
            Value::Bool(_) => Kind::Bool,
            Value::String(_) => Kind::String,
            Value::U64(_) => Kind::U64,
            Value::I64(_) => Kind::I64,
            Value::F64(_) => Kind::F64,
            Value::Strings(_) => return array_of(Kind::String),
            Value::I32s(_) => return array_of(Kind::I32),
            Value::F32s(_) => return array_of(Kind::F32),
            Value::Numbers { kind, .. } => return array_of(*kind),
        };
        kind.name().to_string()
    }

    /// Reads the type tag and the value of `key`.
    pub(super) fn read(source: &mut Source, key: &str, limits: &Limits) -> Result<Value> {
        let field = format_args!("{key}");
        Ok(match Kind::read(source, key)? {
            Kind::U8 => Value::U8(u8::from_le_bytes(source.array(field)?)),
            Kind::I8 => Value::I8(i8::from_le_bytes(source.array(field)?)),
            Kind::U16 => Value::U16(u16::from_le_bytes(source.array(field)?)),
            Kind::I16 => Value::I16(i16::from_le_bytes(source.array(field)?)),
            Kind::U32 => Value::U32(source.u32(field)?),
            Kind::I32 => Value::I32(i32::from_le_bytes(source.array(field)?)),
            Kind::F32 => Value::F32(f32::from_le_bytes(source.array(field)?)),
            Kind::U64 => Value::U64(source.u64(field)?),
            Kind::I64 => Value::I64(i64::from_le_bytes(source.array(field)?)),
            Kind::F64 => Value::F64(f64::from_le_bytes(source.array(field)?)),
            Kind::String => Value::String(source.string(field, limits.gguf_string_bytes)?),
            Kind::Array => read_array(source, key, limits)?,
            Kind::Bool => match source.array(field)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [byte] => {
                    return Err(Error::malformed(
                        source.path(),
                        format!("BOOL {key}"),
                        byte,
                        "0 or 1",
                    ));
                }
            },
        })
    }
}

fn array_of(kind: Kind) -> String {
    format!("ARRAY of {}", kind.name())
}

/// The type tag of a value or of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// `UINT8`
    U8 = 0,
    /// `INT8`
    I8 = 1,
    /// `UINT16`
    U16 = 2,
    /// `INT16`
    I16 = 3,
    /// `UINT32`
    U32 = 4,
    /// `INT32`
    I32 = 5,
    /// `FLOAT32`
    F32 = 6,
    /// `BOOL`
    Bool = 7,
    /// `STRING`
    String = 8,
    /// `ARRAY`
    Array = 9,
    /// `UINT64`
    U64 = 10,
    /// `INT64`
    I64 = 11,
    /// `FLOAT64`
    F64 = 12,
}

impl Kind {
    /// Every kind with its name and the fewest bytes that a value of it takes; the position is the tag.
    const TABLE: [(Kind, &'static str, u64); 13] = [
        (Kind::U8, "UINT8", 1),
        (Kind::I8, "INT8", 1),
        (Kind::U16, "UINT16", 2),
        (Kind::I16, "INT16", 2),
        (Kind::U32, "UINT32", 4),
        (Kind::I32, "INT32", 4),
        (Kind::F32, "FLOAT32", 4),
        (Kind::Bool, "BOOL", 1),
        (Kind::String, "STRING", 8),
        (Kind::Array, "ARRAY", 12),
        (Kind::U64, "UINT64", 8),
        (Kind::I64, "INT64", 8),
        (Kind::F64, "FLOAT64", 8),
    ];

    /// The name in the GGUF specification.
    pub fn name(self) -> &'static str {
        Self::TABLE[self as usize].1
    }

    fn min_bytes(self) -> u64 {
        Self::TABLE[self as usize].2
    }

    fn read(source: &mut Source, key: &str) -> Result<Self> {
        let tag = source.u32(format_args!("type of {key}"))?;
        let row = usize::try_from(tag)
            .ok()
            .and_then(|tag| Self::TABLE.get(tag));
        row.map(|row| row.0).ok_or_else(|| {
            Error::malformed(
                source.path(),
                format!("type of {key}"),
                tag,
                "a value type from 0 to 12",
            )
        })
    }
}

fn read_array(source: &mut Source, key: &str, limits: &Limits) -> Result<Value> {
    let kind = Kind::read(source, key)?;
    let count = source.u64(format_args!("length of {key}"))?;
    if kind == Kind::Array {
        let found = "ARRAY of ARRAY";
        return Err(Error::unsupported(
            source.path(),
            key,
            found,
            "arrays of numbers or strings",
        ));
    }
    let size = source.need(
        format_args!("{count} elements of {key}"),
        count,
        kind.min_bytes(),
    )?;
    Limits::check(
        format!("{}: elements of {key}", source.path().display()),
        count,
        limits.gguf_array,
    )?;
    if kind == Kind::String {
        let mut list = Vec::with_capacity(Size::new(count).to_usize("elements of a GGUF array")?);
        for index in 0..count {
            list.push(source.string(format_args!("{key}[{index}]"), limits.gguf_string_bytes)?);
        }
        return Ok(Value::Strings(list));
    }
    let bytes = source.bytes(format_args!("{key}"), size.get(), 1)?;
    let (words, _) = bytes.as_chunks::<4>();
    Ok(match kind {
        Kind::I32 => Value::I32s(words.iter().map(|word| i32::from_le_bytes(*word)).collect()),
        Kind::F32 => Value::F32s(words.iter().map(|word| f32::from_le_bytes(*word)).collect()),
        _ => Value::Numbers { kind, bytes },
    })
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_tag_is_its_position_in_the_table() {
        for (position, row) in Kind::TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, position, "{}", row.1);
        }
    }
}
