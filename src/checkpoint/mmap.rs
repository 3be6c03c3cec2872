//! Read-only file maps. The only place of the checkpoint layer that needs `unsafe`.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};

/// A whole file, mapped read-only.
#[derive(Debug)]
pub struct FileMap {
    map: memmap2::Mmap,
}

impl FileMap {
    /// Maps `path`. An empty file is an error: it cannot be mapped and no model file is empty.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
        let length = file
            .metadata()
            .map_err(|e| Error::io(path, "stat", e))?
            .len();
        if length == 0 {
            return Err(Error::malformed(path, "file length", 0, "at least 8 bytes"));
        }
        // SAFETY: the map is read-only and private to this process's reads. What cannot be excluded is another
        // process that shortens the file while it is mapped: reads past the new end then raise SIGBUS, which
        // ends the process without a wrong answer. Sizes are checked once against the mapped length, which
        // does not change.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::io(path, "map", e))?;
        Ok(FileMap { map })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }
}
