//! `qwarp plan`: everything that will be computed and held, from `config.json` alone.

mod blueprint;
mod diff;
mod json;
mod table;

use std::path::PathBuf;

use clap::Subcommand;
use qwarp::{Error, Result};

use crate::device::DeviceArgs;
use crate::dtype::DtypeArg;
use crate::output::print;
use crate::units::parse_bytes;
use blueprint::Blueprint;

/// Show every step, buffer, byte and FLOP of a model before a weight is read.
///
/// Only config.json is opened. Totals are right to the byte for what the engine maps and allocates for the model; what
/// config.json cannot tell is listed as assumed.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<PlanCommand>,
    /// Model folder; config.json in it is all that is needed
    #[arg(long, value_name = "DIR", required = true)]
    model: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum PlanCommand {
    Diff(DiffArgs),
}

/// Print what changed between two plans.
#[derive(clap::Args)]
struct DiffArgs {
    /// A file written by `plan --json`, or a model folder
    a: PathBuf,
    /// The other one
    b: PathBuf,
    #[command(flatten)]
    options: Options,
}

/// What the engine would be started with.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    device: DeviceArgs,
    /// Type of matrix inputs and KV cache; auto is the type config.json declares (f16 on a GPU without bf16)
    #[arg(long, value_enum, default_value_t = DtypeArg::Auto)]
    dtype: DtypeArg,
    /// Worker threads [default: all cores of this machine]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Sequences that run at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_num_seqs: usize,
    /// Tokens of one step: the prefill chunk
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_batched_tokens: usize,
    /// Longest sequence in tokens; auto is the largest that fits --memory or the GPU, or the model's context
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = parse_length)]
    max_model_len: Length,
    /// Memory for weights, KV cache and everything else, such as 8GiB; of a GPU, all of its memory
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    memory: Option<u64>,
    /// Keys that the decode step of the cost tables sees [default: the longest sequence]
    #[arg(long, value_name = "N")]
    context: Option<usize>,
}

/// The value of `--max-model-len`.
#[derive(Clone, Copy)]
pub enum Length {
    Auto,
    Tokens(usize),
}

fn parse_length(text: &str) -> std::result::Result<Length, String> {
    match text.parse() {
        Ok(tokens) => Ok(Length::Tokens(tokens)),
        Err(_) if text == "auto" => Ok(Length::Auto),
        Err(_) => Err("expected a number of tokens or auto".to_string()),
    }
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<()> {
    let text = match (&args.command, &args.model) {
        (Some(PlanCommand::Diff(diff)), _) => {
            let a = diff::load(&diff.a, &diff.options)?;
            let b = diff::load(&diff.b, &diff.options)?;
            diff::diff(&a, &b)
        }
        (None, Some(model)) => {
            let blueprint = Blueprint::new(model, &args.options)?;
            if args.json {
                format!("{:#}\n", json::json(&blueprint)?)
            } else {
                table::table(&blueprint)?
            }
        }
        (None, None) => return Err(Error::argument("--model", "nothing", "a model folder")),
    };
    print(&text)
}
