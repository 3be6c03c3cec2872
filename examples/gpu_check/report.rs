//! The report: each part is printed, and the file written, when the part is complete, so that a GPU that is lost or hangs
//! takes no result with it.

use serde_json::{Value, json};

use super::devices::Devices;
use super::part::Part;
use super::{Cli, Result};

/// What is known so far.
pub struct Report<'a> {
    cli: &'a Cli,
    device: Value,
    parts: Vec<Part>,
    error: Option<String>,
    finished: bool,
}

impl<'a> Report<'a> {
    /// An empty one.
    pub fn new(cli: &'a Cli) -> Report<'a> {
        Report {
            cli,
            device: Value::Null,
            parts: Vec::new(),
            error: None,
            finished: false,
        }
    }

    /// Names the device.
    pub fn on(&mut self, devices: &Devices) {
        self.device = devices.json();
    }

    /// Takes a part that is complete.
    pub fn add(&mut self, part: Part) -> Result<()> {
        print!("{}", part.text());
        self.parts.push(part);
        self.write()
    }

    /// Notes what ended the run before its last part.
    pub fn fail(&mut self, error: &str) -> Result<()> {
        self.error = Some(error.to_string());
        self.write()
    }

    /// Prints the verdict; whether everything that ran passed.
    pub fn finish(mut self) -> Result<bool> {
        self.finished = true;
        let passed = self.passed();
        let verdict = if passed { "passed" } else { "FAILED" };
        println!("gpu_check: {verdict}");
        self.write()?;
        Ok(passed)
    }

    fn passed(&self) -> bool {
        self.finished && !self.parts.is_empty() && self.parts.iter().all(Part::passed)
    }

    fn write(&self) -> Result<()> {
        let Some(path) = &self.cli.json else {
            return Ok(());
        };
        let report = json!({
            "date": self.cli.date,
            "commit": self.cli.commit,
            "quick": self.cli.quick,
            "device": self.device,
            "finished": self.finished,
            "passed": self.passed(),
            "error": self.error,
            "parts": self.parts.iter().map(Part::json).collect::<Vec<_>>(),
        });
        let written = std::fs::write(path, format!("{report:#}\n"));
        Ok(written.map_err(|error| format!("{}: {error}", path.display()))?)
    }
}
