//! What changed between two plans: one line a value, and one line for all layers in which a value changed alike.

use std::fmt::Write;
use std::path::Path;

use qwarp::config::json::JsonFile;
use qwarp::{Error, Result};
use serde_json::{Map, Value};

use super::Options;
use super::blueprint::Blueprint;
use super::json::{MARK, json};

/// The plan in a file of `plan --json`, or of a model folder.
pub fn load(path: &Path, options: &Options) -> Result<Value> {
    if path.is_dir() {
        return json(&Blueprint::new(path, options)?);
    }
    let file = JsonFile::read(path)?;
    if file.integer(MARK.0)? != Some(MARK.1) {
        let found = file.get(MARK.0).map_or("nothing".into(), Value::to_string);
        return Err(Error::malformed(path, MARK.0, found, MARK.1));
    }
    let entry = |key: &str| Some((key.to_string(), file.get(key)?.clone()));
    Ok(Value::Object(file.keys().filter_map(entry).collect()))
}

/// A value that differs.
struct Change {
    path: String,
    /// `path` with the layer number left out.
    alike: String,
    a: String,
    b: String,
    count: usize,
}

/// The changes from `a` to `b` as text.
pub fn diff(a: &Value, b: &Value) -> String {
    let mut changes = Vec::new();
    compare("", Some(a), Some(b), &mut changes);
    if changes.is_empty() {
        return "no difference\n".to_string();
    }
    let mut text = String::new();
    for change in &changes {
        let Change {
            path, alike, a, b, ..
        } = change;
        let delta = delta(a, b).unwrap_or_default();
        let _ = match change.count {
            1 => writeln!(text, "{path}: {a} -> {b}{delta}"),
            count => writeln!(text, "{alike} ({count} layers): {a} -> {b}{delta}"),
        };
    }
    text
}

/// Depth is bounded by the JSON reader's own bound.
fn compare(path: &str, a: Option<&Value>, b: Option<&Value>, changes: &mut Vec<Change>) {
    if a == b {
        return;
    }
    let inner = |key: &str| match path {
        "" => key.to_string(),
        _ => format!("{path}.{key}"),
    };
    match (a, b) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for key in union(a, b) {
                compare(&inner(key), a.get(key), b.get(key), changes);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            match (by_name(left), by_name(right)) {
                (Some(left), Some(right)) => {
                    for name in union(&left, &right) {
                        let path = format!("{path}[{name}]");
                        compare(&path, left.get(name), right.get(name), changes);
                    }
                }
                _ => note(path, a, b, changes),
            }
        }
        _ => note(path, a, b, changes),
    }
}

/// The keys of `a` in order, then those that only `b` has.
fn union<'a>(a: &'a Map<String, Value>, b: &'a Map<String, Value>) -> Vec<&'a String> {
    let added = b.keys().filter(|key| !a.contains_key(*key));
    a.keys().chain(added).collect()
}

/// Objects by their `name`, if each has one.
fn by_name(items: &[Value]) -> Option<Map<String, Value>> {
    let named = items.iter().map(|item| {
        let name = item.get("name")?.as_str()?;
        Some((name.to_string(), item.clone()))
    });
    named.collect()
}

fn note(path: &str, a: Option<&Value>, b: Option<&Value>, changes: &mut Vec<Change>) {
    let show = |value: Option<&Value>| match value {
        None => "absent".to_string(),
        Some(Value::Object(_)) => "present".to_string(),
        Some(value) => value.to_string(),
    };
    let (a, b) = (show(a), show(b));
    let alike = without_layer(path);
    let known = changes
        .iter_mut()
        .rev()
        .find(|known| known.alike == alike && known.a == a && known.b == b);
    match known {
        Some(known) => known.count += 1,
        None => changes.push(Change {
            path: path.to_string(),
            alike,
            a,
            b,
            count: 1,
        }),
    }
}

/// `steps[layer 3 qkv].step` without its number.
fn without_layer(path: &str) -> String {
    const LAYER: &str = "[layer ";
    match path.split_once(LAYER) {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}{LAYER}*{rest}")
        }
        None => path.to_string(),
    }
}

fn delta(a: &str, b: &str) -> Option<String> {
    let (a, b): (i128, i128) = (a.parse().ok()?, b.parse().ok()?);
    let difference = b.checked_sub(a)?;
    if a == 0 {
        return Some(format!(" ({difference:+})"));
    }
    let percent = 100.0 * difference as f64 / a as f64;
    Some(format!(" ({difference:+}, {percent:+.1} %)"))
}
