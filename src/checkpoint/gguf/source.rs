//! A buffered little-endian reader that knows how much of the file is left.
//!
//! Every read is checked against the file's length first, so a count in the file can never ask for more
//! memory than the file could fill.

use std::fmt::Arguments;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::limits::{Limits, Size};

/// The file, the read position and the length.
pub(super) struct Source<'a> {
    reader: Box<dyn Read + 'a>,
    path: PathBuf,
    position: u64,
    length: u64,
}

impl<'a> Source<'a> {
    /// The content of a file called `path`.
    pub(super) fn of_bytes(path: &Path, bytes: &'a [u8]) -> Self {
        Source {
            reader: Box::new(bytes),
            path: path.to_path_buf(),
            position: 0,
            length: bytes.len() as u64,
        }
    }

    /// Opens a regular file. A pipe or a folder is refused: neither has a length to check against.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let meta = std::fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
        if !meta.is_file() {
            return Err(Error::malformed(
                path,
                "file type",
                format!("{:?}", meta.file_type()),
                "a regular file",
            ));
        }
        let file = File::open(path).map_err(|e| Error::io(path, "read", e))?;
        Ok(Source {
            reader: Box::new(BufReader::new(file)),
            path: path.to_path_buf(),
            position: 0,
            length: meta.len(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Refuses unless `count` items of at least `each` bytes can still follow.
    pub(super) fn need(&self, field: Arguments<'_>, count: u64, each: u64) -> Result<Size> {
        let left = self.length.saturating_sub(self.position);
        // Texts of errors are only made for errors: a vocabulary is read in half a million fields.
        if let Some(bytes) = count.checked_mul(each).filter(|&bytes| bytes <= left) {
            return Ok(Size::new(bytes));
        }
        let bytes =
            Size::new(count).times(each, &format!("{}: size of {field}", self.path.display()))?;
        Err(Error::malformed(
            &self.path,
            format!("{field} (offset {})", self.position),
            format!("{left} bytes left in the file"),
            format!("at least {} bytes", bytes.get()),
        ))
    }

    /// The next `count * each` bytes.
    pub(super) fn bytes(&mut self, field: Arguments<'_>, count: u64, each: u64) -> Result<Vec<u8>> {
        let size = self.need(field, count, each)?;
        let mut bytes = vec![0; size.to_usize("bytes of a GGUF field")?];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next `N` bytes, for a number.
    pub(super) fn array<const N: usize>(&mut self, field: Arguments<'_>) -> Result<[u8; N]> {
        self.need(field, N as u64, 1)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, field: Arguments<'_>) -> Result<u32> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, field: Arguments<'_>) -> Result<u64> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A length-prefixed UTF-8 string of at most `limit` bytes.
    pub(super) fn string(&mut self, field: Arguments<'_>, limit: u64) -> Result<String> {
        let length = self.u64(field)?;
        self.need(field, length, 1)?;
        if length > limit {
            let what = format!("{}: length of {field}", self.path.display());
            Limits::check(what, length, limit)?;
        }
        let start = self.position;
        let bytes = self.bytes(field, length, 1)?;
        String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            let found = format!(
                "byte {:#04x} at index {at}",
                e.as_bytes().get(at).copied().unwrap_or(0)
            );
            Error::malformed(
                &self.path,
                format!("{field} (offset {start})"),
                found,
                "UTF-8 text",
            )
        })
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.reader
            .read_exact(bytes)
            .map_err(|e| Error::io(&self.path, "read", e))?;
        self.position = self.position.saturating_add(bytes.len() as u64);
        Ok(())
    }
}
