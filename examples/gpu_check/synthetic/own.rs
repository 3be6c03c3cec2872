//! What the model does on the device by itself: decode, prefill, a cold start, and where the time of a step goes.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Part, Result, Subject, display, number};

/// How long one run of the model may take.
const SECONDS: u32 = 120;
/// Tokens of the prompt of a cold start.
const SHORT: usize = 16;
/// The file that the logits of a prompt go to.
pub const LOGITS: &str = "logits.safetensors";

/// The times that transformers' are held against.
pub struct Speeds {
    /// From one token to the next, the median.
    pub decode_ms: f64,
    /// A whole prompt until its token is there, the median.
    pub prefill_ms: f64,
    /// The same on the device alone, the sum of its nodes.
    pub prefill_nodes_ms: f64,
}

/// Everything, one run of a program after the other.
pub fn run(subject: &Subject, part: &mut Part) -> Result<Speeds> {
    let logits = display(&subject.path(LOGITS));
    let positions = subject.size.positions;
    generate(subject, positions, 0, &["--logits-out", &logits])?;
    part.count("logits", Ok(()));
    let decode_ms = decode(subject, part)?;
    let prefill_ms = prefill(subject, part)?;
    cold_start(subject, part)?;
    let context = (subject.size.prompt + subject.size.tokens / 2).to_string();
    profile(subject, part, "decode", &["--context", &context])?;
    let tokens = subject.size.prefill.to_string();
    let more = ["--context", "0", "--prefill", &tokens];
    let prefill_nodes_ms = profile(subject, part, "prefill", &more)?;
    if !subject.hardware {
        part.skip("times need a GPU; the programs ran in the emulator");
    }
    Ok(Speeds {
        decode_ms,
        prefill_ms,
        prefill_nodes_ms,
    })
}

/// The report of a run that answers a prompt of so many tokens with so many.
fn generate(subject: &Subject, prompt: usize, tokens: usize, more: &[&str]) -> Result<Value> {
    let (ids, tokens) = (subject.prompt(prompt), tokens.to_string());
    let mut arguments = subject.arguments(&["--json", "--ignore-eos", "--temperature", "0"]);
    let rest = ["--token-ids", &ids, "--max-tokens", &tokens];
    arguments.extend(rest.iter().chain(more).map(ToString::to_string));
    subject.programs.json(SECONDS, "generate", &arguments)
}

/// A figure, and a line of the table; only of a GPU.
fn show(subject: &Subject, part: &mut Part, line: &str, figure: Value) {
    if subject.hardware {
        let _ = writeln!(part.table, "{line}");
        part.figures.push(figure);
    }
}

/// Milliseconds of a token.
fn decode(subject: &Subject, part: &mut Part) -> Result<f64> {
    let (prompt, tokens) = (subject.size.prompt, subject.size.tokens);
    let mut medians = Vec::new();
    for _ in 0..subject.size.repetitions {
        let report = generate(subject, prompt, tokens, &[])?;
        let made = report["token_ids"].as_array().map_or(0, Vec::len);
        if made != tokens {
            return Err(format!("decode: {made} tokens instead of {tokens}").into());
        }
        medians.push(number(&report, "/timings_ms/itl_p50")?);
    }
    let (context, ms) = (prompt + tokens / 2, median(&mut medians));
    let line = format!("decode at context {context}: {ms:.3} ms a token (goal on an H200: 1.20)");
    let figure = json!({
        "what": "decode", "context": context, "tokens": tokens, "ms_per_token": ms,
        "runs_ms": medians, "goal_on_h200_ms": 1.20,
    });
    show(subject, part, &line, figure);
    part.count("decode", Ok(()));
    Ok(ms)
}

/// Milliseconds of a prompt in one step.
fn prefill(subject: &Subject, part: &mut Part) -> Result<f64> {
    let tokens = subject.size.prefill;
    let chunk = tokens.to_string();
    let mut runs = Vec::new();
    for _ in 0..subject.size.repetitions {
        let report = generate(subject, tokens, 1, &["--prefill-chunk", &chunk])?;
        runs.push(number(&report, "/timings_ms/prefill")?);
    }
    let (ms, flops) = (median(&mut runs), subject.flops(tokens)?);
    let rate = flops / ms / 1e9;
    let line = format!("prefill of {tokens}: {ms:.2} ms, {rate:.1} TFLOP/s");
    let figure = json!({
        "what": "prefill", "tokens": tokens, "ms": ms, "runs_ms": runs, "flops": flops,
        "tflop_per_s": rate,
    });
    show(subject, part, &line, figure);
    part.count("prefill", Ok(()));
    Ok(ms)
}

/// From the start of a process to its first token; the weights are in the page cache, the runs before have read them.
fn cold_start(subject: &Subject, part: &mut Part) -> Result<()> {
    let ids = subject.prompt(SHORT);
    let arguments = subject.arguments(&["--token-ids", &ids, "--max-tokens", "1"]);
    let once = |_| (subject.programs).first_byte_ms(SECONDS, "generate", &arguments);
    let mut runs: Vec<f64> = (0..subject.size.repetitions)
        .map(once)
        .collect::<Result<_>>()?;
    let ms = median(&mut runs);
    let line = format!("cold start to first token: {ms:.0} ms (goal on an H200: 1000)");
    let figure = json!({
        "what": "cold start", "prompt": SHORT, "first_token_ms": ms, "runs_ms": runs,
        "goal_on_h200_ms": 1000,
    });
    show(subject, part, &line, figure);
    part.count("cold start", Ok(()));
    Ok(())
}

/// The time of each node of a step; milliseconds of all.
fn profile(subject: &Subject, part: &mut Part, step: &str, more: &[&str]) -> Result<f64> {
    let arguments = subject.arguments(&[&["--json"][..], more].concat());
    let arguments = [vec!["profile".to_string()], arguments].concat();
    let report = subject.programs.json(SECONDS, "qwarp", &arguments)?;
    let ms = number(&report, "/step_ms")?;
    let nodes = report["nodes"].as_array().map_or(0, Vec::len);
    if nodes == 0 {
        return Err(format!("qwarp profile of {step}: no nodes").into());
    }
    let line = format!("nodes of a {step} step: {ms:.3} ms in {nodes}");
    show(
        subject,
        part,
        &line,
        json!({"what": format!("profile of {step}"), "profile": report}),
    );
    part.count(step, Ok(()));
    Ok(ms)
}

/// The middle of some; sorts them.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
