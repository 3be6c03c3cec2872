//! A folder that is filled out of sight and shown whole.
//!
//! Files are written to a hidden folder inside the target (the same file system, even where the target is a
//! mount point) and moved out at the end in the order in which they were written. `config.json` is written
//! last, so whatever is interrupted leaves nothing that a loader takes for a model.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};

const STAGING: &str = ".partial";

/// The target and the files that wait in it.
pub(super) struct Folder {
    target: PathBuf,
    staging: PathBuf,
    created: bool,
    waiting: Vec<String>,
}

impl Folder {
    /// Opens `target`, which must be new or empty unless `force`; `None` where the command has no --force.
    pub(super) fn open(target: &Path, force: Option<bool>) -> Result<Self> {
        let created = match fs::read_dir(target) {
            Ok(entries) => {
                let others = entries.filter(|entry| !is_staging(entry)).count();
                if others > 0 && force != Some(true) {
                    let found = format!("{} with {others} entries", target.display());
                    let expected = match force {
                        Some(_) => "a new or empty folder, or --force",
                        None => "a new or empty folder",
                    };
                    return Err(Error::argument("--out", found, expected));
                }
                false
            }
            Err(e) if e.kind() == ErrorKind::NotFound => true,
            Err(e) => return Err(Error::io(target, "list", e)),
        };
        let staging = target.join(STAGING);
        match fs::remove_dir_all(&staging) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(Error::io(staging, "remove", e));
            }
            _ => {}
        }
        let folder = Folder {
            target: target.to_path_buf(),
            staging,
            created,
            waiting: Vec::new(),
        };
        fs::create_dir_all(&folder.staging).map_err(|e| Error::io(&folder.staging, "create", e))?;
        Ok(folder)
    }

    /// The path under which the next file, `name`, is to be written.
    pub(super) fn add(&mut self, name: impl Into<String>) -> PathBuf {
        let name = name.into();
        let path = self.staging.join(&name);
        self.waiting.push(name);
        path
    }

    /// Writes the next file, `name`, as it is.
    pub(super) fn add_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.add(name);
        fs::write(&path, bytes).map_err(|e| Error::io(path, "write", e))
    }

    /// Writes the next file, `name`.
    pub(super) fn add_json(&mut self, name: &str, value: &Value) -> Result<()> {
        let mut text = format!("{value:#}");
        text.push('\n');
        self.add_bytes(name, text.as_bytes())
    }

    /// Removes `obsolete` files from the target and moves the new ones there.
    pub(super) fn publish(mut self, obsolete: &[&str]) -> Result<()> {
        for name in obsolete {
            let path = self.target.join(name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(Error::io(path, "remove", e));
                }
                _ => {}
            }
        }
        for name in &self.waiting {
            let path = self.target.join(name);
            fs::rename(self.staging.join(name), &path).map_err(|e| Error::io(path, "create", e))?;
        }
        self.created = false;
        Ok(())
    }
}

impl Drop for Folder {
    /// Best effort: what cannot be removed is hidden and is removed by the next run into this folder.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.staging);
        if self.created {
            let _ = fs::remove_dir(&self.target);
        }
    }
}

fn is_staging(entry: &std::io::Result<fs::DirEntry>) -> bool {
    entry
        .as_ref()
        .is_ok_and(|entry| entry.file_name() == OsStr::new(STAGING))
}
