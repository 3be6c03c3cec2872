//! One test: warm up, then repeat, with a measurement of the machine's own limit after every few timed steps.

use std::time::{SystemTime, UNIX_EPOCH};

use qwarp::tokenizer::chat::CivilTime;
use qwarp::{Error, Result};

use super::cases::{Case, Cases};
use super::progress::{Progress, Stop};
use super::stats::median;
use super::track::Track;

/// Timed steps between two measurements of the limit.
const STEPS_PER_LIMIT: usize = 16;

/// What a test gave.
pub struct Measured {
    /// When it began, as RFC 3339 writes it.
    pub test_time: String,
    /// Of each repetition.
    pub samples_ns: Vec<u64>,
    /// Bytes that one repetition had to move.
    pub bytes: u64,
    /// FLOPs that one repetition had to compute.
    pub flops: u64,
    /// GB/s of reads for decode, TFLOP/s of multiply-adds for prefill.
    pub limit_samples: Vec<f64>,
}

impl Measured {
    /// The median repetition.
    pub fn median_ns(&self) -> f64 {
        let samples: Vec<f64> = self.samples_ns.iter().map(|&ns| ns as f64).collect();
        median(&samples)
    }

    /// What the median repetition reached: GB/s of a decode test, TFLOP/s of a prefill test.
    pub fn reached(&self, decodes: bool) -> f64 {
        if decodes {
            self.bytes as f64 / self.median_ns()
        } else {
            self.flops as f64 / self.median_ns() / 1e3
        }
    }

    /// The median of the limit's samples.
    pub fn limit(&self) -> f64 {
        median(&self.limit_samples)
    }
}

/// Runs `case`.
pub fn measure(
    track: &mut Track,
    case: &Case,
    cases: &Cases,
    progress: &Progress,
) -> std::result::Result<Measured, Stop> {
    let mut measured = Measured {
        test_time: now()?,
        samples_ns: Vec::new(),
        bytes: 0,
        flops: 0,
        limit_samples: Vec::new(),
    };
    if cases.warmup {
        // As llama-bench does: the whole prompt, but one token of an answer.
        let tokens = if case.decodes() { 1 } else { case.n_prompt };
        prepare(track, case, cases, progress)?;
        progress.show(case, "warming up");
        repeat(track, case, cases.chunk, tokens, progress)?;
    }
    for _ in 0..cases.times {
        prepare(track, case, cases, progress)?;
        progress.show(case, "running");
        let run = repeat(track, case, cases.chunk, case.tokens(), progress)?;
        measured.samples_ns.push(run.ns);
        measured.limit_samples.extend(run.limit_samples);
        (measured.bytes, measured.flops) = (run.bytes, run.flops);
        progress.repeated();
    }
    Ok(measured)
}

/// Goes to where the test begins, and computes what stands before it unless that is still there.
pub fn prepare(
    track: &mut Track,
    case: &Case,
    cases: &Cases,
    progress: &Progress,
) -> std::result::Result<(), Stop> {
    let given = if case.decodes() { 1 } else { case.n_prompt };
    let mut missing = track.go_to(case.batch, case.n_depth, case.n_depth + given);
    while missing > 0 {
        progress.check()?;
        progress.show(case, &format!("{missing} tokens before it"));
        missing -= track.fill(case.n_depth, cases.chunk)?;
    }
    Ok(())
}

/// One run of `tokens` tokens.
#[derive(Default)]
struct Repetition {
    ns: u64,
    bytes: u64,
    flops: u64,
    limit_samples: Vec<f64>,
}

fn repeat(
    track: &mut Track,
    case: &Case,
    chunk: usize,
    tokens: usize,
    progress: &Progress,
) -> std::result::Result<Repetition, Stop> {
    let chunk = if case.decodes() { 1 } else { chunk };
    let mut run = Repetition::default();
    let (mut left, mut steps) = (tokens, 0);
    while left > 0 {
        progress.check()?;
        let count = left.min(chunk);
        let step = track.step(count)?;
        left -= count;
        steps += 1;
        run.ns += step.ns;
        run.bytes += step.cost.bytes()?;
        run.flops += step.cost.flops;
        if left == 0 || steps % STEPS_PER_LIMIT == 0 {
            run.limit_samples.extend(if case.decodes() {
                track.backend.memory_gb_per_s()?
            } else {
                track.backend.peak_tflop_per_s()
            });
        }
    }
    Ok(run)
}

/// The time, as RFC 3339 writes it.
pub fn now() -> Result<String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    CivilTime::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .map_err(Error::Template)
}
