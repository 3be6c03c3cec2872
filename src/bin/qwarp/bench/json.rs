//! A result as an object with llama-bench's field names, then ours. Left out are the fields of llama-bench that have no
//! meaning here, and its build number.

use serde_json::{Map, Value, json};

use super::cases::Case;
use super::facts::Facts;
use super::measure::Measured;
use super::on_device::OnDevice;
use super::stats::{deviation, mean, median};
use crate::device::About;

/// Tokens per second of each repetition, of all sequences together.
pub fn samples_ts(case: Case, samples_ns: &[u64]) -> Vec<f64> {
    let samples = samples_ns.iter();
    samples
        .map(|&ns| case.all_tokens() as f64 * 1e9 / ns as f64)
        .collect()
}

/// A test's repetitions.
struct Samples<'a> {
    test_time: &'a str,
    ns: &'a [u64],
}

/// What every result says, wherever it ran.
fn head(
    facts: &Facts,
    backend: &str,
    threads: usize,
    case: Case,
    samples: Samples<'_>,
) -> Map<String, Value> {
    let ns: Vec<f64> = samples.ns.iter().map(|&ns| ns as f64).collect();
    let ts = samples_ts(case, samples.ns);
    fields(json!({
        "cpu_info": facts.cpu_info,
        "backends": backend,
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
        "n_sequences": case.batch,
        "test_time": samples.test_time,
        "avg_ns": mean(&ns) as u64,
        "stddev_ns": deviation(&ns) as u64,
        "avg_ts": mean(&ts),
        "stddev_ts": deviation(&ts),
        "samples_ns": samples.ns,
        "samples_ts": ts,
        "median_ts": median(&ts),
        "qwarp_version": env!("CARGO_PKG_VERSION"),
        "dtype": facts.dtype.name(),
    }))
}

fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The whole result of the CPU.
pub fn object(facts: &Facts, threads: usize, case: Case, measured: &Measured) -> Value {
    let samples = Samples {
        test_time: &measured.test_time,
        ns: &measured.samples_ns,
    };
    let decodes = case.decodes();
    let (reached, limit) = (measured.reached(decodes), measured.limit());
    let mut all = head(facts, "CPU", threads, case, samples);
    all.extend(fields(json!({
        "simd": facts.simd,
        "bytes_per_token": measured.bytes as f64 / case.all_tokens() as f64,
        "gb_per_s": decodes.then_some(reached),
        "tflop_per_s": (!decodes).then_some(reached),
        "limit_gb_per_s": decodes.then_some(limit),
        "limit_tflop_per_s": (!decodes).then_some(limit),
        "limit_samples": measured.limit_samples,
        "percent_of_limit": 100.0 * reached / limit,
    })));
    Value::Object(all)
}

/// The whole result of a device. What would be a GPU's is null where it is not one; so is a limit that nobody has measured.
pub fn device_object(
    facts: &Facts,
    about: &About,
    threads: usize,
    case: Case,
    found: &OnDevice,
) -> Value {
    let samples = Samples {
        test_time: &found.test_time,
        ns: &found.samples_ns,
    };
    let (decodes, on_gpu) = (case.decodes(), about.has_times());
    let reached = Some(found.reached(decodes)).filter(|_| on_gpu);
    let copy = found.copy_gb_per_s();
    let percent = reached.zip(copy).map(|(gb, copy)| 100.0 * gb / copy);
    let columns = found.columns();
    let mut all = head(facts, backend(about), threads, case, samples);
    all.extend(fields(json!({
        "device": about.kind,
        "gpu": about.gpu_json(),
        "note": note(about),
        "steps": found.steps,
        "device_ms": columns.device,
        "with_sampling_ms": columns.sampling,
        "with_detokenise_ms": columns.detokenise,
        "end_to_end_ms": columns.end_to_end,
        "device_samples_ms": found.logits_ms,
        "with_sampling_samples_ms": found.tokens_ms,
        "detokenise_samples_ms": found.detokenise_ms,
        "busy_samples_ms": found.busy_ms,
        "idle_share": on_gpu.then(|| found.idle_share()),
        "timed_context": found.context,
        "bytes_per_step": found.step_bytes,
        "flops_per_step": found.step_flops,
        "gb_per_s": reached.filter(|_| decodes),
        "tflop_per_s": reached.filter(|_| !decodes),
        "copy_gb_per_s": copy,
        "copy_samples": found.copy_samples,
        "percent_of_copy": percent,
    })));
    Value::Object(all)
}

/// As llama-bench names its own; the emulator is no backend of it.
pub fn backend(about: &About) -> &'static str {
    match about.has_times() {
        true => "CUDA",
        false => about.kind,
    }
}

fn note(about: &About) -> &'static str {
    match about.has_times() {
        true => {
            "times of a step, in the middle of an answer, by events; end to end with steps queued ahead"
        }
        false => "times are the emulator's own and tell nothing of a GPU",
    }
}
