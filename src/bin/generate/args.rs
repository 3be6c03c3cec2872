//! The command line of `generate`.

use std::path::PathBuf;

use clap::{Args, Parser};
use qwarp::{Error, Result};

use crate::device::DeviceArgs;
use crate::dtype::DtypeArg;
use crate::threads;

/// Runs one prompt on one model folder, streams the answer, and prints where the time went.
///
/// The text goes to standard output, everything else to standard error. Exit codes: 0 success, 1 failed while running,
/// 2 bad arguments, 3 a file that cannot be read, written or understood, 4 unsupported model, 5 too large, 130 interrupted,
/// 141 the reader of the output has gone.
#[derive(Debug, Parser)]
#[command(
    name = "generate",
    version,
    after_help = "Example: generate --model models/qwen2.5-coder-0.5b-instruct --chat 'Write a haiku about warps.'\n\n\
        QWARP_SIMD=avx512, avx2 or portable in the environment takes that SIMD path instead of the fastest; the answer is \
        the same."
)]
pub struct Cli {
    /// Model folder in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,

    #[command(flatten)]
    pub prompt: PromptArgs,

    /// System message of the chat
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub system: Option<String>,

    /// Tokens to generate at most; 0 runs the prompt alone
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub max_tokens: usize,

    #[command(flatten)]
    pub sampling: SamplingArgs,

    /// Stop when the answer contains this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,

    /// Go on after an end-of-sequence token
    #[arg(long)]
    pub ignore_eos: bool,

    #[command(flatten)]
    pub device: DeviceArgs,

    /// Type of matrix inputs and KV cache; auto is the type that config.json names (f16 on a GPU without bf16)
    #[arg(long, value_enum, default_value_t = DtypeArg::Auto)]
    pub dtype: DtypeArg,

    /// Worker threads of the CPU, or of the emulator [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// Longest sequence, prompt and answer together: the KV cache is made for it [default: the prompt and --max-tokens]
    #[arg(long, value_name = "N")]
    pub max_model_len: Option<usize>,

    /// Prompt tokens of one step; the answer does not depend on it
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub prefill_chunk: usize,

    /// Look for infinities and NaN in what every operation writes, and name the first; slow
    #[arg(long)]
    pub check_finite: bool,

    /// Print the answer once it is complete instead of as it comes
    #[arg(long)]
    pub no_stream: bool,

    /// Print one JSON object instead of text and table
    #[arg(long)]
    pub json: bool,

    /// Neither read nor write the tokenizer cache (QWARP_CACHE_DIR, or qwarp in XDG_CACHE_HOME or ~/.cache)
    #[arg(long)]
    pub no_cache: bool,

    /// Write the prompt's logits (f32 [positions, vocab]) and token ids to this safetensors file
    #[arg(long, value_name = "FILE")]
    pub logits_out: Option<PathBuf>,

    /// Prompt positions to write, end not included [default: all]
    #[arg(long, value_name = "A..B", requires = "logits_out", value_parser = parse_range)]
    pub logits_range: Option<std::ops::Range<usize>>,
}

/// Exactly one way to give a prompt.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct PromptArgs {
    /// Text to continue, as it is
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,

    /// File with text to continue, as it is
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,

    /// User message, put into the model's chat template
    #[arg(long, value_name = "TEXT")]
    pub chat: Option<String>,

    /// Token ids to continue
    #[arg(long, value_name = "1,2,3", value_delimiter = ',')]
    pub token_ids: Option<Vec<u32>>,
}

/// Sampling; what is not given comes from generation_config.json.
#[derive(Debug, Args)]
pub struct SamplingArgs {
    /// Softmax temperature; 0 takes the most probable token
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f32>,

    /// Keep the most probable tokens up to this mass
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,

    /// Keep the K most probable tokens; 0 keeps all
    #[arg(long, value_name = "K")]
    pub top_k: Option<u32>,

    /// Keep tokens at least P times as probable as the most probable
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,

    /// Divide positive and multiply other logits of tokens in the prompt or the answer; 1 is off
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,

    /// Subtract this from the logits of tokens in the answer
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub presence_penalty: Option<f32>,

    /// Subtract this from the logits of tokens in the answer, once for each time they occur
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub frequency_penalty: Option<f32>,

    /// Add to the logits of these tokens, before anything else; may be given several times
    #[arg(long, value_name = "ID:BIAS", value_delimiter = ',', value_parser = parse_bias)]
    pub logit_bias: Vec<(u32, f32)>,

    /// Key of the random draws; the same seed gives the same answer
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl Cli {
    /// Checks what clap cannot: counts that must not be zero, and the thread count.
    pub fn threads(&self) -> Result<usize> {
        let threads = self.threads.unwrap_or_else(threads::cores);
        threads::check(threads)?;
        if self.prefill_chunk == 0 {
            return Err(Error::argument("--prefill-chunk", 0, "at least 1"));
        }
        Ok(threads)
    }
}

fn parse_range(text: &str) -> std::result::Result<std::ops::Range<usize>, String> {
    let bounds = text
        .split_once("..")
        .and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    match bounds {
        Some((start, end)) if start < end => Ok(start..end),
        _ => Err("expected A..B with A < B, such as 0..16".to_string()),
    }
}

fn parse_bias(text: &str) -> std::result::Result<(u32, f32), String> {
    text.split_once(':')
        .and_then(|(id, bias)| Some((id.parse().ok()?, bias.parse().ok()?)))
        .ok_or_else(|| "expected ID:BIAS, such as 9707:-5".to_string())
}
