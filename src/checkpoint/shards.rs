//! Which files hold a model: `model.safetensors`, or the shards that `model.safetensors.index.json` lists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::json::JsonFile;
use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};

/// The safetensors files of a folder, and where the index says each tensor is.
#[derive(Debug)]
pub struct Shards {
    /// File names inside the folder, sorted.
    pub files: Vec<String>,
    /// Tensor name to file name; `None` for a single file without an index.
    pub index: Option<(PathBuf, BTreeMap<String, String>)>,
}

impl Shards {
    /// Finds the files of `folder`.
    pub fn find(folder: &Path) -> Result<Self> {
        if folder.join("model.safetensors").exists() {
            return Ok(Shards {
                files: vec!["model.safetensors".to_string()],
                index: None,
            });
        }
        let path = folder.join("model.safetensors.index.json");
        if !path.exists() {
            return Err(Error::malformed(
                folder,
                "weights",
                "neither file",
                "model.safetensors or model.safetensors.index.json",
            ));
        }
        let shards = Shards::from_index(&JsonFile::read(&path)?)?;
        for file in &shards.files {
            if !folder.join(file).is_file() {
                return Err(Error::malformed(
                    &path,
                    "weight_map",
                    format!("{file}, which is missing"),
                    "a shard in this folder",
                ));
            }
        }
        Ok(shards)
    }

    /// The files that an index names; whether they exist is not looked at.
    pub fn from_index(file: &JsonFile) -> Result<Self> {
        let path = file.path();
        let index = read_index(file)?;
        let mut files: Vec<String> = index.values().cloned().collect();
        files.sort();
        files.dedup();
        Limits::check(
            format!("{}: shards", path.display()),
            files.len() as u64,
            LIMITS.shards,
        )?;
        for file in &files {
            // A name with a separator could reach outside the folder.
            if file.contains(['/', '\\']) || !file.ends_with(".safetensors") {
                return Err(Error::malformed(
                    path,
                    "weight_map",
                    file,
                    "a .safetensors file name in this folder",
                ));
            }
        }
        Ok(Shards {
            files,
            index: Some((path.to_path_buf(), index)),
        })
    }

    /// Checks that the index and the shards' headers name the same tensors in the same files.
    pub fn check(&self, file: &str, names: &[&str]) -> Result<()> {
        let Some((path, index)) = &self.index else {
            return Ok(());
        };
        for &name in names {
            if index.get(name).map(String::as_str) != Some(file) {
                let listed = index.get(name).map_or("no file", String::as_str);
                return Err(Error::malformed(
                    path,
                    format!("weight_map.{name}"),
                    listed,
                    format!("{file}, which holds it"),
                ));
            }
        }
        let listed = index.values().filter(|value| *value == file).count();
        if listed != names.len() {
            let missing = index
                .iter()
                .find(|(name, value)| *value == file && !names.contains(&name.as_str()));
            let missing = missing.map_or("", |(name, _)| name);
            return Err(Error::malformed(
                path,
                format!("weight_map.{missing}"),
                file,
                format!(
                    "a shard that holds it ({file} has {} tensors, the index lists {listed})",
                    names.len()
                ),
            ));
        }
        Ok(())
    }
}

fn read_index(file: &JsonFile) -> Result<BTreeMap<String, String>> {
    let map = match file.get("weight_map") {
        Some(Value::Object(map)) => map,
        Some(other) => {
            return Err(file.wrong(
                "weight_map",
                other,
                "an object of tensor names and file names",
            ));
        }
        None => {
            return Err(Error::malformed(
                file.path(),
                "weight_map",
                "nothing",
                "an object of tensor names and file names",
            ));
        }
    };
    if map.is_empty() {
        let expected = "at least one tensor";
        return Err(Error::malformed(file.path(), "weight_map", "{}", expected));
    }
    Limits::check(
        format!("{}: tensors", file.path().display()),
        map.len() as u64,
        LIMITS.tensors,
    )?;
    map.iter()
        .map(|(name, value)| match value {
            Value::String(shard) => Ok((name.clone(), shard.clone())),
            other => Err(file.wrong(&format!("weight_map.{name}"), other, "a file name")),
        })
        .collect()
}
