//! `model.safetensors`, streamed: a few chunks of one tensor are in memory at a time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::checkpoint::safetensors::header_bytes;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::limits::Size;

use super::dequant::dequantize;
use super::encode::{OutOfRange, encode};
use super::layout::Layout;
use super::roles::Role;

/// Values of one chunk, a multiple of every block size: 4 MiB of f32.
const CHUNK: u64 = 1 << 20;
/// More threads than this only wait for the disk.
const MAX_THREADS: usize = 8;

/// Bytes written so far and in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of tensor data written.
    pub done: u64,
    /// Bytes of tensor data in the whole file.
    pub total: u64,
}

/// Writes `tensors` of `source` to `target` as `dtype`, in their order. Returns the bytes of tensor data.
pub(super) fn write(
    source: &Path,
    target: &Path,
    tensors: &[(Role, Layout)],
    dtype: DType,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64> {
    let input = File::open(source).map_err(|e| Error::io(source, "read", e))?;
    let mut output = File::create(target).map_err(|e| Error::io(target, "create", e))?;
    let (header, total) = header(target, tensors, dtype)?;
    output
        .write_all(&header)
        .map_err(|e| Error::io(target, "write", e))?;
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MAX_THREADS);
    let mut done = 0u64;
    for (role, layout) in tensors {
        let mut tensor = Tensor {
            role,
            layout,
            dtype,
            source,
            input: &input,
            next: 0,
        };
        while tensor.next < layout.elements {
            for chunk in tensor.convert(threads)? {
                output
                    .write_all(&chunk)
                    .map_err(|e| Error::io(target, "write", e))?;
                done = done.saturating_add(chunk.len() as u64);
            }
            progress(Progress { done, total });
        }
    }
    // The rename that follows must not be on disk before the data is.
    output
        .sync_all()
        .map_err(|e| Error::io(target, "write", e))?;
    Ok(total)
}

/// The length-prefixed JSON in front of the data, and the length of the data.
fn header(target: &Path, tensors: &[(Role, Layout)], dtype: DType) -> Result<(Vec<u8>, u64)> {
    let shape = |role: &Role| {
        let dims = role.shape.iter().map(|dim| Size::new(*dim));
        dims.map(|dim| dim.to_usize("size of model.safetensors"))
            .collect::<Result<Vec<_>>>()
    };
    let tensors = tensors
        .iter()
        .map(|(role, _)| Ok((role.name.clone(), shape(role)?)))
        .collect::<Result<Vec<_>>>()?;
    header_bytes(target, tensors, dtype)
}

/// One tensor on its way.
struct Tensor<'a> {
    role: &'a Role,
    layout: &'a Layout,
    dtype: DType,
    source: &'a Path,
    input: &'a File,
    /// The first value that is not converted yet.
    next: u64,
}

/// Blocks read from the file, and where their first value stands in the tensor.
struct Chunk {
    first: u64,
    values: u64,
    blocks: Vec<u8>,
}

impl Tensor<'_> {
    /// Converts the next chunks, one a thread.
    fn convert(&mut self, threads: usize) -> Result<Vec<Vec<u8>>> {
        let mut chunks = Vec::with_capacity(threads);
        while chunks.len() < threads && self.next < self.layout.elements {
            chunks.push(self.read()?);
        }
        let (kind, dtype) = (self.layout.kind, self.dtype);
        let work = |chunk: &Chunk| {
            let mut values = vec![0.0; chunk.values as usize];
            dequantize(kind, &chunk.blocks, &mut values);
            let mut out = Vec::new();
            encode(&values, dtype, &mut out).map(|()| out)
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let spawned: Vec<_> = chunks
                .iter()
                .skip(1)
                .map(|chunk| scope.spawn(move || work(chunk)))
                .collect();
            let first = chunks.first().map(work);
            let rest = spawned.into_iter().map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            first.into_iter().chain(rest).collect()
        });
        let both = results.into_iter().zip(&chunks);
        both.map(|(result, chunk)| result.map_err(|e| self.out_of_range(chunk, e)))
            .collect()
    }

    fn read(&mut self) -> Result<Chunk> {
        let (block, size) = (
            self.layout.kind.block_elements() as u64,
            self.layout.kind.block_bytes() as u64,
        );
        let first = self.next;
        let values = CHUNK.min(self.layout.elements.saturating_sub(first));
        let what = format!("{}: place of {}", self.source.display(), self.role.gguf);
        let start = Size::new(first / block)
            .times(size, &what)?
            .plus(self.layout.start, &what)?;
        let bytes = Size::new(values / block).times(size, &what)?;
        let mut blocks = vec![0; bytes.to_usize(&what)?];
        let failed = |e| Error::io(self.source, "read", e);
        let mut input = self.input;
        input.seek(SeekFrom::Start(start.get())).map_err(failed)?;
        input.read_exact(&mut blocks).map_err(failed)?;
        self.next = first.saturating_add(values);
        Ok(Chunk {
            first,
            values,
            blocks,
        })
    }

    fn out_of_range(&self, chunk: &Chunk, found: OutOfRange) -> Error {
        let columns = self.role.shape.last().copied().unwrap_or(1).max(1);
        let index = chunk.first.saturating_add(found.index as u64);
        Error::Range {
            op: format!("{}: tensor {}", self.source.display(), self.role.gguf),
            row: (index / columns) as usize,
            column: Some((index % columns) as usize),
            value: found.value,
            dtype: self.dtype.name(),
            hint: "convert to bf16 or f32",
        }
    }
}
