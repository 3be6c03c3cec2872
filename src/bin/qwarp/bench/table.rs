//! Results as llama-bench's Markdown table, with our columns after its own.

use super::cases::Case;
use super::facts::Facts;
use super::json::samples_ts;
use super::measure::Measured;
use super::stats::{deviation, mean, median};
use crate::units::{binary, decimal};

/// Names and widths; the first columns are llama-bench's.
const COLUMNS: [(&str, usize); 13] = [
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
];

/// Columns that are text, and so start at the left.
const LEFT: [&str; 4] = ["model", "backend", "dtype", "simd"];

/// The line of names and the line below it.
pub fn head() -> String {
    let names = line(COLUMNS.map(|(name, _)| name.to_string()));
    let rules = COLUMNS.iter().map(|(name, width)| {
        if LEFT.contains(name) {
            format!(" {} |", "-".repeat(*width))
        } else {
            format!(" {}: |", "-".repeat(width - 1))
        }
    });
    format!("{names}|{}\n", rules.collect::<String>())
}

/// One result.
pub fn row(facts: &Facts, threads: usize, case: Case, measured: &Measured) -> String {
    let ts = samples_ts(case, measured);
    let reached = measured.reached(case.decodes());
    let achieved = if case.decodes() {
        format!("{reached:.2} GB/s")
    } else {
        format!("{reached:.4} TFLOP/s")
    };
    line([
        facts.model_type.clone(),
        binary(facts.model_size),
        decimal(facts.model_n_params),
        "CPU".to_string(),
        threads.to_string(),
        facts.dtype.name().to_string(),
        facts.simd.to_string(),
        case.to_string(),
        format!("{:.2} ± {:.2}", mean(&ts), deviation(&ts)),
        format!("{:.2}", median(&ts)),
        format!("{:.3}", measured.median_ns() / 1e6 / case.tokens() as f64),
        achieved,
        format!("{:.1} %", 100.0 * reached / measured.limit()),
    ])
}

fn line(cells: [String; COLUMNS.len()]) -> String {
    let cells = cells.iter().zip(COLUMNS).map(|(cell, (name, width))| {
        if LEFT.contains(&name) {
            format!(" {cell:<width$} |")
        } else {
            format!(" {cell:>width$} |")
        }
    });
    format!("|{}\n", cells.collect::<String>())
}
