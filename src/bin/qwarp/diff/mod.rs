//! `qwarp diff`: one prompt on two backends, or on two builds by way of a file, node by node.

mod compare;
mod side;
mod tape;

use std::path::PathBuf;
use std::process::ExitCode;

use qwarp::backend::cpu::simd::Path;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::tokenizer::Tokenizer;
use qwarp::{DType, Error, Result};
use serde_json::json;

use crate::forced::Forced;
use crate::output::print;
use crate::{simd, threads};
use compare::{Compare, Tally};
use side::{Open, Side};
use tape::{Recorder, Step, Tape};

/// Run one prompt on two backends and name the first node of the plan that is over its bound.
///
/// Tokens are given, not drawn, and each node of side b gets what side a's nodes before it wrote, so what a node is off by is
/// its own; attention between unequal types has no bound. A side is DEVICE[:TARGET][/TYPE]: cpu, cuda, emulator:sm_75, cpu/f32. Two builds are compared by way of a file:
/// one writes it with --dump, the other reads it with --against. Exit code 1: a node is over its bound.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder in Hugging Face layout
    model: PathBuf,
    /// Text of the prompt
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["token_ids", "against"])]
    prompt: Option<String>,
    /// Token ids of the prompt
    #[arg(
        long,
        value_name = "1,2,3",
        value_delimiter = ',',
        conflicts_with = "prompt"
    )]
    token_ids: Option<Vec<u32>>,
    /// The side whose outputs are taken for right
    #[arg(long, value_name = "SIDE", default_value = "cpu", value_parser = side::parse)]
    a: Side,
    /// The side that is held against it
    #[arg(long, value_name = "SIDE", required_unless_present = "dump", value_parser = side::parse)]
    b: Option<Side>,
    /// Write what side a's nodes wrote to this file instead of running side b; every output of every token
    #[arg(long, value_name = "FILE", conflicts_with_all = ["b", "against"])]
    dump: Option<PathBuf>,
    /// Take side a and the prompt from a file that --dump wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["a", "prompt", "token_ids"])]
    against: Option<PathBuf>,
    /// Prompt tokens of one step
    #[arg(long, value_name = "N", default_value_t = 16)]
    chunk: usize,
    /// Tokens at the end of the prompt that get a step each, as decoded ones do
    #[arg(long, value_name = "N", default_value_t = 2)]
    decode: usize,
    /// Worker threads [default: all cores]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The tokens, and how many each step takes.
struct Cut {
    tokens: Vec<u32>,
    counts: Vec<usize>,
}

/// Side a: running, or recorded.
enum Expected {
    Open(Open),
    Tape(Tape),
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<ExitCode> {
    let threads = args.threads.unwrap_or_else(threads::cores);
    threads::check(threads)?;
    let path = simd::path()?;
    let config = ModelConfig::read(&args.model)?;
    let tape = args.against.as_deref().map(Tape::read).transpose()?;
    let cut = match &tape {
        Some(tape) => Cut {
            tokens: tape.tokens.clone(),
            counts: tape.counts.clone(),
        },
        None => cut(args, &config)?,
    };
    check_tokens(&cut, &config)?;
    let longest = cut.counts.iter().copied().max().unwrap_or(1);
    let limits = EngineConfig {
        // Each side has its own.
        dtype: DType::F32,
        threads,
        max_num_seqs: 1,
        max_batched_tokens: longest,
        max_logit_rows: longest,
        max_model_len: cut.tokens.len(),
    };
    let open = |side: &Side, path: Path| side.open(&args.model, &config, limits, path);
    if let Some(file) = &args.dump {
        return dump(&cut, open(&args.a, path)?, file);
    }
    let Some(b) = &args.b else {
        return Err(Error::argument("--b", "nothing", "a side, or --dump FILE"));
    };
    let expected = match tape {
        Some(tape) => Expected::Tape(tape),
        None => Expected::Open(open(&args.a, path)?),
    };
    compare(args, &cut, expected, open(b, path)?)
}

/// The prompt of the command line and its steps.
fn cut(args: &Args, config: &ModelConfig) -> Result<Cut> {
    if args.chunk == 0 {
        return Err(Error::argument("--chunk", 0, "at least 1"));
    }
    let tokens = match (&args.token_ids, &args.prompt) {
        (Some(ids), _) => ids.clone(),
        (None, Some(text)) => Tokenizer::open(&args.model)?.encode_prompt(text)?,
        (None, None) => Vec::new(),
    };
    // A prompt that is too long is refused by the caller; here it must not become a list of steps.
    let len = tokens.len().min(config.max_position_embeddings);
    let together = len.saturating_sub(args.decode);
    let starts = (0..together).step_by(args.chunk);
    let mut counts: Vec<usize> = starts
        .map(|start| args.chunk.min(together - start))
        .collect();
    counts.resize(counts.len() + (len - together), 1);
    Ok(Cut { tokens, counts })
}

fn check_tokens(cut: &Cut, config: &ModelConfig) -> Result<()> {
    let (len, context) = (cut.tokens.len(), config.max_position_embeddings);
    if len == 0 || len > context {
        let expected = format!("1 to {context}, the model's context");
        return Err(Error::argument("prompt", format!("{len} tokens"), expected));
    }
    match cut
        .tokens
        .iter()
        .find(|id| **id as usize >= config.vocab_size)
    {
        None => Ok(()),
        Some(id) => {
            let expected = format!("below the vocabulary size {}", config.vocab_size);
            Err(Error::argument("prompt token id", id, expected))
        }
    }
}

/// Runs every step and records it.
fn dump(cut: &Cut, mut side: Open, file: &std::path::Path) -> Result<ExitCode> {
    let sequence = Forced::new(cut.tokens.clone(), 0..cut.tokens.len());
    let (mut start, mut steps) = (0, Vec::new());
    for &count in &cut.counts {
        steps.push(record(&mut side, &sequence, start, count)?);
        start += count;
    }
    let tape = Tape {
        tokens: cut.tokens.clone(),
        counts: cut.counts.clone(),
        dtype: side.dtype,
        about: side.about,
        steps,
    };
    tape.write(file)?;
    Ok(ExitCode::SUCCESS)
}

fn record(side: &mut Open, sequence: &Forced, start: usize, count: usize) -> Result<Step> {
    let mut recorder = Recorder::default();
    side.backend
        .observe(&sequence.inputs(start, count), &mut recorder)?;
    Ok(recorder.0)
}

fn compare(args: &Args, cut: &Cut, mut expected: Expected, mut b: Open) -> Result<ExitCode> {
    let sequence = Forced::new(cut.tokens.clone(), 0..cut.tokens.len());
    let (type_a, about_a) = match &expected {
        Expected::Open(a) => (a.dtype, a.about.clone()),
        Expected::Tape(tape) => (tape.dtype, tape.about.clone()),
    };
    let mut tally = Tally::default();
    let mut start = 0;
    for (index, &count) in cut.counts.iter().enumerate() {
        let step = match &mut expected {
            Expected::Open(a) => record(a, &sequence, start, count)?,
            Expected::Tape(tape) => std::mem::take(&mut tape.steps[index]),
        };
        let mut observer = Compare {
            expected: &step,
            dtypes: [type_a, b.dtype],
            start,
            next: 0,
            tally: &mut tally,
        };
        b.backend
            .observe(&sequence.inputs(start, count), &mut observer)?;
        if tally.first.is_some() {
            break;
        }
        start += count;
    }
    if args.json {
        let mut object = tally.json();
        object["model"] = json!(args.model.display().to_string());
        object["a"] = json!(about_a);
        object["b"] = json!(b.about);
        object["tokens"] = json!(cut.tokens.len());
        object["step_tokens"] = json!(cut.counts);
        print(&format!("{object:#}\n"))?;
    } else {
        let tokens = cut.tokens.len();
        print(&format!(
            "a: {about_a}\nb: {}\n{tokens} tokens: {}",
            b.about,
            tally.text()
        ))?;
    }
    Ok(match tally.first {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(1),
    })
}
