//! The header of a GGUF file: metadata, tensor descriptions, and where the data starts.
//!
//! Only the header has to be whole: a file whose tensor data is cut still gives its tokenizer.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::limits::{Limits, Size};

use super::metadata::Metadata;
use super::source::Source;

/// Alignment of tensor data where the file does not say.
const DEFAULT_ALIGNMENT: u32 = 32;
/// Longest tensor name that ggml itself can hold, its terminating zero excluded.
const MAX_NAME_BYTES: u64 = 63;
/// Most dimensions that ggml knows.
const MAX_DIMS: u32 = 4;

/// One tensor as the file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name, unique in the file.
    pub name: String,
    /// Sizes in ggml order: the contiguous dimension first.
    pub dims: Vec<u64>,
    /// The type's id; `GgmlType::from_id` says whether it can be read.
    pub ggml_type: u32,
    /// Bytes from `Header::data_start`, a multiple of `Header::alignment`.
    pub offset: u64,
}

/// Everything before the tensor data.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The file.
    pub file: PathBuf,
    /// 2 or 3; they differ only in that 3 admits big-endian files, which are refused.
    pub version: u32,
    /// The key-value section.
    pub metadata: Metadata,
    /// The tensors, in file order.
    pub tensors: Vec<TensorInfo>,
    /// Alignment of the data and of each tensor in it, in bytes.
    pub alignment: u32,
    /// Where the data starts, in bytes from the start of the file; beyond `file_bytes` in a cut file.
    pub data_start: u64,
    /// Length of the file.
    pub file_bytes: u64,
}

impl Header {
    /// Reads the header of `path`.
    pub fn read(path: &Path, limits: &Limits) -> Result<Self> {
        Self::from_source(&mut Source::open(path)?, limits)
    }

    /// Reads the header of a file called `path` whose whole content is `bytes`.
    pub fn parse(path: &Path, bytes: &[u8], limits: &Limits) -> Result<Self> {
        Self::from_source(&mut Source::of_bytes(path, bytes), limits)
    }

    fn from_source(source: &mut Source, limits: &Limits) -> Result<Self> {
        let version = read_version(source)?;
        let tensor_count = source.u64(format_args!("tensor count"))?;
        let key_count = source.u64(format_args!("metadata count"))?;
        let metadata = Metadata::read(source, key_count, limits)?;
        let alignment = read_alignment(&metadata)?;
        let tensors = read_tensors(source, tensor_count, alignment, limits)?;
        let data_start = align_up(source.position(), alignment, source.path())?;
        let file_bytes = source.length();
        Ok(Header {
            file: source.path().to_path_buf(),
            version,
            metadata,
            tensors,
            alignment,
            data_start,
            file_bytes,
        })
    }

    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

fn read_version(source: &mut Source) -> Result<u32> {
    let magic: [u8; 4] = source.array(format_args!("magic"))?;
    if &magic != b"GGUF" {
        return Err(Error::malformed(
            source.path(),
            "magic",
            magic.escape_ascii(),
            "GGUF",
        ));
    }
    let version = source.u32(format_args!("version"))?;
    match version {
        2 | 3 => Ok(version),
        // The bytes of a small number the wrong way round: the whole file is big-endian.
        _ if version.trailing_zeros() >= 16 && version != 0 => {
            let found = format!("big-endian version {}", version.swap_bytes());
            Err(Error::unsupported(
                source.path(),
                "GGUF byte order",
                found,
                "little-endian",
            ))
        }
        _ => Err(Error::unsupported(
            source.path(),
            "GGUF version",
            version,
            "2, 3",
        )),
    }
}

fn read_alignment(metadata: &Metadata) -> Result<u32> {
    let alignment = metadata
        .u32("general.alignment")?
        .unwrap_or(DEFAULT_ALIGNMENT);
    if alignment.is_power_of_two() {
        return Ok(alignment);
    }
    Err(Error::malformed(
        metadata.file(),
        "general.alignment",
        alignment,
        "a power of two",
    ))
}

fn read_tensors(
    source: &mut Source,
    count: u64,
    alignment: u32,
    limits: &Limits,
) -> Result<Vec<TensorInfo>> {
    // A name length, one byte of name, a dimension count, one dimension, a type and an offset.
    source.need(
        format_args!("{count} tensor descriptions"),
        count,
        8 + 1 + 4 + 8 + 4 + 8,
    )?;
    Limits::check(
        format!("{}: tensors", source.path().display()),
        count,
        limits.tensors,
    )?;
    let mut names = HashSet::new();
    let mut tensors = Vec::new();
    for index in 0..count {
        let tensor = read_tensor(source, index, alignment)?;
        if !names.insert(tensor.name.clone()) {
            let field = format!("tensor {}", tensor.name);
            return Err(Error::malformed(
                source.path(),
                field,
                "a second description",
                "one description",
            ));
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn read_tensor(source: &mut Source, index: u64, alignment: u32) -> Result<TensorInfo> {
    let name = source.string(format_args!("name of tensor {index}"), MAX_NAME_BYTES)?;
    let rank = source.u32(format_args!("dimension count of {name}"))?;
    if !(1..=MAX_DIMS).contains(&rank) {
        let expected = format!("1 to {MAX_DIMS}");
        return Err(Error::malformed(
            source.path(),
            format!("dimension count of {name}"),
            rank,
            expected,
        ));
    }
    let dims = (0..rank).map(|dim| source.u64(format_args!("dimension {dim} of {name}")));
    let dims = dims.collect::<Result<Vec<u64>>>()?;
    let ggml_type = source.u32(format_args!("type of {name}"))?;
    let offset = source.u64(format_args!("offset of {name}"))?;
    if offset % u64::from(alignment) != 0 {
        let expected = format!("a multiple of the alignment {alignment}");
        return Err(Error::malformed(
            source.path(),
            format!("offset of {name}"),
            offset,
            expected,
        ));
    }
    Ok(TensorInfo {
        name,
        dims,
        ggml_type,
        offset,
    })
}

fn align_up(position: u64, alignment: u32, path: &Path) -> Result<u64> {
    let alignment = u64::from(alignment);
    let padding = (alignment - position % alignment) % alignment;
    let what = format!("{}: start of the tensor data", path.display());
    Ok(Size::new(position).plus(padding, &what)?.get())
}
