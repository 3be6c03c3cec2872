//! `qwarp bench`: llama-bench's tests and field names, with what they moved and computed, held against what the machine
//! could do in the same run.

mod cases;
mod facts;
mod json;
mod measure;
mod progress;
pub mod stats;
mod table;
mod track;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::engine::OpenOptions;
use qwarp::engine::open::default_dtype;
use qwarp::{DType, Result};

use crate::dtype::DtypeArg;
use crate::output::print;
use crate::{interrupt, simd};
use cases::{Case, Cases};
use facts::Facts;
use measure::Measured;
use progress::{Progress, Stop};
use track::Track;

/// Measure prefill and decode speed, as llama-bench does, and how near they come to the machine's limits.
///
/// Each prompt length at each depth is one test (pp), and so is each number of generated tokens (tg); lists are
/// separated by commas, and 0 leaves a kind of test out. The tokens before a test (its depth) are computed untimed. Decode
/// is held against what the same threads read of the same weights, prefill against f32 multiply-adds that load nothing;
/// both are measured between the timed steps and after the last. QWARP_SIMD=avx512, avx2 or portable in the environment takes that SIMD path.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder in Hugging Face layout
    #[arg(short, long, value_name = "DIR")]
    model: PathBuf,
    /// Prompt tokens of a prefill test
    #[arg(
        short = 'p',
        long,
        value_name = "N,..",
        value_delimiter = ',',
        default_value = "512"
    )]
    n_prompt: Vec<usize>,
    /// Tokens that a decode test generates
    #[arg(
        short = 'n',
        long,
        value_name = "N,..",
        value_delimiter = ',',
        default_value = "128"
    )]
    n_gen: Vec<usize>,
    /// Tokens in the cache before a test
    #[arg(
        short = 'd',
        long,
        value_name = "N,..",
        value_delimiter = ',',
        default_value = "0"
    )]
    n_depth: Vec<usize>,
    /// Times each test is repeated
    #[arg(short, long, value_name = "N", default_value_t = 5)]
    repetitions: usize,
    /// Worker threads [default: all cores]
    #[arg(short, long, value_name = "N,..", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Prompt tokens of one step
    #[arg(long, value_name = "N", default_value_t = 512)]
    ubatch_size: usize,
    /// Type of matrix inputs and KV cache; auto is the type that config.json names
    #[arg(long, value_enum, default_value_t = DtypeArg::Auto)]
    dtype: DtypeArg,
    /// How to print the results
    #[arg(short, long, value_enum, default_value_t = Output::Md)]
    output: Output,
    /// Do not warm up before the first timed run of each test (a whole prompt, or one token of an answer)
    #[arg(long)]
    no_warmup: bool,
}

/// The form of the results.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A Markdown table
    Md,
    /// An array of objects with every sample
    Json,
}

/// Runs the subcommand. A run that is interrupted or fails prints the tests it has finished.
pub fn run(args: &Args) -> Result<ExitCode> {
    let path = simd::path()?;
    let config = ModelConfig::read(&args.model)?;
    let cases = Cases::new(args, config.max_position_embeddings)?;
    let dtype: DType = match args.dtype.explicit() {
        Some(dtype) => dtype,
        None => default_dtype(&args.model, &config)?,
    };
    let options = |threads| OpenOptions {
        engine: EngineConfig {
            dtype,
            threads,
            max_num_seqs: 1,
            max_batched_tokens: args.ubatch_size.min(cases.longest),
            max_logit_rows: 1,
            // Room for the token that the last step draws.
            max_model_len: cases.longest + 1,
        },
        path,
    };
    for &threads in &cases.threads {
        options(threads).engine.validate()?;
    }
    let facts = Facts::read(args, &config, dtype, path)?;
    let progress = Progress::new(interrupt::flag(), cases.repetitions());
    let mut results = Results::new(args.output, facts, &progress)?;
    let mut all = || -> std::result::Result<(), Stop> {
        for &threads in &cases.threads {
            let mut track = Track::open(&args.model, &config, options(threads), cases.longest)?;
            for case in &cases.tests {
                let measured = measure::measure(&mut track, case, &cases, &progress)?;
                results.add(threads, *case, measured)?;
            }
        }
        Ok(())
    };
    let ended = all();
    results.finish()?;
    match ended {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Stop::Interrupted) => Ok(ExitCode::from(interrupt::EXIT_CODE)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// What is printed: a table row by row as tests end, JSON as a whole.
struct Results<'a> {
    output: Output,
    facts: Facts,
    progress: &'a Progress,
    objects: Vec<serde_json::Value>,
}

impl<'a> Results<'a> {
    fn new(output: Output, facts: Facts, progress: &'a Progress) -> Result<Self> {
        if output == Output::Md {
            progress.suspend(|| print(&table::head()))?;
        }
        Ok(Results {
            output,
            facts,
            progress,
            objects: Vec::new(),
        })
    }

    fn add(&mut self, threads: usize, case: Case, measured: Measured) -> Result<()> {
        match self.output {
            Output::Md => {
                let row = table::row(&self.facts, threads, case, &measured);
                self.progress.suspend(|| print(&row))
            }
            Output::Json => {
                let object = json::object(&self.facts, threads, case, &measured);
                self.objects.push(object);
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<()> {
        self.progress.finish();
        match self.output {
            Output::Md => Ok(()),
            Output::Json => print(&format!("{:#}\n", serde_json::Value::from(self.objects))),
        }
    }
}
