//! A result as an object with llama-bench's field names, then ours. Left out are the fields of llama-bench that have no
//! meaning here, such as those of GPUs, and its build number.

use serde_json::{Value, json};

use super::cases::Case;
use super::facts::Facts;
use super::measure::Measured;
use super::stats::{deviation, mean, median};

/// Tokens per second of each repetition.
pub fn samples_ts(case: Case, measured: &Measured) -> Vec<f64> {
    let samples = measured.samples_ns.iter();
    samples
        .map(|&ns| case.tokens() as f64 * 1e9 / ns as f64)
        .collect()
}

/// The whole result.
pub fn object(facts: &Facts, threads: usize, case: Case, measured: &Measured) -> Value {
    let ns: Vec<f64> = measured.samples_ns.iter().map(|&ns| ns as f64).collect();
    let ts = samples_ts(case, measured);
    let decodes = case.decodes();
    let (reached, limit) = (measured.reached(decodes), measured.limit());
    json!({
        "cpu_info": facts.cpu_info,
        "backends": "CPU",
        "model_filename": facts.model_filename,
        "model_type": facts.model_type,
        "model_size": facts.model_size,
        "model_n_params": facts.model_n_params,
        "n_batch": facts.n_ubatch,
        "n_ubatch": facts.n_ubatch,
        "n_threads": threads,
        "type_k": facts.dtype.name(),
        "type_v": facts.dtype.name(),
        "n_prompt": case.n_prompt,
        "n_gen": case.n_gen,
        "n_depth": case.n_depth,
        "test_time": measured.test_time,
        "avg_ns": mean(&ns) as u64,
        "stddev_ns": deviation(&ns) as u64,
        "avg_ts": mean(&ts),
        "stddev_ts": deviation(&ts),
        "samples_ns": measured.samples_ns,
        "samples_ts": ts,
        "median_ts": median(&ts),
        "qwarp_version": env!("CARGO_PKG_VERSION"),
        "dtype": facts.dtype.name(),
        "simd": facts.simd,
        "bytes_per_token": measured.bytes as f64 / case.tokens() as f64,
        "gb_per_s": decodes.then_some(reached),
        "tflop_per_s": (!decodes).then_some(reached),
        "limit_gb_per_s": decodes.then_some(limit),
        "limit_tflop_per_s": (!decodes).then_some(limit),
        "limit_samples": measured.limit_samples,
        "percent_of_limit": 100.0 * reached / limit,
    })
}
