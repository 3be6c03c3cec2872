//! `qwarp convert`: a GGUF file into a model folder.

use std::path::PathBuf;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use qwarp::checkpoint::gguf::Conversion;
use qwarp::{DType, Result};

/// Turn a Qwen2 GGUF file into a Hugging Face model folder.
///
/// Weights are dequantised exactly as the gguf Python package does and rounded once, to nearest even. The tokenizer,
/// the chat template and the end tokens come from the file's metadata.
#[derive(clap::Args)]
pub struct Args {
    /// The GGUF file
    #[arg(long, value_name = "FILE")]
    gguf: PathBuf,
    /// The folder to write; it must be new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The type of the tensors written
    #[arg(long, value_enum, default_value_t = Target::Bf16)]
    dtype: Target,
    /// Write only tokenizer.json and tokenizer_config.json; a file cut after its header will do
    #[arg(long)]
    tokenizer_only: bool,
    /// Replace the model files in a folder that is not empty; other files in it stay
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    Bf16,
    F16,
    F32,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<()> {
    let dtype = match args.dtype {
        Target::Bf16 => DType::Bf16,
        Target::F16 => DType::F16,
        Target::F32 => DType::F32,
    };
    let conversion = Conversion {
        gguf: args.gguf,
        out: args.out,
        dtype,
        tokenizer_only: args.tokenizer_only,
        force: args.force,
    };
    // Hidden by itself where stderr is not a terminal.
    let bar = ProgressBar::new(0).with_style(style());
    let done = conversion.run(&mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    let done = done?;
    if conversion.tokenizer_only {
        eprintln!("{}: tokenizer written", conversion.out.display());
    } else {
        let (tensors, megabytes) = (done.tensors, done.bytes / 1_000_000);
        eprintln!(
            "{}: {tensors} tensors, {megabytes} MB of {dtype}",
            conversion.out.display()
        );
    }
    Ok(())
}

fn style() -> ProgressStyle {
    let template = "converting {bar:40} {bytes} of {total_bytes}, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
