//! `qwarp profile`: the time of every node of the plan in one step.

mod report;

use std::path::PathBuf;

use qwarp::backend::{Backend, StepInputs};
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::{Error, Result};

use crate::device::{DeviceArgs, Running};
use crate::dtype::DtypeArg;
use crate::forced::{Forced, random_tokens};
use crate::output::print;
use crate::{simd, threads};
use report::Report;

/// Show where the time of one step goes, by node of the plan.
///
/// The step decodes one token behind --context others, or with --prefill computes a prompt. On a GPU times are taken by events
/// between the launches of the step; on the CPU each node is run by itself. On the emulator they are the emulator's own times
/// and tell nothing of a GPU.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder in Hugging Face layout
    #[arg(short, long, value_name = "DIR")]
    model: PathBuf,
    /// Tokens in the cache before the step
    #[arg(long, value_name = "N", default_value_t = 512)]
    context: usize,
    /// Time a step over this many prompt tokens instead of one decoded token
    #[arg(long, value_name = "N", default_value_t = 1)]
    prefill: usize,
    /// Times the step is repeated, after one that is not timed
    #[arg(short, long, value_name = "N", default_value_t = 10)]
    repetitions: usize,
    #[command(flatten)]
    device: DeviceArgs,
    /// Type of matrix inputs and KV cache; auto is the type that config.json names
    #[arg(long, value_enum, default_value_t = DtypeArg::Auto)]
    dtype: DtypeArg,
    /// Worker threads [default: all cores]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// Also write the step to this file, for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Print one JSON object with every sample instead of a table
    #[arg(long)]
    json: bool,
}

/// Most tokens of a step that fills the cache.
const CHUNK: usize = 512;

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<()> {
    let threads = args.threads.unwrap_or_else(threads::cores);
    threads::check(threads)?;
    let path = simd::path()?;
    for (flag, value) in [
        ("--prefill", args.prefill),
        ("--repetitions", args.repetitions),
    ] {
        if value == 0 {
            return Err(Error::argument(flag, 0, "at least 1"));
        }
    }
    let config = ModelConfig::read(&args.model)?;
    let len = args.context.saturating_add(args.prefill);
    if len > config.max_position_embeddings {
        let found = format!("{} + {} = {len} tokens", args.context, args.prefill);
        let expected = format!(
            "at most {}, the model's context",
            config.max_position_embeddings
        );
        return Err(Error::argument("--context + --prefill", found, expected));
    }
    let chosen = args
        .device
        .choose(&args.model, &config, args.dtype, threads)?;
    let engine = EngineConfig {
        dtype: chosen.choice.dtype,
        threads,
        max_num_seqs: 1,
        max_batched_tokens: args.prefill.max(CHUNK.min(len)),
        max_logit_rows: 1,
        max_model_len: len,
    };
    let Running { choice, opened, .. } = chosen.open_backend(&args.model, &config, engine, path)?;
    let (dtype, about) = (choice.dtype, choice.about);
    about.notes.iter().for_each(|note| eprintln!("{note}"));
    let mut backend = opened.backend;
    let inputs = fill(
        backend.as_mut(),
        random_tokens(len, config.vocab_size),
        args.context,
    )?;
    // The first is the warm-up.
    let mut times = backend.time_nodes(&inputs, args.repetitions.saturating_add(1))?;
    times.iter_mut().for_each(|node| _ = node.ms.remove(0));
    let report = Report {
        model: args.model.display().to_string(),
        about,
        dtype,
        context: args.context,
        tokens: args.prefill,
        plan: backend.plan(),
        times,
    };
    if let Some(file) = &args.trace {
        let text = format!("{}\n", report.trace());
        std::fs::write(file, text).map_err(|e| Error::io(file, "write", e))?;
    }
    match args.json {
        true => print(&format!("{:#}\n", report.json())),
        false => print(&report.table()),
    }
}

/// Computes the first `context` tokens; the step over the others.
fn fill(backend: &mut dyn Backend, tokens: Vec<u32>, context: usize) -> Result<StepInputs> {
    let len = tokens.len();
    let sequence = Forced::new(tokens, len - 1..len);
    for start in (0..context).step_by(CHUNK) {
        backend.submit(&sequence.inputs(start, CHUNK.min(context - start)))?;
    }
    Ok(sequence.inputs(context, len - context))
}
