//! The outcome of one part of the run, as lines and as JSON.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use serde_json::{Value, json};

/// What one part did. Whatever did not run is counted under its reason.
#[derive(Debug, Default)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Checks that passed.
    pub done: usize,
    /// Checks that failed, each with what was wrong.
    pub failures: Vec<String>,
    /// Checks that did not run, counted by reason.
    pub not_run: BTreeMap<String, usize>,
    /// A table of its own.
    pub table: String,
    /// Its figures.
    pub figures: Vec<Value>,
}

impl Part {
    /// An empty one.
    pub fn new(name: impl Into<String>) -> Part {
        Part {
            name: name.into(),
            ..Part::default()
        }
    }

    /// Counts a check by its outcome.
    pub fn count(&mut self, name: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.done += 1,
            Err(what) => self.failures.push(format!("{name}: {what}")),
        }
    }

    /// Counts a check that cannot run here.
    pub fn skip(&mut self, reason: impl Into<String>) {
        *self.not_run.entry(reason.into()).or_default() += 1;
    }

    /// The whole part: where it could not go on, what it had is kept, and why it stopped is a failure.
    pub fn ended(mut self, outcome: Result<(), impl Display>) -> Part {
        if let Err(error) = outcome {
            self.failures.push(format!("stopped: {error}"));
        }
        self
    }

    /// Whether something ran, or its absence was said, and nothing failed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.done + self.not_run.len() > 0
    }

    /// Its lines.
    pub fn text(&self) -> String {
        let not_run: usize = self.not_run.values().sum();
        let mut text = format!("\n== {}\n{}", self.name, self.table);
        let (done, failed) = (self.done, self.failures.len());
        let _ = writeln!(text, "{done} passed, {failed} failed, {not_run} not run");
        for (reason, count) in &self.not_run {
            let _ = writeln!(text, "  not run: {count}: {reason}");
        }
        for failure in &self.failures {
            let _ = writeln!(text, "  FAILED: {failure}");
        }
        text
    }

    /// The same for a program.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "passed": self.done,
            "failed": self.failures,
            "not_run": self.not_run,
            "figures": self.figures,
        })
    }
}
