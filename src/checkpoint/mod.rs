//! Model folders on disk: safetensors checkpoints mapped read-only, and the import of GGUF files into such folders.

mod folder;
pub mod gguf;
pub mod inspect;
pub mod mmap;
pub mod placement;
pub mod safetensors;
pub mod shards;
pub mod synth;
pub mod weights;

pub use weights::Weights;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ::safetensors::Dtype;

use crate::DType;
use crate::error::{Error, Result};
use mmap::FileMap;
use shards::Shards;

/// The mapped tensors of a model folder, by name.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    files: Vec<(PathBuf, FileMap)>,
    tensors: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

/// One mapped tensor.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    /// The file it stands in.
    pub file: &'a Path,
    /// Its name.
    pub name: &'a str,
    /// Its element type.
    pub dtype: DType,
    /// Its dimensions, slowest first.
    pub shape: &'a [usize],
    /// Its bytes, little-endian, of the length that dtype and shape give.
    pub bytes: &'a [u8],
}

impl Checkpoint {
    /// Maps the safetensors files of `folder` and checks their headers; no tensor data is read.
    pub fn open(folder: &Path) -> Result<Self> {
        let shards = Shards::find(folder)?;
        let mut files = Vec::new();
        let mut tensors = BTreeMap::new();
        for (index, name) in shards.files.iter().enumerate() {
            let path = folder.join(name);
            let map = FileMap::open(&path)?;
            let header = safetensors::read_header(&path, map.bytes())?;
            let names: Vec<&str> = header
                .tensors
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            shards.check(name, &names)?;
            for (tensor, info) in header.tensors {
                // In range: read_header checked that the offsets end at the file's end.
                let bytes = header.data_start + info.data_offsets.0
                    ..header.data_start + info.data_offsets.1;
                let entry = Entry {
                    file: index,
                    dtype: info.dtype,
                    shape: info.shape,
                    bytes,
                };
                if tensors.insert(tensor.clone(), entry).is_some() {
                    return Err(Error::malformed(
                        &path,
                        tensor,
                        "the name in two shards",
                        "each tensor once",
                    ));
                }
            }
            files.push((path, map));
        }
        Ok(Checkpoint {
            folder: folder.to_path_buf(),
            files,
            tensors,
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Bytes of all mapped files.
    pub fn mapped_bytes(&self) -> u64 {
        self.files
            .iter()
            .map(|(_, map)| map.bytes().len() as u64)
            .sum()
    }

    /// Bytes of the data of all tensors: the files without their headers.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors
            .values()
            .map(|entry| entry.bytes.len() as u64)
            .sum()
    }

    /// The tensor `name`, which must exist, be bf16, f16 or f32, and have `shape`.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorView<'_>> {
        let Some((name, entry)) = self.tensors.get_key_value(name) else {
            return Err(Error::malformed(
                &self.folder,
                name,
                "no such tensor",
                format!("a tensor of shape {shape:?}"),
            ));
        };
        let (file, map) = &self.files[entry.file];
        let dtype = match entry.dtype {
            Dtype::BF16 => DType::Bf16,
            Dtype::F16 => DType::F16,
            Dtype::F32 => DType::F32,
            other => {
                return Err(Error::unsupported(
                    file,
                    name,
                    format!("{other:?}"),
                    "BF16, F16, F32",
                ));
            }
        };
        if entry.shape != shape {
            return Err(Error::malformed(
                file,
                format!("{name}: shape"),
                format!("{:?}", entry.shape),
                format!("{shape:?}"),
            ));
        }
        Ok(TensorView {
            file,
            name,
            dtype,
            shape: &entry.shape,
            bytes: &map.bytes()[entry.bytes.clone()],
        })
    }
}
