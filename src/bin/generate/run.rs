//! One run: open, prefill, decode, report.

use std::io::Write;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use qwarp::backend::sampling::check_logit_bias;
use qwarp::config::{EngineConfig, GenerationConfig, ModelConfig};
use qwarp::engine::text::TextStream;
use qwarp::engine::{Engine, FinishReason, Request};
use qwarp::tokenizer::Tokenizer;
use qwarp::{DType, Error, Result};

use crate::args::Cli;
use crate::cache_dir::cache_dir;
use crate::device::{Chosen, Running};
use crate::logits_file::LogitsFile;
use crate::prompt;
use crate::report::Report;
use crate::sampling;
use crate::simd;

/// Runs what the command line asks for and prints the report.
pub fn run(cli: &Cli, interrupted: &AtomicBool) -> Result<()> {
    let started = Instant::now();
    let threads = cli.threads()?;
    let path = simd::path()?;
    let config = ModelConfig::read(&cli.model)?;
    let generation = GenerationConfig::read(&cli.model, &config.eos_token_ids)?;
    let params = sampling::params(&cli.sampling, &generation);
    params.validate()?;
    check_logit_bias(&cli.sampling.logit_bias, config.vocab_size)?;
    let (chosen, tokenizer, tokenizer_ms) = device_and_tokenizer(cli, &config, threads)?;
    let prompt = prompt::tokens(cli, &tokenizer, config.vocab_size)?;
    let wanted_logits = logits_range(cli, prompt.len())?;
    let engine_config = limits(cli, &config, prompt.len(), threads, chosen.choice.dtype)?;
    let Running {
        choice,
        engine: engine_config,
        opened,
    } = chosen.open_backend(&cli.model, &config, engine_config, path)?;
    let about = choice.about;
    let mut engine = Engine::new(engine_config, config.vocab_size, opened.backend)?;
    // Elsewhere a step is over when it has been submitted, and nothing would wait for the host.
    engine.set_run_ahead(about.kind == "cuda");
    if cli.check_finite {
        engine.check_finite();
    }

    let request = Request {
        params,
        logit_bias: cli.sampling.logit_bias.as_slice().into(),
        eos_token_ids: if cli.ignore_eos {
            Vec::new()
        } else {
            generation.eos_token_ids.clone()
        },
        wanted_logits,
        ..Request::new(prompt, cli.max_tokens)
    };
    let answer = Answer::generate(
        cli,
        &mut engine,
        &tokenizer,
        request.clone(),
        config.vocab_size,
        interrupted,
    )?;
    let report = Report {
        model: model_name(cli),
        dtype: engine_config.dtype.name(),
        threads,
        simd: about.is_cpu().then(|| path.name()),
        sampling: sampling::describe(&params, &request.logit_bias),
        prompt_tokens: request.prompt.len(),
        token_ids: answer.token_ids,
        text: answer.text,
        finish_reason: answer.finish_reason,
        tokenizer_ms,
        tokenizer_from_cache: tokenizer.is_from_cache(),
        open_ms: opened.open_ms,
        weights_ms: opened.weights_ms,
        plan_ms: opened.plan_ms,
        prefill_ms: answer.prefill_ms,
        ttft_ms: answer.ttft_ms,
        total_ms: ms(started),
        held_bytes: opened.held_bytes,
        bytes_per_token: (!answer.itl_ms.is_empty()).then_some(answer.bytes_per_token),
        // A GPU's copy takes memory of its own: `qwarp bench` measures it.
        read_gb_per_s: match answer.itl_ms.is_empty() || !about.is_cpu() {
            true => None,
            false => best_read(&mut engine)?,
        },
        device: about,
        itl_ms: answer.itl_ms,
    };
    print(cli, &report)
}

/// The report, and what of the answer has not been printed yet.
fn print(cli: &Cli, report: &Report) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = if cli.json {
        writeln!(out, "{}", report.json())
    } else if cli.no_stream {
        writeln!(out, "{}", report.text)
    } else {
        writeln!(out)
    };
    written
        .and_then(|()| out.flush())
        .map_err(|e| Error::io("standard output", "write", e))?;
    if !cli.json {
        eprint!("\n{}", report.table());
    }
    Ok(())
}

/// The device, and the tokenizer with the milliseconds that it took: it is read while the device starts.
fn device_and_tokenizer(
    cli: &Cli,
    config: &ModelConfig,
    threads: usize,
) -> Result<(Chosen, Tokenizer, f64)> {
    let (chosen, (tokenizer, tokenizer_ms)) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let started = Instant::now();
            (open_tokenizer(cli), ms(started))
        });
        let chosen = (cli.device).choose(&cli.model, config, cli.dtype, threads);
        let read = reading.join().unwrap_or_else(|panic| resume_unwind(panic));
        (chosen, read)
    });
    Ok((chosen?, tokenizer?, tokenizer_ms))
}

fn open_tokenizer(cli: &Cli) -> Result<Tokenizer> {
    match cache_dir().filter(|_| !cli.no_cache) {
        Some(cache) => Tokenizer::open_cached(&cli.model, &cache),
        None => Tokenizer::open(&cli.model),
    }
}

/// What generation produced, and when.
struct Answer {
    token_ids: Vec<u32>,
    text: String,
    finish_reason: FinishReason,
    prefill_ms: Option<f64>,
    ttft_ms: Option<f64>,
    itl_ms: Vec<f64>,
    bytes_per_token: u64,
}

impl Answer {
    fn generate(
        cli: &Cli,
        engine: &mut Engine,
        tokenizer: &Tokenizer,
        request: Request,
        vocab: usize,
        interrupted: &AtomicBool,
    ) -> Result<Self> {
        let mut logits = match &cli.logits_out {
            Some(path) => Some(LogitsFile::create(
                path,
                &request.prompt[request.wanted_logits.clone()],
                vocab,
            )?),
            None => None,
        };
        let mut stream = TextStream::new(tokenizer, &cli.stop);
        let mut answer = Answer {
            token_ids: Vec::new(),
            text: String::new(),
            finish_reason: FinishReason::Cancelled,
            prefill_ms: None,
            ttft_ms: None,
            itl_ms: Vec::new(),
            bytes_per_token: 0,
        };
        let (eos, prompt_tokens) = (request.eos_token_ids.clone(), request.prompt.len());
        let started = Instant::now();
        let mut last = started;
        let id = engine.submit(request)?;
        let bar = prefill_bar(cli, prompt_tokens);
        while !engine.is_idle() && !interrupted.load(Ordering::SeqCst) {
            let mut written = Ok(());
            let events = engine.step(&mut |row| {
                if let (Some(file), Ok(())) = (&mut logits, &written) {
                    written = file.row(row.logits);
                }
            })?;
            written?;
            bar.set_position(engine.computed(id).unwrap_or(prompt_tokens) as u64);
            for event in events {
                if answer.token_ids.is_empty() {
                    answer.prefill_ms = Some(ms(started));
                    bar.finish_and_clear();
                }
                if let Some(token) = event.token {
                    answer.token_ids.push(token);
                    let text = if eos.contains(&token) {
                        String::new()
                    } else {
                        stream.push(token)
                    };
                    answer.show(cli, &text)?;
                    answer.note_time(started, &mut last, engine.last_step_bytes());
                }
                answer.finish_reason = event.finish.unwrap_or(answer.finish_reason);
                if stream.stopped() {
                    engine.cancel(id);
                }
            }
        }
        bar.finish_and_clear();
        engine.cancel(id);
        let rest = stream.finish();
        answer.show(cli, &rest)?;
        if stream.stopped() {
            answer.finish_reason = FinishReason::StopString;
        }
        logits.map_or(Ok(()), LogitsFile::finish)?;
        Ok(answer)
    }

    fn note_time(&mut self, started: Instant, last: &mut Instant, step_bytes: u64) {
        if self.token_ids.len() == 1 {
            self.ttft_ms = Some(ms(started));
        } else {
            self.itl_ms.push(ms(*last));
            // A running mean over the decode steps, in integers.
            let count = self.itl_ms.len() as u64;
            self.bytes_per_token = (self.bytes_per_token * (count - 1) + step_bytes) / count;
        }
        *last = Instant::now();
    }

    fn show(&mut self, cli: &Cli, text: &str) -> Result<()> {
        self.text.push_str(text);
        if cli.json || cli.no_stream || text.is_empty() {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(|e| Error::io("standard output", "write", e))
    }
}

/// A bar for prompts that take several steps, on a terminal only.
fn prefill_bar(cli: &Cli, prompt_tokens: usize) -> ProgressBar {
    if cli.json || prompt_tokens <= cli.prefill_chunk {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(prompt_tokens as u64);
    if let Ok(style) =
        ProgressStyle::with_template("prompt {bar:40} {pos}/{len} tokens, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

fn limits(
    cli: &Cli,
    config: &ModelConfig,
    prompt: usize,
    threads: usize,
    dtype: DType,
) -> Result<EngineConfig> {
    let context = config.max_position_embeddings;
    if prompt > context {
        return Err(Error::argument(
            "prompt",
            format!("{prompt} tokens"),
            format!("at most {context}, the model's context"),
        ));
    }
    let max_model_len = match cli.max_model_len {
        None => prompt.saturating_add(cli.max_tokens).min(context),
        Some(tokens) if (prompt.max(1)..=context).contains(&tokens) => tokens,
        Some(tokens) => {
            let expected = format!("{prompt}, the prompt, to {context}, the model's context");
            return Err(Error::argument("--max-model-len", tokens, expected));
        }
    };
    let chunk = cli.prefill_chunk.min(prompt);
    Ok(EngineConfig {
        dtype,
        threads,
        max_num_seqs: 1,
        max_batched_tokens: chunk,
        // A row of logits is large: where all are wanted, steps are shorter than the chunk.
        max_logit_rows: if cli.logits_out.is_some() {
            chunk.min(64)
        } else {
            1
        },
        max_model_len,
    })
}

fn logits_range(cli: &Cli, prompt: usize) -> Result<std::ops::Range<usize>> {
    if cli.logits_out.is_none() {
        return Ok(0..0);
    }
    match &cli.logits_range {
        None => Ok(0..prompt),
        Some(range) if range.end <= prompt => Ok(range.clone()),
        Some(range) => Err(Error::argument(
            "--logits-range",
            format!("{}..{}", range.start, range.end),
            format!("positions of the prompt, 0..{prompt}"),
        )),
    }
}

/// The best of three passes.
fn best_read(engine: &mut Engine) -> Result<Option<f64>> {
    let mut best = None;
    for _ in 0..3 {
        let found = engine.memory_gb_per_s()?;
        best = found.map(|rate| rate.max(best.unwrap_or(0.0)));
    }
    Ok(best)
}

fn model_name(cli: &Cli) -> String {
    let name = cli
        .model
        .file_name()
        .or_else(|| cli.model.as_os_str().into());
    name.map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
