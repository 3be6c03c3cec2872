//! The text that a kernel file is compiled from: its own and that of the headers it includes, theirs included.

use std::fs;
use std::path::{Path, PathBuf};

/// `file` and every header it reaches by `#include "..."`, each with its text, in the order in which they are met.
/// Headers in angle brackets are the toolkit's and follow from its version.
pub fn closure(file: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let mut found: Vec<(PathBuf, String)> = Vec::new();
    let mut open = vec![file.to_path_buf()];
    while let Some(path) = open.pop() {
        if found.iter().any(|(seen, _)| *seen == path) {
            continue;
        }
        let text = fs::read_to_string(&path)
            .map_err(|e| format!("{}: cannot read: {e}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        open.extend(quoted(&text).map(|name| normal(&folder.join(name))));
        found.push((path, text));
    }
    Ok(found)
}

/// The names in `#include "..."` lines.
pub fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix('#')?.trim_start();
        let rest = rest.strip_prefix("include")?.trim_start();
        rest.strip_prefix('"')?.split('"').next()
    })
}

/// Without `..`, so that a header met by two ways counts once.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts
}
