//! Reading one JSON object of a model folder: bounded, typed, and with errors that name file, field and both values.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};

/// A JSON object and the file it came from.
pub struct JsonFile {
    path: PathBuf,
    map: Map<String, Value>,
}

/// The text of `path`, refused above `LIMITS.json_bytes` before it is read.
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = read_bytes(path)?;
    utf8(path, &bytes).map(str::to_string)
}

/// `bytes` as text; `path` is named in the error.
pub fn utf8<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|e| {
        Error::malformed(
            path,
            format!("byte {}", e.valid_up_to()),
            "a byte that is not UTF-8",
            "UTF-8 text",
        )
    })
}

/// The bytes of `path`, refused above `LIMITS.json_bytes` before they are read.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
    let length = file
        .metadata()
        .map_err(|e| Error::io(path, "stat", e))?
        .len();
    Limits::check(
        format!("{}: bytes", path.display()),
        length,
        LIMITS.json_bytes,
    )?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a text that is too long where the stat gave no length, as for a pipe.
    file.by_ref()
        .take(LIMITS.json_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(path, "read", e))?;
    Limits::check(
        format!("{}: bytes", path.display()),
        bytes.len() as u64,
        LIMITS.json_bytes,
    )?;
    Ok(bytes)
}

impl JsonFile {
    /// Reads `path` as one JSON object.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_bytes(path)?)
    }

    /// Reads `bytes` as one JSON object; `path` is named in errors and not opened.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let text = utf8(path, bytes)?;
        let value: Value = serde_json::from_str(text).map_err(|e| {
            Error::malformed(
                path,
                format!("line {} column {}", e.line(), e.column()),
                format!("invalid JSON ({e})"),
                "one JSON object",
            )
        })?;
        match value {
            Value::Object(map) => Ok(JsonFile {
                path: path.to_path_buf(),
                map,
            }),
            other => Err(Error::malformed(
                path,
                "top level",
                kind(&other),
                "a JSON object",
            )),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys, in file order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    /// The raw value of `key`; a JSON null reads as absent.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A non-negative integer, if present.
    pub fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "a non-negative integer", Value::as_u64)
    }

    /// A number, if present.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// A boolean, if present.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// A string, if present.
    pub fn string(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, other, "a string")),
        }
    }

    /// One id or a list of ids (`eos_token_id` has both forms), empty if absent.
    pub fn ids(&self, key: &str) -> Result<Vec<u32>> {
        let expected = "a token id or a list of token ids";
        let one = |value: &Value| {
            value
                .as_u64()
                .and_then(|id| u32::try_from(id).ok())
                .ok_or_else(|| self.wrong(key, value, expected))
        };
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(one).collect(),
            Some(value) => Ok(vec![one(value)?]),
        }
    }

    /// An integer between 1 and `limit`; absent is an error.
    pub fn dimension(&self, key: &str, limit: u64) -> Result<usize> {
        let value = self
            .integer(key)?
            .ok_or_else(|| Error::malformed(&self.path, key, "nothing", "a positive integer"))?;
        self.check_dimension(key, value, limit)
    }

    /// `value` as a dimension: between 1 and `limit`.
    pub fn check_dimension(&self, key: &str, value: u64, limit: u64) -> Result<usize> {
        if value == 0 {
            return Err(Error::malformed(&self.path, key, 0, "a positive integer"));
        }
        Limits::check(format!("{}: {key}", self.path.display()), value, limit)?;
        usize::try_from(value)
            .map_err(|_| Error::malformed(&self.path, key, value, "a size of this machine"))
    }

    /// The error for a value of the wrong kind.
    pub fn wrong(&self, key: &str, found: &Value, expected: &str) -> Error {
        let mut shown = found.to_string();
        if shown.chars().count() > 60 {
            shown = shown.chars().take(60).collect::<String>() + "...";
        }
        Error::malformed(&self.path, key, shown, expected)
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| self.wrong(key, value, expected)),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
