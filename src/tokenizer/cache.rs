//! Packed tokenizers kept on disk, each under the hash of the `tokenizer.json` that it was made from.
//!
//! ```text
//! "QWARPTOK"  u32 format  u32 length, versions  [32] hash of tokenizer.json  [32] hash of all the other bytes  packed
//! ```
//!
//! An entry serves only if all before `packed` is what this build would have written for this very file. The cache is a
//! convenience: whatever is wrong with it, the tokenizer is made from JSON, and the entry is written again.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::limits::LIMITS;

/// Raised whenever the meaning of the packed bytes changes, or a tokenizer.json is refused that was accepted before.
const FORMAT: u32 = 1;

/// The builds whose entries are alike. The crate decides how files are read; a test holds its version to Cargo.toml's.
const VERSIONS: &str = concat!("qwarp ", env!("CARGO_PKG_VERSION"), ", tokenizers 0.23.2");

/// Largest entry. A token takes 12 bytes besides its text and a merge 16, where JSON takes at least 6 for either.
const MAX_BYTES: u64 = 4 * LIMITS.json_bytes;

/// The place of one `tokenizer.json` in a cache folder.
pub(crate) struct Entry {
    folder: PathBuf,
    name: String,
    prefix: Vec<u8>,
}

impl Entry {
    /// The entry for the contents `json` of a `tokenizer.json`, under `cache`.
    pub(crate) fn new(cache: &Path, json: &[u8]) -> Self {
        let hash = blake3::hash(json);
        let mut prefix = b"QWARPTOK".to_vec();
        prefix.extend_from_slice(&FORMAT.to_le_bytes());
        prefix.extend_from_slice(&(VERSIONS.len() as u32).to_le_bytes());
        prefix.extend_from_slice(VERSIONS.as_bytes());
        prefix.extend_from_slice(hash.as_bytes());
        Entry {
            folder: cache.join("tokenizer"),
            name: format!("{}.bin", hash.to_hex()),
            prefix,
        }
    }

    /// The packed bytes, if an entry is there and whole.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        let path = self.folder.join(&self.name);
        let meta = fs::metadata(&path).ok()?;
        // To open a named pipe in its place would wait for ever.
        if !meta.is_file() || meta.len() > MAX_BYTES {
            return None;
        }
        let file = File::open(&path).ok()?;
        let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).ok()?);
        file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        let rest = bytes.strip_prefix(self.prefix.as_slice())?;
        let (stored, packed) = rest.split_first_chunk()?;
        if blake3::Hash::from_bytes(*stored) != self.hash(packed) {
            return None;
        }
        bytes.drain(..self.prefix.len() + stored.len());
        Some(bytes)
    }

    /// Keeps `packed`. A reader at the same time sees the old entry or the new one, never a part of it.
    pub(crate) fn write(&self, packed: &[u8]) -> io::Result<()> {
        create_private(&self.folder)?;
        // For its owner alone, under a name nobody else has; gone again if anything fails.
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(&self.prefix)?;
        file.write_all(self.hash(packed).as_bytes())?;
        file.write_all(packed)?;
        file.persist(self.folder.join(&self.name))?;
        Ok(())
    }

    fn hash(&self, packed: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.prefix).update(packed);
        hasher.finalize()
    }
}

fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_those_of_the_manifest() {
        let manifest = include_str!("../../Cargo.toml");
        let version = VERSIONS.rsplit(' ').next().unwrap_or_default();
        let line = format!("tokenizers = {{ version = \"={version}\"");
        assert!(manifest.contains(&line), "no {line} in Cargo.toml");
    }

    #[test]
    fn another_build_or_a_bit_more_or_less_is_no_entry() {
        let cache = tempfile::tempdir().unwrap();
        let entry = Entry::new(cache.path(), b"{}");
        assert!(entry.read().is_none());
        entry.write(b"packed").unwrap();
        assert_eq!(entry.read().unwrap(), b"packed");
        let file = entry.folder.join(&entry.name);
        let whole = fs::read(&file).unwrap();
        for cut in 0..whole.len() {
            fs::write(&file, &whole[..cut]).unwrap();
            assert!(entry.read().is_none(), "the first {cut} bytes serve");
        }
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, flipped).unwrap();
            assert!(entry.read().is_none(), "bit {bit} does not matter");
        }
        fs::write(&file, [whole.as_slice(), b"x"].concat()).unwrap();
        assert!(entry.read().is_none());
        // As another version of this program would write it, with a hash that is right.
        let mut other = Entry::new(cache.path(), b"{}");
        let version = other.prefix.iter().position(|&byte| byte == b'0').unwrap();
        other.prefix[version] = b'9';
        other.write(b"packed").unwrap();
        assert!(entry.read().is_none());
        assert!(other.read().is_some());
    }

    #[test]
    fn an_entry_that_is_no_file_is_left_alone() {
        let cache = tempfile::tempdir().unwrap();
        let entry = Entry::new(cache.path(), b"{}");
        fs::create_dir_all(entry.folder.join(&entry.name)).unwrap();
        assert!(entry.read().is_none());
        assert!(entry.write(b"packed").is_err());
        let left: Vec<_> = fs::read_dir(&entry.folder).unwrap().collect();
        assert_eq!(left.len(), 1, "a temporary file stays behind: {left:?}");
    }
}
