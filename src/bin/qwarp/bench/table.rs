//! Results as llama-bench's Markdown table, with our columns after its own.

use super::cases::Case;
use super::facts::Facts;
use super::json::samples_ts;
use super::measure::Measured;
use super::on_device::OnDevice;
use super::stats::{deviation, mean, median};
use crate::units::{binary, decimal};

/// Names and widths of columns.
pub struct Table(&'static [(&'static str, usize)]);

/// Of the CPU; the first columns are llama-bench's.
pub const CPU: Table = Table(&[
    ("model", 24),
    ("size", 10),
    ("params", 10),
    ("backend", 7),
    ("threads", 7),
    ("dtype", 5),
    ("simd", 8),
    ("test", 14),
    ("t/s", 18),
    ("median t/s", 10),
    ("ms/token", 9),
    ("achieved", 14),
    ("of limit", 8),
]);

/// Of a device: milliseconds and bytes are those of a step.
pub const DEVICE: Table = Table(&[
    ("model", 24),
    ("size", 10),
    ("params", 10),
    ("backend", 8),
    ("dtype", 5),
    ("test", 18),
    ("t/s", 18),
    ("device ms", 9),
    ("+ sampling", 10),
    ("+ detokenise", 12),
    ("end to end", 10),
    ("idle", 7),
    ("bytes", 10),
    ("achieved", 14),
    ("of copy", 7),
]);

/// Columns that are text, and so start at the left.
const LEFT: [&str; 4] = ["model", "backend", "dtype", "simd"];

/// What stands where nothing was measured.
const NOTHING: &str = "-";

impl Table {
    /// The line of names and the line below it.
    pub fn head(&self) -> String {
        let names = self.0.iter().map(|(name, _)| name.to_string());
        let rules = self.0.iter().map(|(name, width)| {
            if LEFT.contains(name) {
                format!(" {} |", "-".repeat(*width))
            } else {
                format!(" {}: |", "-".repeat(width - 1))
            }
        });
        let rules: String = rules.collect();
        format!("{}|{rules}\n", self.line(&names.collect::<Vec<_>>()))
    }

    fn line(&self, cells: &[String]) -> String {
        let cells = cells.iter().zip(self.0).map(|(cell, (name, width))| {
            if LEFT.contains(name) {
                format!(" {cell:<width$} |")
            } else {
                format!(" {cell:>width$} |")
            }
        });
        format!("|{}\n", cells.collect::<String>())
    }
}

/// Mean and deviation of tokens per second.
fn speed(ts: &[f64]) -> String {
    format!("{:.2} ± {:.2}", mean(ts), deviation(ts))
}

fn achieved(case: Case, reached: f64) -> String {
    match case.decodes() {
        true => format!("{reached:.2} GB/s"),
        false => format!("{reached:.4} TFLOP/s"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// One result of the CPU.
pub fn row(facts: &Facts, threads: usize, case: Case, measured: &Measured) -> String {
    let ts = samples_ts(case, &measured.samples_ns);
    let reached = measured.reached(case.decodes());
    let tokens = case.all_tokens() as f64;
    CPU.line(&[
        facts.model_type.clone(),
        binary(facts.model_size),
        decimal(facts.model_n_params),
        "CPU".to_string(),
        threads.to_string(),
        facts.dtype.name().to_string(),
        facts.simd.to_string(),
        case.to_string(),
        speed(&ts),
        format!("{:.2}", median(&ts)),
        format!("{:.3}", measured.median_ns() / 1e6 / tokens),
        achieved(case, reached),
        percent(reached / measured.limit()),
    ])
}

/// One result of a device; `has_times` where its times are a GPU's.
pub fn device_row(
    facts: &Facts,
    backend: &str,
    has_times: bool,
    case: Case,
    found: &OnDevice,
) -> String {
    let nothing = || NOTHING.to_string();
    let on_gpu = |text: String| Some(text).filter(|_| has_times).unwrap_or_else(nothing);
    let ms = |ms: f64| format!("{ms:.4}");
    let columns = found.columns();
    let reached = found.reached(case.decodes());
    let copy = found.copy_gb_per_s();
    DEVICE.line(&[
        facts.model_type.clone(),
        binary(facts.model_size),
        decimal(facts.model_n_params),
        backend.to_string(),
        facts.dtype.name().to_string(),
        case.to_string(),
        speed(&samples_ts(case, &found.samples_ns)),
        ms(columns.device),
        ms(columns.sampling),
        columns.detokenise.map_or_else(nothing, ms),
        ms(columns.end_to_end),
        on_gpu(percent(found.idle_share())),
        binary(found.step_bytes as u64),
        on_gpu(achieved(case, reached)),
        copy.map_or_else(nothing, |copy| percent(reached / copy)),
    ])
}
