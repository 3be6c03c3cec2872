//! The header of a safetensors file: every rule of the format is checked by name before the crate's own
//! validation has the last word.
//!
//! Format: <https://github.com/huggingface/safetensors#format>. An 8-byte little-endian header length, the JSON
//! header, then the data, which the tensors' `data_offsets` tile exactly.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits, Size};

/// The tensors of one file.
#[derive(Debug)]
pub struct Header {
    /// Name and description, in the order of their data.
    pub tensors: Vec<(String, TensorInfo)>,
    /// Byte of the file at which `data_offsets` 0 stands.
    pub data_start: usize,
}

/// Reads and checks the header of `path`, whose whole content is `bytes`.
pub fn read_header(path: &Path, bytes: &[u8]) -> Result<Header> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(Error::malformed(
            path,
            "file length",
            bytes.len(),
            "at least 8 bytes",
        ));
    };
    let length = u64::from_le_bytes(*length);
    Limits::check(
        format!("{}: header length", path.display()),
        length,
        LIMITS.safetensors_header_bytes,
    )?;
    let json = usize::try_from(length)
        .ok()
        .and_then(|length| rest.get(..length))
        .ok_or_else(|| {
            Error::malformed(
                path,
                "header length",
                length,
                format!("at most the {} bytes that follow", rest.len()),
            )
        })?;
    let data = &rest[json.len()..];
    let mut tensors = parse(path, json)?;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    check_tiling(path, &tensors, data.len())?;
    Metadata::new(None, tensors.clone()).map_err(|e| {
        Error::malformed(
            path,
            "header",
            format!("{e:?}"),
            "a valid safetensors header",
        )
    })?;
    Ok(Header {
        tensors,
        data_start: bytes.len() - data.len(),
    })
}

fn parse(path: &Path, json: &[u8]) -> Result<Vec<(String, TensorInfo)>> {
    let text = std::str::from_utf8(json).map_err(|e| {
        Error::malformed(
            path,
            format!("header byte {}", e.valid_up_to()),
            "a byte that is not UTF-8",
            "UTF-8 text",
        )
    })?;
    let entries: Entries = serde_json::from_str(text).map_err(|e| {
        Error::malformed(
            path,
            "header",
            e,
            "JSON that maps tensor names to dtype, shape, data_offsets",
        )
    })?;
    let mut seen = HashSet::new();
    for (name, _) in &entries.0 {
        if !seen.insert(name) {
            return Err(Error::malformed(
                path,
                name,
                "the name twice",
                "each tensor once",
            ));
        }
    }
    Limits::check(
        format!("{}: tensors", path.display()),
        entries.0.len() as u64,
        LIMITS.tensors,
    )?;
    Ok(entries.0)
}

/// Each tensor's bytes equal dtype times shape, start where the one before ends, and end at the file's end.
fn check_tiling(path: &Path, tensors: &[(String, TensorInfo)], data_len: usize) -> Result<()> {
    let mut end = 0;
    for (name, info) in tensors {
        let (start, stop) = info.data_offsets;
        if start != end || stop < start {
            return Err(Error::malformed(
                path,
                format!("{name}: data_offsets"),
                format!("[{start}, {stop}]"),
                format!("a start of {end}, where the tensor before ends"),
            ));
        }
        let dims: Vec<u64> = info.shape.iter().map(|&dim| dim as u64).collect();
        let what = format!("{}: {name}: shape {:?} in bits", path.display(), info.shape);
        let bits = Size::product(&dims, &what)?
            .times(info.dtype.bitsize() as u64, &what)?
            .get();
        if !bits.is_multiple_of(8) || bits / 8 != (stop - start) as u64 {
            return Err(Error::malformed(
                path,
                format!("{name}: data_offsets"),
                format!("{} bytes", stop - start),
                format!("{} bytes for {:?} {:?}", bits / 8, info.dtype, info.shape),
            ));
        }
        end = stop;
    }
    if end != data_len {
        return Err(Error::malformed(
            path,
            "file length",
            format!("{data_len} data bytes"),
            format!("{end} data bytes, where the last tensor ends"),
        ));
    }
    Ok(())
}

/// What stands in front of the data of `tensors` in a new file, padded to 8 bytes, and the length of the data. `target` is
/// named in errors.
pub(super) fn header_bytes(
    target: &Path,
    tensors: impl IntoIterator<Item = (String, Vec<usize>)>,
    dtype: DType,
) -> Result<(Vec<u8>, u64)> {
    let refused = |e: &dyn ToString| {
        Error::malformed(target, "safetensors header", e.to_string(), "a valid one")
    };
    let mut end = Size::new(0);
    let mut infos = Vec::new();
    for (name, shape) in tensors {
        let what = format!("{}: size of {name}", target.display());
        let dims: Vec<u64> = shape.iter().map(|&dim| dim as u64).collect();
        let bytes = Size::product(&dims, &what)?.times(dtype.bytes() as u64, &what)?;
        let start = end;
        end = start.plus(bytes.get(), &what)?;
        let data_offsets = (start.to_usize(&what)?, end.to_usize(&what)?);
        let dtype = match dtype {
            DType::Bf16 => Dtype::BF16,
            DType::F16 => Dtype::F16,
            DType::F32 => Dtype::F32,
        };
        let info = TensorInfo {
            dtype,
            shape,
            data_offsets,
        };
        infos.push((name, info));
    }
    // Some readers refuse a file that does not say which framework it is for.
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    let metadata = Metadata::new(Some(format), infos).map_err(|e| refused(&e))?;
    let mut json = serde_json::to_vec(&metadata).map_err(|e| refused(&e))?;
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    Ok((bytes, end.get()))
}

/// The header as written, duplicates kept so that they can be refused.
struct Entries(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<serde::de::IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value::<TensorInfo>()?));
                    }
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}
