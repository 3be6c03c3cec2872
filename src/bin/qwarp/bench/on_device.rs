//! A test on a GPU or its emulator: end to end through the queue, then the device's time for a step by itself, then the
//! copy that it is held against.

use std::time::Instant;

use qwarp::Result;
use qwarp::engine::text::TextStream;
use qwarp::tokenizer::Tokenizer;

use super::cases::{Case, Cases};
use super::measure::{now, prepare};
use super::progress::{Progress, Stop};
use super::stats::median;
use super::track::{Flight, Track};

/// What a test needs besides the sequences.
pub struct Means<'a> {
    /// Without one, no text is made.
    pub tokenizer: Option<&'a Tokenizer>,
    /// Whether times are a GPU's, and worth taking often and holding against its copy.
    pub has_times: bool,
}

/// What a test gave: of each repetition, unless it says otherwise.
#[derive(Default)]
pub struct OnDevice {
    /// When it began, as RFC 3339 writes it.
    pub test_time: String,
    /// Steps of one repetition.
    pub steps: usize,
    /// From the list of the first step's tokens to the text of the last one's.
    pub samples_ns: Vec<u64>,
    /// Of that, the time in which the device ran steps.
    pub busy_ms: Vec<f64>,
    /// Of that, the host's time for making text of tokens; empty without a tokenizer.
    pub detokenise_ms: Vec<f64>,
    /// A step's launches up to its logits, and with those that draw.
    pub logits_ms: Vec<f64>,
    pub tokens_ms: Vec<f64>,
    /// Positions that each sequence of the timed step sees at its end; of a prompt, of the last step.
    pub context: usize,
    /// What a timed step has to move and compute at least.
    pub step_bytes: f64,
    pub step_flops: f64,
    /// GB/s of copies on the device.
    pub copy_samples: Vec<f64>,
}

/// Milliseconds of a step.
pub struct Columns {
    pub device: f64,
    pub sampling: f64,
    pub detokenise: Option<f64>,
    pub end_to_end: f64,
}

impl OnDevice {
    /// The four columns: each holds what the one before holds and more, but for the last, where the host's work and the device's
    /// overlap.
    pub fn columns(&self) -> Columns {
        let steps = self.steps.max(1) as f64;
        let wall: Vec<f64> = self.samples_ns.iter().map(|&ns| ns as f64 / 1e6).collect();
        let sampling = median(&self.tokens_ms);
        let text = (!self.detokenise_ms.is_empty()).then(|| median(&self.detokenise_ms));
        Columns {
            device: median(&self.logits_ms),
            sampling,
            detokenise: text.map(|ms| sampling + ms / steps),
            end_to_end: median(&wall) / steps,
        }
    }

    /// The share of the wall time in which the device had nothing to run.
    pub fn idle_share(&self) -> f64 {
        let shares = self.busy_ms.iter().zip(&self.samples_ns);
        let shares: Vec<f64> = shares
            .map(|(busy, &ns)| 1.0 - busy * 1e6 / ns.max(1) as f64)
            .collect();
        median(&shares)
    }

    /// What the device reached up to the logits: GB/s of a decode test, TFLOP/s of a prefill test.
    pub fn reached(&self, decodes: bool) -> f64 {
        let ms = median(&self.logits_ms);
        match decodes {
            true => self.step_bytes / ms / 1e6,
            false => self.step_flops / ms / 1e9,
        }
    }

    /// The median copy, where one was measured.
    pub fn copy_gb_per_s(&self) -> Option<f64> {
        (!self.copy_samples.is_empty()).then(|| median(&self.copy_samples))
    }
}

/// Runs `case`.
pub fn measure(
    track: &mut Track,
    means: &Means<'_>,
    case: &Case,
    cases: &Cases,
    progress: &Progress,
) -> std::result::Result<OnDevice, Stop> {
    let mut found = OnDevice {
        test_time: now()?,
        ..OnDevice::default()
    };
    if cases.warmup {
        // As on the CPU: the whole prompt, but one token of an answer.
        let tokens = if case.decodes() { 1 } else { case.n_prompt };
        prepare(track, case, cases, progress)?;
        progress.show(case, "warming up");
        run(track, means, case, [tokens, cases.chunk], progress)?;
    }
    for _ in 0..cases.times {
        prepare(track, case, cases, progress)?;
        progress.show(case, "running");
        let ran = run(track, means, case, [case.tokens(), cases.chunk], progress)?;
        found.steps = ran.steps;
        found.samples_ns.push(ran.ns);
        found.busy_ms.push(ran.busy_ms);
        let text = means.tokenizer.map(|_| ran.detokenise_ms);
        found.detokenise_ms.extend(text);
        progress.show(case, "timing its steps");
        found.time(track, means, case, cases, progress)?;
        if means.has_times && case.decodes() {
            let copied = track.backend.memory_gb_per_s()?;
            found.copy_samples.extend(copied);
        }
        progress.repeated();
    }
    Ok(found)
}

/// One repetition, end to end.
#[derive(Default)]
struct Run {
    steps: usize,
    ns: u64,
    busy_ms: f64,
    detokenise_ms: f64,
}

/// Each step is submitted before the tokens of the one before are here, as `generate` does it.
fn run(
    track: &mut Track,
    means: &Means<'_>,
    case: &Case,
    [tokens, chunk]: [usize; 2],
    progress: &Progress,
) -> std::result::Result<Run, Stop> {
    let chunk = if case.decodes() { 1 } else { chunk };
    let text = |tokenizer| TextStream::new(tokenizer, &[]);
    let mut texts: Vec<TextStream> = match means.tokenizer {
        Some(tokenizer) => (0..case.batch).map(|_| text(tokenizer)).collect(),
        None => Vec::new(),
    };
    let (mut run, mut left) = (Run::default(), tokens);
    track.backend.take_busy_ms()?;
    let started = Instant::now();
    let mut flight: Option<Flight> = None;
    while left > 0 || flight.is_some() {
        progress.check()?;
        let count = left.min(chunk);
        let next = match count {
            0 => None,
            _ => Some(track.launch(count)?),
        };
        left -= count;
        run.steps += usize::from(next.is_some());
        if let Some(flight) = std::mem::replace(&mut flight, next) {
            let drawn = track.settle(flight)?.drawn;
            let settled = Instant::now();
            for (text, token) in texts.iter_mut().zip(drawn) {
                text.push(token);
            }
            run.detokenise_ms += ms(settled);
        }
    }
    run.ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    run.busy_ms = track.backend.take_busy_ms()?.unwrap_or_default();
    Ok(run)
}

impl OnDevice {
    /// Times steps of the repetition that has just run: every step of a prompt; of an answer the one in its middle, since times
    /// and bytes grow evenly with the context.
    fn time(
        &mut self,
        track: &mut Track,
        means: &Means<'_>,
        case: &Case,
        cases: &Cases,
        progress: &Progress,
    ) -> std::result::Result<(), Stop> {
        /// Times that a step is repeated on a GPU, and for a prompt, which takes long.
        const REPEATED: [usize; 2] = [20, 5];
        let (first, end) = (case.n_depth, case.n_depth + case.tokens());
        let middle = first + case.n_gen / 2;
        let (steps, repeated): (Vec<[usize; 3]>, usize) = match case.decodes() {
            true => (vec![[middle, middle + 1, middle + 1]], REPEATED[0]),
            false => {
                let starts = (first..end).step_by(cases.chunk);
                let step = |start| [start, end.min(start + cases.chunk), end];
                (starts.map(step).collect(), REPEATED[1])
            }
        };
        let repeated = if means.has_times { repeated } else { 1 };
        let (mut logits_ms, mut tokens_ms, mut bytes, mut flops) = (0.0, 0.0, 0.0, 0.0);
        for step in &steps {
            progress.check()?;
            let Some((times, cost)) = track.time(*step, repeated)? else {
                continue;
            };
            logits_ms += median(&times.logits_ms);
            tokens_ms += median(&times.tokens_ms);
            bytes += cost.bytes()? as f64;
            flops += cost.flops as f64;
            self.context = step[1];
        }
        let count = steps.len().max(1) as f64;
        self.logits_ms.push(logits_ms / count);
        self.tokens_ms.push(tokens_ms / count);
        (self.step_bytes, self.step_flops) = (bytes / count, flops / count);
        Ok(())
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// The folder's tokenizer, where it has one: a model of seeded weights may have none.
pub fn tokenizer(folder: &std::path::Path) -> Result<Option<Tokenizer>> {
    match folder.join("tokenizer.json").exists() {
        true => Tokenizer::open(folder).map(Some),
        false => Ok(None),
    }
}
