//! The file of `--logits-out`: a safetensors file written row by row, so that it may be larger than memory. It has its name
//! only once it is whole: an interrupted run leaves what stood there before.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use qwarp::{Error, Result};

/// An open file whose rows arrive in order.
pub struct LogitsFile {
    path: PathBuf,
    partial: PathBuf,
    rows: usize,
    out: BufWriter<File>,
    token_ids: Vec<u32>,
}

impl LogitsFile {
    /// Creates `path` for `positions` rows of `vocab` logits and the prompt's token ids at those positions.
    pub fn create(path: &Path, token_ids: &[u32], vocab: usize) -> Result<Self> {
        let logits_bytes = token_ids.len() * vocab * 4;
        let header = serde_json::json!({
            "logits": {"dtype": "F32", "shape": [token_ids.len(), vocab], "data_offsets": [0, logits_bytes]},
            "token_ids": {
                "dtype": "I64", "shape": [token_ids.len()],
                "data_offsets": [logits_bytes, logits_bytes + 8 * token_ids.len()],
            },
        });
        let mut header = header.to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|e| Error::io(&partial, "create", e))?;
        let (path, out) = (path.to_path_buf(), BufWriter::new(file));
        let mut file = LogitsFile {
            path,
            partial,
            rows: 0,
            out,
            token_ids: token_ids.to_vec(),
        };
        file.write(&(header.len() as u64).to_le_bytes())?;
        file.write(&header)?;
        Ok(file)
    }

    /// Appends one row.
    pub fn row(&mut self, logits: &[f32]) -> Result<()> {
        self.rows += 1;
        for x in logits {
            self.write(&x.to_le_bytes())?;
        }
        Ok(())
    }

    /// Appends the token ids and gives the file its name, if every row was written; else removes it.
    pub fn finish(mut self) -> Result<()> {
        if self.rows == self.token_ids.len() {
            for id in std::mem::take(&mut self.token_ids) {
                self.write(&i64::from(id).to_le_bytes())?;
            }
            self.out
                .flush()
                .map_err(|e| Error::io(&self.path, "write", e))?;
            std::fs::rename(&self.partial, &self.path)
                .map_err(|e| Error::io(&self.path, "rename to", e))?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out
            .write_all(bytes)
            .map_err(|e| Error::io(&self.path, "write", e))
    }
}

impl Drop for LogitsFile {
    fn drop(&mut self) {
        // Gone already if it was renamed.
        let _ = std::fs::remove_file(&self.partial);
    }
}
