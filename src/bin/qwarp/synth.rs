//! `qwarp synth`: a full-size checkpoint with seeded weights.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use qwarp::checkpoint::synth::{Synthesis, Written};
use qwarp::config::ModelConfig;
use qwarp::config::json::{JsonFile, read_bytes};
use qwarp::{DType, Result, model};
use serde_json::{Map, Value, json};

use crate::dtype::DtypeArg;
use crate::interrupt;
use crate::threads;
use crate::units::parse_bytes;

/// Files of a tokenizer; the first has to be there.
const TOKENIZER: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
];

/// Write a checkpoint of any size with seeded weights, for machines where no model can be had.
///
/// Speed, memory and logits of such a checkpoint can be compared with any other engine's. The same seed gives the same bytes
/// on every machine. Weights are spread so that activations stay in the range of f16 and logits look like a model's; what it
/// says means nothing.
#[derive(clap::Args)]
pub struct Args {
    /// config.json of the model to make
    #[arg(long, value_name = "CONFIG.json")]
    config: PathBuf,
    /// Key of all weights
    #[arg(long, value_name = "N")]
    seed: u64,
    /// The folder to write; it must be new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The type of the tensors; auto is what the config declares, else bf16
    #[arg(long, value_enum, default_value_t = DtypeArg::Auto)]
    dtype: DtypeArg,
    /// Folder whose tokenizer files are copied; without one only token ids can be given to the model
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Most bytes of tensor data in one file
    #[arg(long, value_name = "BYTES", default_value = "5GB", value_parser = parse_bytes)]
    max_shard_size: u64,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let threads = args.threads.unwrap_or_else(threads::cores);
    threads::check(threads)?;
    let text = read_bytes(&args.config)?;
    let file = JsonFile::parse(&args.config, &text)?;
    let config = ModelConfig::from_json(&file)?;
    let dtype = args
        .dtype
        .explicit()
        .or(config.dtype)
        .unwrap_or(DType::Bf16);
    let mut files = tokenizer_files(args.tokenizer.as_deref())?;
    files.push(("generation_config.json", generation(&file, &config)));
    files.push(("config.json", declared(&file, text, &config, dtype)));
    let synthesis = Synthesis {
        out: args.out.clone(),
        dtype,
        seed: args.seed,
        shard_bytes: args.max_shard_size,
        threads,
    };
    let interrupted = interrupt::flag();
    // Hidden by itself where stderr is not a terminal.
    let bar = ProgressBar::new(0).with_style(style());
    let written = synthesis.run(&model::synth::tensors(&config)?, &files, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        !interrupted.load(Ordering::SeqCst)
    });
    bar.finish_and_clear();
    let Some(Written {
        tensors,
        shards,
        bytes,
    }) = written?
    else {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    };
    eprintln!(
        "{}: {tensors} tensors, {} MB of {dtype} in {shards} {}, seed {}, {:.1} s",
        args.out.display(),
        bytes / 1_000_000,
        if shards == 1 { "file" } else { "files" },
        args.seed,
        started.elapsed().as_secs_f64(),
    );
    Ok(ExitCode::SUCCESS)
}

/// The tokenizer files of `folder`.
fn tokenizer_files(folder: Option<&Path>) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let Some(folder) = folder else {
        return Ok(Vec::new());
    };
    let present = |name: &&str| *name == TOKENIZER[0] || folder.join(name).exists();
    let names = TOKENIZER.into_iter().filter(present);
    names
        .map(|name| Ok((name, read_bytes(&folder.join(name))?)))
        .collect()
}

/// Greedy by default, with the end tokens of the config: sampling would hide a difference.
fn generation(file: &JsonFile, config: &ModelConfig) -> Vec<u8> {
    let mut map = Map::new();
    for key in ["bos_token_id", "eos_token_id"] {
        if let Some(value) = file.get(key) {
            map.insert(key.to_string(), value.clone());
        }
    }
    map.insert("do_sample".to_string(), json!(false));
    map.insert(
        "max_length".to_string(),
        json!(config.max_position_embeddings),
    );
    pretty(&Value::from(map))
}

/// The config as it was given, or with the type of this checkpoint where it says another.
fn declared(file: &JsonFile, text: Vec<u8>, config: &ModelConfig, dtype: DType) -> Vec<u8> {
    if config.dtype == Some(dtype) {
        return text;
    }
    let key = match file.get("dtype") {
        Some(_) => "dtype",
        None => "torch_dtype",
    };
    let all = file.keys().map(|key| {
        (
            key.to_string(),
            file.get(key).cloned().unwrap_or(Value::Null),
        )
    });
    let mut map: Map<String, Value> = all.collect();
    map.insert(key.to_string(), json!(dtype.hf_name()));
    pretty(&Value::from(map))
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn style() -> ProgressStyle {
    let template = "writing {bar:40} {bytes} of {total_bytes}, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
