//! The key-value section of a GGUF file, with typed access.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::limits::Limits;

use super::source::Source;
pub use super::value::{Kind, Value};

/// All metadata of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    file: PathBuf,
    entries: BTreeMap<String, Value>,
}

impl Metadata {
    /// Empty metadata; `file` is named in errors.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Metadata {
            file: file.into(),
            entries: BTreeMap::new(),
        }
    }

    /// The file that the values come from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Adds a value; a key that is already there is refused.
    pub fn insert(&mut self, key: String, value: Value) -> Result<()> {
        if self.entries.contains_key(&key) {
            return Err(Error::malformed(
                &self.file,
                format!("metadata key {key}"),
                "a second entry",
                "one entry",
            ));
        }
        self.entries.insert(key, value);
        Ok(())
    }

    /// The keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// The string under `key`; another type is an error.
    pub fn string(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "STRING", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The u32 under `key`; another type is an error.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "UINT32", |value| match value {
            Value::U32(number) => Some(*number),
            _ => None,
        })
    }

    /// The f32 under `key`; another type is an error.
    pub fn f32(&self, key: &str) -> Result<Option<f32>> {
        self.typed(key, "FLOAT32", |value| match value {
            Value::F32(number) => Some(*number),
            _ => None,
        })
    }

    /// The bool under `key`; another type is an error.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "BOOL", |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
    }

    /// The strings under `key`; another type is an error.
    pub fn strings(&self, key: &str) -> Result<Option<&[String]>> {
        self.typed(key, "ARRAY of STRING", |value| match value {
            Value::Strings(list) => Some(list.as_slice()),
            _ => None,
        })
    }

    /// The i32 array under `key`; another type is an error.
    pub fn i32s(&self, key: &str) -> Result<Option<&[i32]>> {
        self.typed(key, "ARRAY of INT32", |value| match value {
            Value::I32s(list) => Some(list.as_slice()),
            _ => None,
        })
    }

    /// What a key without which the file cannot be used must give; `value` is the result of a typed read.
    pub fn required<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| {
            Error::malformed(
                &self.file,
                format!("metadata key {key}"),
                "no entry",
                "one entry",
            )
        })
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        pick: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match pick(value) {
            Some(found) => Ok(Some(found)),
            None => Err(Error::malformed(
                &self.file,
                format!("type of metadata key {key}"),
                value.type_name(),
                expected,
            )),
        }
    }

    /// Reads `count` entries.
    pub(super) fn read(source: &mut Source, count: u64, limits: &Limits) -> Result<Self> {
        // A key length, one byte of key, a type and one byte of value: no entry is shorter.
        source.need(
            format_args!("{count} metadata entries"),
            count,
            8 + 1 + 4 + 1,
        )?;
        let what = format!("{}: metadata entries", source.path().display());
        Limits::check(what, count, limits.gguf_keys)?;
        let mut metadata = Metadata::new(source.path());
        for index in 0..count {
            let key = source.string(format_args!("metadata key {index}"), limits.gguf_key_bytes)?;
            let value = Value::read(source, &key, limits)?;
            metadata.insert(key, value)?;
        }
        Ok(metadata)
    }
}
