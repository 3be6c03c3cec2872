//! The report: each part is printed, and the file written, when the part is complete, so that a GPU that is lost or hangs
//! takes no result with it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::devices::Devices;
use super::part::Part;
use super::{Cli, Result};

/// What is known so far.
pub struct Report<'a> {
    cli: &'a Cli,
    device: Value,
    /// The part of the command line that is running.
    current: String,
    /// Parts of the command line that do not run, and why.
    left_out: BTreeMap<String, &'static str>,
    /// Those that the file had of them.
    kept: Vec<Value>,
    /// Those of this run, each with its name on the command line.
    parts: Vec<(String, Part)>,
    error: Option<String>,
    finished: bool,
}

impl<'a> Report<'a> {
    /// An empty one.
    pub fn new(cli: &'a Cli) -> Report<'a> {
        Report {
            cli,
            device: Value::Null,
            current: String::new(),
            left_out: BTreeMap::new(),
            kept: Vec::new(),
            parts: Vec::new(),
            error: None,
            finished: false,
        }
    }

    /// Names the device.
    pub fn on(&mut self, devices: &Devices) {
        self.device = devices.json();
    }

    /// Notes a part that does not run.
    pub fn leave_out(&mut self, part: String, why: &'static str) {
        self.left_out.insert(part, why);
    }

    /// Takes over what the file has of the parts that are left out, where that was asked for and there is a file. It must be
    /// of this build on this device.
    pub fn keep(&mut self) -> Result<()> {
        let Some(path) = self.cli.json.as_ref().filter(|_| self.cli.keep) else {
            return Ok(());
        };
        let Some(before) = read(path)? else {
            return Ok(());
        };
        let own = [
            ("commit", json!(self.cli.commit)),
            ("device", self.device.clone()),
        ];
        for (what, ours) in own {
            if before[what] != ours {
                let (path, theirs) = (path.display(), &before[what]);
                return Err(
                    format!("--keep: {path} is of {what} {theirs}, this run of {ours}").into(),
                );
            }
        }
        let parts = before["parts"].as_array().into_iter().flatten();
        let left_out = |part: &&Value| {
            let name = part["part"].as_str();
            name.is_some_and(|name| self.left_out.contains_key(name))
        };
        self.kept = parts.filter(left_out).cloned().collect();
        for part in &self.kept {
            if let Some(name) = part["part"].as_str() {
                self.left_out.remove(name);
            }
        }
        Ok(())
    }

    /// What follows is of this part of the command line.
    pub fn begin(&mut self, part: String) {
        self.current = part;
    }

    /// Takes a part that is complete.
    pub fn add(&mut self, part: Part) -> Result<()> {
        print!("{}", part.text());
        self.parts.push((self.current.clone(), part));
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
        let kept = |part: &Value| part["failed"].as_array().is_some_and(Vec::is_empty);
        let own = self.parts.iter().all(|(_, part)| part.passed());
        self.finished && !self.parts.is_empty() && own && self.kept.iter().all(kept)
    }

    fn write(&self) -> Result<()> {
        let Some(path) = &self.cli.json else {
            return Ok(());
        };
        let own = self.parts.iter().map(|(name, part)| {
            let mut value = part.json();
            value["part"] = json!(name);
            value["date"] = json!(self.cli.date);
            value
        });
        let report = json!({
            "date": self.cli.date,
            "commit": self.cli.commit,
            "quick": self.cli.quick,
            "device": self.device,
            "finished": self.finished,
            "passed": self.passed(),
            "error": self.error,
            "left_out": self.left_out,
            "parts": self.kept.iter().cloned().chain(own).collect::<Vec<_>>(),
        });
        let written = std::fs::write(path, format!("{report:#}\n"));
        Ok(written.map_err(|error| format!("{}: {error}", path.display()))?)
    }
}

/// A report that an earlier run wrote, if there is one.
fn read(path: &Path) -> Result<Option<Value>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display()).into()),
    };
    let report = serde_json::from_str(&text);
    Ok(Some(report.map_err(|error| {
        format!("--keep: {}: {error}", path.display())
    })?))
}
