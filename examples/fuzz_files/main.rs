//! Feeds mutated files to every parser of model folders and fails on a panic, a hang, a crash or too much memory.
//!
//! An input is a function of (seed, parser, index): a failure is replayed with `--parser P --seed S --replay INDEX`,
//! and the file is written out as well. `--planted` checks that the harness sees each kind of fault.

mod formats;
mod gguf;
mod json;
mod memory;
mod mutate;
mod parent;
mod planted;
mod rng;
mod seeds;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use formats::{FORMATS, Format};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Feeds mutated files to the parsers of model folders
#[derive(Parser)]
#[command(name = "fuzz-files", max_term_width = 100)]
pub struct Cli {
    /// Mutated inputs for each parser
    #[arg(long, default_value_t = 50_000)]
    inputs: u64,
    /// Seed of all inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run this parser alone (repeatable)
    #[arg(long, value_name = "NAME")]
    parser: Vec<String>,
    /// Processes that share the inputs of a parser
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// Seconds that one input may take
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    hang: u64,
    /// Where failing inputs are written
    #[arg(long, value_name = "DIR", default_value = "target/fuzz-files")]
    out: PathBuf,
    /// Run this one input of --parser and say what it did
    #[arg(long, value_name = "INDEX")]
    replay: Option<u64>,
    /// Run four parsers with a planted fault each; succeeds when all four are reported
    #[arg(long)]
    planted: bool,
    /// Be a worker that starts at this input
    #[arg(long, hide = true)]
    worker_from: Option<u64>,
}

impl Cli {
    fn hang(&self) -> Duration {
        Duration::from_secs(self.hang)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<bool, Box<dyn std::error::Error>> {
    std::fs::create_dir_all(&cli.out)?;
    if cli.planted {
        return parent::planted(cli);
    }
    let chosen = chosen(cli)?;
    if let (Some(index), [format]) = (cli.replay, chosen.as_slice()) {
        return replay(cli, format, index);
    }
    if let (Some(from), [format]) = (cli.worker_from, chosen.as_slice()) {
        parent::work(cli, format, from)?;
        return Ok(true);
    }
    if cli.replay.is_some() {
        return Err("--replay needs one --parser".into());
    }
    parent::run_all(cli, &chosen)
}

fn chosen(cli: &Cli) -> Result<Vec<&'static Format>, String> {
    if cli.parser.is_empty() {
        return Ok(FORMATS.iter().collect());
    }
    let all = || FORMATS.each_ref().map(|format| format.name).join(", ");
    let named = cli.parser.iter().map(|name| {
        formats::named(name)
            .ok_or_else(|| format!("--parser: found {name}, expected one of {}", all()))
    });
    named.collect()
}

/// Writes input `index` out, runs it in this process, and says what came of it.
fn replay(cli: &Cli, format: &Format, index: u64) -> Result<bool, Box<dyn std::error::Error>> {
    let bytes = worker::input(format, &(format.seeds)(), cli.seed, index);
    let path = parent::save(cli, format, index, &bytes)?;
    println!("{} bytes, {}", bytes.len(), path.display());
    worker::watch_panics();
    let outcome = worker::run_one(format, &bytes);
    if let Err(error) = (format.read)(&bytes) {
        println!("{error}");
    }
    let verdict = outcome.fault.as_deref().unwrap_or("no fault");
    println!(
        "accepted: {}, peak {} bytes, {verdict}",
        outcome.accepted, outcome.peak
    );
    Ok(outcome.fault.is_none())
}
