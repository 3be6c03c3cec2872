//! `qwarp bench`: llama-bench's tests and field names, with what they moved and computed, held against what the machine
//! could do in the same run; on the CPU, or on a GPU or its emulator, where the parts of a step are told apart.

mod cases;
mod facts;
mod json;
mod measure;
mod on_device;
mod progress;
mod results;
pub mod stats;
mod table;
mod track;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use qwarp::backend::Backend;
use qwarp::backend::cpu::simd::Path as SimdPath;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::engine::OpenOptions;
use qwarp::engine::open::open_backend;
use qwarp::{Error, Result};

use crate::device::{Chosen, DeviceArgs};
use crate::dtype::DtypeArg;
use crate::{interrupt, simd};
use cases::Cases;
use facts::Facts;
use on_device::Means;
use progress::{Progress, Stop};
use results::Results;
use track::Track;

/// Measure prefill and decode speed, as llama-bench does, and how near they come to the machine's limits.
///
/// Each prompt length at each depth is one test (pp), and so is each number of generated tokens (tg) by each batch; lists are
/// separated by commas, and 0 leaves a kind of test out. The tokens before a test (its depth) are computed untimed.
///
/// On the CPU decode is held against what the same threads read of the same weights, prefill against f32 multiply-adds that load
/// nothing; both are measured between the timed steps and after the last. QWARP_SIMD=avx512, avx2 or portable in the environment
/// takes that SIMD path.
///
/// On a GPU the milliseconds of a step stand in four columns: the device's up to the logits; with the launches that draw; with
/// the host's for making text of the tokens; and end to end, with each step queued before the tokens of the one before are here.
/// The first two are of the step in the middle of an answer, or of all steps of a prompt. Idle is the share of the time end to end in
/// which the GPU ran no step. Achieved are the bytes of a step that must pass, or its FLOPs, by the first column; decode is held
/// against copies on the device in the same run, of which reads and writes both count. No multiply-adds without loads are measured
/// there. On the emulator times are its own, and nothing is held against a limit.
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
    /// Sequences that a decode test runs together
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1")]
    batch: Vec<usize>,
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
    /// Worker threads, or those that run the emulator [default: all cores]
    #[arg(short, long, value_name = "N,..", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Prompt tokens of one step
    #[arg(long, value_name = "N", default_value_t = 512)]
    ubatch_size: usize,
    #[command(flatten)]
    device: DeviceArgs,
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
    let first = cases.threads[0];
    let chosen = (args.device).choose(&args.model, &config, args.dtype, first)?;
    let (dtype, about) = (chosen.choice.dtype, &chosen.choice.about);
    about.notes.iter().for_each(|note| eprintln!("{note}"));
    let engine = |threads| cases.engine(dtype, threads);
    for &threads in &cases.threads {
        engine(threads).validate()?;
    }
    let bench = Bench {
        args,
        config: &config,
        cases: &cases,
        path,
        facts: Facts::read(args, &config, dtype, path)?,
        progress: Progress::new(interrupt::flag(), cases.repetitions()),
    };
    let (ended, results) = match about.is_cpu() {
        true => {
            let engines = cases.threads.iter().map(|&threads| engine(threads));
            bench.on_cpu(&bench.facts, &engines.collect::<Vec<_>>())?
        }
        false => bench.on_device(engine(first), chosen)?,
    };
    results.finish()?;
    match ended {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Stop::Interrupted) => Ok(ExitCode::from(interrupt::EXIT_CODE)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// What a command line asks for, looked through.
struct Bench<'a> {
    args: &'a Args,
    config: &'a ModelConfig,
    cases: &'a Cases,
    path: SimdPath,
    facts: Facts,
    progress: Progress,
}

/// How a run ended, and the results until then.
type Ended<'a> = (std::result::Result<(), Stop>, Results<'a>);

impl Bench<'_> {
    fn on_cpu(&self, facts: &Facts, engines: &[EngineConfig]) -> Result<Ended<'_>> {
        let mut results = Results::new(self.args.output, &table::CPU, &self.progress)?;
        let mut all = || -> std::result::Result<(), Stop> {
            for engine in engines {
                let options = OpenOptions {
                    engine: *engine,
                    path: self.path,
                };
                let opened = open_backend(&self.args.model, self.config, options)?.boxed();
                let mut track = self.track(opened.backend, *engine);
                for case in &self.cases.tests {
                    let found = measure::measure(&mut track, case, self.cases, &self.progress)?;
                    let threads = engine.threads;
                    results.add(
                        || table::row(facts, threads, *case, &found),
                        || json::object(facts, threads, *case, &found),
                    )?;
                }
            }
            Ok(())
        };
        Ok((all(), results))
    }

    fn on_device(&self, engine: EngineConfig, chosen: Chosen) -> Result<Ended<'_>> {
        if let [_, _, ..] = self.cases.threads[..] {
            let counts: Vec<String> = self.cases.threads.iter().map(usize::to_string).collect();
            let expected = format!("one count with --device {}", chosen.choice.about.kind);
            return Err(Error::argument("--threads", counts.join(","), expected));
        }
        let tokenizer = on_device::tokenizer(&self.args.model)?;
        if tokenizer.is_none() {
            let folder = self.args.model.display();
            eprintln!("no text is made of tokens: {folder} has no tokenizer.json");
        }
        let opened = chosen.open_backend(&self.args.model, self.config, engine, self.path);
        let running = opened.map_err(|error| self.smaller(error))?;
        let about = running.choice.about;
        if about.is_cpu() {
            // The GPU had no room, and the choice was left to us.
            drop(running.opened);
            about.notes.iter().for_each(|note| eprintln!("{note}"));
            let engine = running.engine;
            let facts = Facts::read(self.args, self.config, engine.dtype, self.path)?;
            return self.on_cpu(&facts, &[engine]);
        }
        let mut track = self.track(running.opened.backend, engine);
        let means = Means {
            tokenizer: tokenizer.as_ref(),
            has_times: about.has_times(),
        };
        let mut results = Results::new(self.args.output, &table::DEVICE, &self.progress)?;
        let mut all = || -> std::result::Result<(), Stop> {
            for case in &self.cases.tests {
                let found =
                    on_device::measure(&mut track, &means, case, self.cases, &self.progress)?;
                let backend = json::backend(&about);
                results.add(
                    || table::device_row(&self.facts, backend, means.has_times, *case, &found),
                    || json::device_object(&self.facts, &about, engine.threads, *case, &found),
                )?;
            }
            Ok(())
        };
        Ok((all(), results))
    }

    fn track(&self, backend: Box<dyn Backend>, engine: EngineConfig) -> Track {
        Track::new(backend, engine, self.config.vocab_size, self.cases.longest)
    }

    /// What has no room, with the flags that ask for less here.
    fn smaller(&self, error: Error) -> Error {
        match error {
            Error::NoRoom {
                device,
                needed,
                room,
                parts,
                way_out,
            } => Error::NoRoom {
                device,
                needed,
                room,
                parts,
                way_out: format!(
                    "{way_out}; here --batch asks for up to {} sequences at once, and -d with -p or -n for up to {} tokens of \
                     each",
                    self.cases.most, self.cases.longest
                ),
            },
            other => other,
        }
    }
}
