//! One target and type: opens the model, prefills, decodes teacher-forced, compares every position that the reference has.

use std::time::Instant;

use qwarp::config::engine::BLOCK_SIZE;
use qwarp::driver::{DriverError, Target};
use qwarp::{DType, Error};

use crate::by_hand::{ByHand, How};
use crate::compare::Distance;
use crate::real_case::{self, Case};
use crate::{Cli, Result};

/// The reference's prompt, and how far transformers' own 16-bit runs are from it.
pub struct Prompt {
    case: Case,
    index: serde_json::Value,
}

/// What a run gave.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The code that ran.
    pub target: Target,
    /// In which type.
    pub dtype: DType,
    /// Of the prefilled positions.
    pub prefill: Distance,
    /// Of the decoded positions.
    pub decode: Distance,
    /// What the emulator found; a finding ends the run.
    pub finding: Option<String>,
    /// Kernels launched.
    pub launches: u64,
    /// Opening, packing and bringing the weights to the device.
    pub load_s: f64,
    /// The step of the prompt.
    pub prefill_s: f64,
    /// All steps of one token.
    pub decode_s: f64,
}

impl Outcome {
    /// Whether nothing was found and the logits are close enough.
    pub fn passed(&self) -> bool {
        let decoded = self.decode.positions == 0 || self.decode.passed();
        self.finding.is_none() && self.prefill.passed() && decoded
    }
}

impl Prompt {
    /// Reads the case that `cli` names.
    pub fn read(cli: &Cli) -> Result<Prompt> {
        if !cli.model.join("config.json").exists() {
            let folder = cli.model.display();
            return Err(format!("{folder} has no config.json: run tools/get-model").into());
        }
        let index = real_case::index();
        let entries = index["cases"].as_array().ok_or("cases.json has no cases")?;
        let names: Vec<&str> = entries.iter().filter_map(|e| e["name"].as_str()).collect();
        if !names.contains(&cli.case.as_str()) {
            let (found, known) = (&cli.case, names.join(", "));
            return Err(format!("--case {found}: expected one of {known}").into());
        }
        let case = real_case::read(&cli.case);
        let (prefill, decode) = (usize::from(cli.prefill), usize::from(cli.decode));
        let length = case.token_ids.len();
        if prefill + decode > length {
            return Err(format!(
                "--prefill {prefill} and --decode {decode}: expected at most {length} together, the tokens of {}",
                case.name
            )
            .into());
        }
        Ok(Prompt { case, index })
    }

    /// The largest error of transformers' own run in `dtype`, over the stored logits of this prompt.
    fn noise(&self, dtype: DType) -> Result<f64> {
        let mut cases = self.index["cases"].as_array().into_iter().flatten();
        let case = cases.find(|case| case["name"] == self.case.name);
        let key = format!("hf_{dtype}_sdpa");
        let noise = case.and_then(|case| case[&key]["top_max_abs"].as_f64());
        noise.ok_or_else(|| format!("cases.json has no {key} for {}", self.case.name).into())
    }
}

/// Runs the prompt.
pub fn run(cli: &Cli, prompt: &Prompt, target: Target, dtype: DType) -> Result<Outcome> {
    let threads = cli.threads.map(usize::from);
    let threads =
        threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let (prefill, decode) = (usize::from(cli.prefill), usize::from(cli.decode));
    let blocks = (prefill + decode).div_ceil(BLOCK_SIZE);
    let started = Instant::now();
    let mut model = ByHand::open(
        &cli.model,
        How {
            target,
            dtype,
            checks: !cli.no_checks,
            threads,
            max_tokens: prefill,
            max_sequences: 1,
            max_len: prefill + decode,
        },
    )?;
    let mut outcome = Outcome {
        target,
        dtype,
        prefill: Distance::default(),
        decode: Distance::default(),
        finding: None,
        launches: 0,
        load_s: started.elapsed().as_secs_f64(),
        prefill_s: 0.0,
        decode_s: 0.0,
    };
    let noise = prompt.noise(dtype)?;
    // Blocks from the last to the first: a table that is not read does not go unseen.
    let table: Vec<u32> = (0..blocks as u32).rev().collect();
    let steps = (0..=decode).map(|i| {
        if i == 0 {
            0..prefill
        } else {
            prefill + i - 1..prefill + i
        }
    });
    for range in steps {
        let (first, started) = (range.start, Instant::now());
        let logits = match model.run(&prompt.case.token_ids, range, &table) {
            Ok(logits) => logits,
            Err(Error::Driver(DriverError::Finding(report))) => {
                outcome.finding = Some(report.to_string());
                break;
            }
            Err(error) => return Err(error.into()),
        };
        let (distance, seconds) = match first {
            0 => (&mut outcome.prefill, &mut outcome.prefill_s),
            _ => (&mut outcome.decode, &mut outcome.decode_s),
        };
        *seconds += started.elapsed().as_secs_f64();
        for (at, ours) in logits.iter().enumerate() {
            if let Some(row) = prompt.case.rows.get(&(first + at)) {
                distance.add(row, ours, noise);
            }
        }
    }
    outcome.launches = model.visits.all();
    Ok(outcome)
}
