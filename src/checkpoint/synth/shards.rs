//! Which tensor goes into which file: in order, a new file where the next tensor would make one too large, as transformers
//! does.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::SynthTensor;
use crate::checkpoint::safetensors::header_bytes;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};

/// One file.
pub struct Shard {
    /// Its name.
    pub name: String,
    /// Bytes of tensor data.
    pub data_bytes: u64,
    header: Vec<u8>,
    /// Index of each tensor and the byte of the file that it starts at.
    starts: Vec<(usize, u64)>,
}

impl Shard {
    /// Index of each tensor and the byte of the file that it starts at.
    pub fn tensors(&self) -> impl Iterator<Item = (usize, u64)> {
        self.starts.iter().copied()
    }

    /// Makes the file at its full length, with its header.
    pub fn create(&self, path: &Path) -> Result<()> {
        let mut file = File::create(path).map_err(|e| Error::io(path, "create", e))?;
        file.set_len(self.header.len() as u64 + self.data_bytes)
            .and_then(|()| file.write_all(&self.header))
            .map_err(|e| Error::io(path, "write", e))
    }
}

/// The files that hold `tensors`; `out` is named in errors.
pub fn split(
    out: &Path,
    tensors: &[SynthTensor],
    dtype: DType,
    shard_bytes: u64,
) -> Result<Vec<Shard>> {
    let sizes = tensors.iter().map(|tensor| {
        let one = [(tensor.name.clone(), tensor.shape.clone())];
        Ok(header_bytes(out, one, dtype)?.1)
    });
    let sizes = sizes.collect::<Result<Vec<u64>>>()?;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for (index, &size) in sizes.iter().enumerate() {
        match groups.last_mut().filter(|_| size <= room) {
            Some(group) => group.push(index),
            None => {
                room = shard_bytes;
                groups.push(vec![index]);
            }
        }
        room = room.saturating_sub(size);
    }
    let count = groups.len();
    let what = format!("{}: shards", out.display());
    Limits::check(what, count as u64, LIMITS.shards)?;
    let shard = |(number, group): (usize, Vec<usize>)| {
        let name = match count {
            1 => "model.safetensors".to_string(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
        };
        let described =
            |&index: &usize| (tensors[index].name.clone(), tensors[index].shape.clone());
        let (header, data_bytes) = header_bytes(out, group.iter().map(described), dtype)?;
        let mut at = header.len() as u64;
        let starts = group.iter().map(|&index| {
            let start = at;
            at += sizes[index];
            (index, start)
        });
        Ok(Shard {
            name,
            data_bytes,
            starts: starts.collect(),
            header,
        })
    };
    groups.into_iter().enumerate().map(shard).collect()
}
