//! `qwarp inspect`: what a model folder holds, and what the CPU backend would do with it.

use std::fmt::Write;
use std::path::PathBuf;

use qwarp::backend::cpu::simd;
use qwarp::checkpoint::Checkpoint;
use qwarp::checkpoint::inspect::{StoredTensor, Usage};
use qwarp::config::ModelConfig;
use qwarp::engine::open::default_dtype;
use qwarp::graph::cost::{Cost, StepShape};
use qwarp::{DType, Result, model};
use serde_json::{Value, json};

use crate::dtype::DtypeArg;
use crate::output::print;
use crate::units::{binary, decimal, grouped};

/// Show the tensors of a model folder: types, shapes, sizes, and what a run does with each.
///
/// Reads config.json and the headers of the weight files, no tensor data.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder in Hugging Face layout
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// Type of matrix inputs of the run; auto is the type the checkpoint is stored in
    #[arg(long, value_enum, default_value_t = DtypeArg::Auto)]
    dtype: DtypeArg,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

/// What is shown.
struct Report {
    dtype: DType,
    tensors: Vec<StoredTensor>,
    file_bytes: u64,
    /// Of a decode step of one sequence with an empty cache.
    decode: Cost,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<()> {
    let report = Report::new(&args)?;
    if args.json {
        print(&format!("{:#}\n", report.json()?))
    } else {
        print(&report.text()?)
    }
}

impl Report {
    fn new(args: &Args) -> Result<Self> {
        let config = ModelConfig::read(&args.model)?;
        let dtype = match args.dtype.explicit() {
            Some(dtype) => dtype,
            None => default_dtype(&args.model, &config)?,
        };
        let checkpoint = Checkpoint::open(&args.model)?;
        let graph = model::build(&config, dtype)?;
        model::weights::check_all_used(&checkpoint, &graph)?;
        let tensors = checkpoint.inspect(&graph.weights, dtype)?;
        Ok(Report {
            dtype,
            file_bytes: checkpoint.mapped_bytes(),
            decode: graph.step_cost(&StepShape::decode(1, 1), &|id| {
                checkpoint.read_bytes(&graph.weights[id.0], dtype)
            })?,
            tensors,
        })
    }

    fn sum(&self, usage: impl Fn(&Usage) -> bool) -> u64 {
        let used = self.tensors.iter().filter(|tensor| usage(&tensor.usage));
        used.map(|tensor| tensor.bytes).sum()
    }

    fn tensor_bytes(&self) -> u64 {
        self.sum(|_| true)
    }

    fn copied_bytes(&self) -> u64 {
        let copies = self.tensors.iter().map(|tensor| match tensor.usage {
            Usage::Copied(dtype) => tensor.elements() * dtype.bytes() as u64,
            Usage::InPlace | Usage::Unused => 0,
        });
        copies.sum()
    }

    fn elements(&self) -> u64 {
        self.tensors.iter().map(StoredTensor::elements).sum()
    }

    fn bits_per_weight(&self) -> f64 {
        8.0 * self.tensor_bytes() as f64 / self.elements().max(1) as f64
    }

    fn json(&self) -> Result<Value> {
        let tensors = self.tensors.iter().map(|tensor| {
            json!({
                "name": tensor.name,
                "file": tensor.file,
                "dtype": tensor.dtype,
                "shape": tensor.shape,
                "bytes": tensor.bytes,
                "bits_per_weight": tensor.bits,
                "cpu": describe(tensor.usage),
            })
        });
        Ok(json!({
            "tensors": tensors.collect::<Vec<_>>(),
            "parameters": self.elements(),
            "tensor_bytes": self.tensor_bytes(),
            "file_bytes": self.file_bytes,
            "bits_per_weight": self.bits_per_weight(),
            "bytes_per_token": self.decode.bytes()?,
            "flops_per_token": self.decode.flops,
            "cpu": {
                "dtype": self.dtype.name(),
                "simd": simd::Path::best().name(),
                "in_place_bytes": self.sum(|usage| *usage == Usage::InPlace),
                "copied_bytes": self.copied_bytes(),
                "unused_bytes": self.sum(|usage| *usage == Usage::Unused),
            },
        }))
    }

    fn text(&self) -> Result<String> {
        let mut text = String::new();
        for tensor in &self.tensors {
            let _ = writeln!(
                text,
                "{:<52} {:>6} {:>16} {:>15} B  {}",
                tensor.name,
                tensor.dtype,
                format!("{:?}", tensor.shape),
                grouped(tensor.bytes),
                describe(tensor.usage)
            );
        }
        let _ = writeln!(
            text,
            "\n{} tensors, {} parameters, {} B of data in {} B of files, {:.2} bits a weight",
            self.tensors.len(),
            grouped(self.elements()),
            grouped(self.tensor_bytes()),
            grouped(self.file_bytes),
            self.bits_per_weight()
        );
        let _ = writeln!(
            text,
            "cpu ({}, {}): {} in place, {} in copies, {} not read",
            self.dtype,
            simd::Path::best().name(),
            binary(self.sum(|usage| *usage == Usage::InPlace)),
            binary(self.copied_bytes()),
            binary(self.sum(|usage| *usage == Usage::Unused)),
        );
        let bytes = self.decode.bytes()?;
        let _ = writeln!(
            text,
            "one token, cache empty: {} B ({}) moved, {} FLOPs",
            grouped(bytes),
            binary(bytes),
            decimal(self.decode.flops)
        );
        Ok(text)
    }
}

fn describe(usage: Usage) -> String {
    match usage {
        Usage::InPlace => "in place".to_string(),
        Usage::Copied(dtype) => format!("copied as {dtype}"),
        Usage::Unused => "not read".to_string(),
    }
}
