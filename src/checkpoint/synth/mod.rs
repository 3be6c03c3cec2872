//! Seeded checkpoints: the tensors of a model with made-up values, for machines where no model can be had.
//!
//! An element depends on the seed, its tensor's place in the list and its index alone, and is computed in integers and
//! correctly rounded operations: the same bytes on every machine, whatever the threads or the shards.

mod shards;
mod spread;
mod write;

pub use spread::Spread;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::folder::Folder;
use crate::dtype::DType;
use crate::error::Result;
use shards::Shard;
use write::Job;

/// One tensor to make.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthTensor {
    /// Its name.
    pub name: String,
    /// Its dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Where its values lie.
    pub spread: Spread,
}

/// What to make, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synthesis {
    /// The folder to write, new or empty.
    pub out: PathBuf,
    /// The type of every tensor.
    pub dtype: DType,
    /// Key of all values.
    pub seed: u64,
    /// Most bytes of tensor data in a file that holds more than one tensor.
    pub shard_bytes: u64,
    /// Threads that make values.
    pub threads: usize,
}

/// Bytes of tensor data, made and in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Made so far.
    pub done: u64,
    /// In the whole checkpoint.
    pub total: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Tensors.
    pub tensors: usize,
    /// Files they stand in.
    pub shards: usize,
    /// Bytes of tensor data.
    pub bytes: u64,
}

impl Synthesis {
    /// Writes `tensors`, then `files` (name and bytes; `config.json` last, it makes the folder a model). `None` if
    /// `progress` said to stop: nothing is left then, as after an error.
    pub fn run(
        &self,
        tensors: &[SynthTensor],
        files: &[(&str, Vec<u8>)],
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<Written>> {
        let shards = shards::split(&self.out, tensors, self.dtype, self.shard_bytes)?;
        let tables = tensors.iter().map(|tensor| {
            let table = tensor.spread.table(self.dtype);
            table.map_err(|value| self.out_of_range(tensor, value))
        });
        let tables = tables.collect::<Result<Vec<_>>>()?;
        let bytes = shards.iter().map(|shard| shard.data_bytes).sum();
        let mut folder = Folder::open(&self.out, None)?;
        let mut paths = Vec::with_capacity(shards.len());
        for shard in &shards {
            let path = folder.add(&shard.name);
            shard.create(&path)?;
            paths.push(path);
        }
        let jobs = jobs(&shards, &paths, tensors, &tables);
        let source = write::Source {
            seed: self.seed,
            element_bytes: self.dtype.bytes(),
            threads: self.threads,
        };
        if !source.run(jobs, &mut |done| progress(Progress { done, total: bytes }))? {
            return Ok(None);
        }
        if shards.len() > 1 {
            folder.add_json(
                "model.safetensors.index.json",
                &index(&shards, tensors, bytes),
            )?;
        }
        for (name, bytes) in files {
            folder.add_bytes(name, bytes)?;
        }
        folder.publish(&[])?;
        Ok(Some(Written {
            tensors: tensors.len(),
            shards: shards.len(),
            bytes,
        }))
    }

    fn out_of_range(&self, tensor: &SynthTensor, value: f32) -> crate::Error {
        crate::Error::Range {
            op: format!("tensor {}", tensor.name),
            row: 0,
            column: None,
            value,
            dtype: self.dtype.name(),
            hint: "write bf16 or f32",
        }
    }
}

/// Every tensor in pieces of at most `write::CHUNK` elements, made as they are asked for.
fn jobs<'a>(
    shards: &'a [Shard],
    paths: &'a [PathBuf],
    tensors: &'a [SynthTensor],
    tables: &'a [Vec<u8>],
) -> impl Iterator<Item = Job<'a>> + Send {
    shards.iter().zip(paths).flat_map(move |(shard, path)| {
        let path: &Path = path;
        shard.tensors().flat_map(move |(index, start)| {
            let elements = tensors[index].shape.iter().product::<usize>();
            (0..elements).step_by(write::CHUNK).map(move |first| Job {
                path,
                tensor: index as u32,
                table: &tables[index],
                start,
                first,
                count: write::CHUNK.min(elements - first),
            })
        })
    })
}

/// The index file, as transformers writes it.
fn index(shards: &[Shard], tensors: &[SynthTensor], bytes: u64) -> Value {
    let map = shards.iter().flat_map(|shard| {
        let names = shard
            .tensors()
            .map(|(index, _)| tensors[index].name.clone());
        names.map(|name| (name, Value::from(shard.name.clone())))
    });
    let map: serde_json::Map<String, Value> = map.collect();
    json!({"metadata": {"total_size": bytes}, "weight_map": map})
}
