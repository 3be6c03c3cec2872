//! What a template may still read and make, and the sizes that are taken from it.

use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use crate::limits::LIMITS;

/// Bytes charged for an element of a list or map: a few times what it takes in memory, for the time to visit it.
pub(super) const ELEMENT_BYTES: u64 = 128;
/// Bytes charged for each byte of a text inside a value that is walked: such texts are written with escapes.
const INNER_TEXT: u64 = 4;

/// Bytes left for one rendering.
pub(super) struct Budget {
    left: AtomicU64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Budget {
            left: AtomicU64::new(LIMITS.template_work),
        }
    }

    /// Takes `bytes`, or ends the rendering. Call it before the work.
    pub(super) fn charge(&self, bytes: u64) -> Result<(), Error> {
        let take = |left: u64| left.checked_sub(bytes);
        match self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(refused(format!(
                "over the budget of {} bytes of work",
                LIMITS.template_work
            ))),
        }
    }

    /// Takes the size of a value without what its elements hold.
    pub(super) fn charge_shallow(&self, value: &Value) -> Result<(), Error> {
        self.charge(match value.as_str() {
            Some(text) => text.len() as u64,
            None if value.as_object().is_some() => length(value).saturating_mul(ELEMENT_BYTES),
            None => 1,
        })
    }

    /// Takes the size of a value with all it holds, and refuses one that is nested too deep to walk.
    pub(super) fn charge_deep(&self, value: &Value) -> Result<(), Error> {
        self.walk(value, 0)
    }

    fn walk(&self, value: &Value, depth: u64) -> Result<(), Error> {
        if depth > LIMITS.template_depth {
            return Err(refused(format!(
                "values are nested over {} deep",
                LIMITS.template_depth
            )));
        }
        self.charge(ELEMENT_BYTES)?;
        if let Some(text) = value.as_str() {
            return self.charge((text.len() as u64).saturating_mul(INNER_TEXT));
        }
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                for item in value.try_iter()?.checked() {
                    self.walk(&item?, depth + 1)?;
                }
            }
            ValueKind::Map => {
                for key in value.try_iter()?.checked() {
                    let key = key?;
                    self.walk(&key, depth + 1)?;
                    self.walk(&value.get_item(&key)?, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Elements of a list or map; an iterable that does not know its length is taken for one.
pub(super) fn length(value: &Value) -> u64 {
    value.len().map_or(1, |len| len as u64)
}

/// All arguments of a call, the named ones last, as the functions of minijinja take them.
pub(super) fn arguments(positional: Rest<Value>, named: Kwargs) -> Vec<Value> {
    let mut all = positional.0;
    if named.args().next().is_some() {
        all.push(Value::from(named));
    }
    all
}

/// The error of an operation that is not done.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// A JSON document as template values, key order kept.
pub(super) fn from_json(json: &serde_json::Value) -> crate::Result<Value> {
    convert(json, 0)
}

fn convert(json: &serde_json::Value, depth: u64) -> crate::Result<Value> {
    use serde_json::Value as Json;
    crate::limits::Limits::check("messages or tools: nesting", depth, LIMITS.template_depth)?;
    Ok(match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => {
            let items: crate::Result<Vec<Value>> =
                items.iter().map(|item| convert(item, depth + 1)).collect();
            Value::from(items?)
        }
        Json::Object(entries) => {
            let entry = |(key, item): (&String, _)| {
                Ok((Value::from(key.as_str()), convert(item, depth + 1)?))
            };
            let entries: crate::Result<Vec<(Value, Value)>> = entries.iter().map(entry).collect();
            Value::from_pairs(entries?)
        }
    })
}
