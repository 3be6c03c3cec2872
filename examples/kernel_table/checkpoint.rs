//! A checkpoint of the right shapes without values: a header, and a file that ends where its tensors would.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use qwarp::DType;
use qwarp::checkpoint::{Checkpoint, Weights};
use qwarp::graph::Graph;
use serde_json::{Map, Value, json};

use super::Result;

/// The weights of `graph`, all zero.
pub fn zeros(graph: &Graph) -> Result<Weights> {
    let name = match graph.matrix {
        DType::F32 => "F32",
        DType::F16 => "F16",
        DType::Bf16 => "BF16",
    };
    let mut header = Map::new();
    let mut end = 0;
    for weight in &graph.weights {
        for (part, rows) in &weight.parts {
            let shape: Vec<usize> = std::iter::once(*rows).chain(weight.cols).collect();
            let start = end;
            end += shape.iter().product::<usize>() * graph.matrix.bytes();
            let tensor = json!({"dtype": name, "shape": shape, "data_offsets": [start, end]});
            header.insert(part.clone(), tensor);
        }
    }
    let mut header = serde_json::to_vec(&Value::Object(header))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("model.safetensors"))?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    file.set_len((8 + header.len() + end) as u64)?;
    let checkpoint = Arc::new(Checkpoint::open(folder.path())?);
    // The map outlives the folder's entry.
    Ok(Weights::load(checkpoint, &graph.weights, graph.matrix, 2)?)
}
