//! Programs that stand beside this one, each run for a bounded time.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::Result;
use super::sanitizer::{Ended, last_lines, within};

/// Where a program looks for its tokenizer cache.
const CACHE: &str = "QWARP_CACHE_DIR";

/// A folder of programs, and one that they may fill.
pub struct Programs {
    folder: PathBuf,
    scratch: PathBuf,
}

impl Programs {
    /// Those of `folder`, which keep what they keep in `scratch`.
    pub fn new(folder: &Path, scratch: &Path) -> Programs {
        Programs {
            folder: folder.to_path_buf(),
            scratch: scratch.to_path_buf(),
        }
    }

    fn command<S: AsRef<OsStr>>(&self, seconds: u32, name: &str, arguments: &[S]) -> Command {
        let mut command = within(seconds, self.folder.join(name));
        command.args(arguments).env(CACHE, &self.scratch);
        command
    }

    /// What `name` prints in at most so many seconds; it must succeed.
    pub fn output<S: AsRef<OsStr>>(
        &self,
        seconds: u32,
        name: &str,
        arguments: &[S],
    ) -> Result<String> {
        let output = self.command(seconds, name, arguments).output()?;
        match Ended::of(&output) {
            Ended::Code(0) => Ok(String::from_utf8(output.stdout)?),
            other => Err(format!("{name}: {other}\n{}", last_lines(&output)).into()),
        }
    }

    /// The JSON that it prints.
    pub fn json<S: AsRef<OsStr>>(
        &self,
        seconds: u32,
        name: &str,
        arguments: &[S],
    ) -> Result<Value> {
        let text = self.output(seconds, name, arguments)?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("{name}: no JSON: {error}"))?)
    }

    /// Milliseconds from the start of `name` until the first byte that it prints.
    pub fn first_byte_ms<S: AsRef<OsStr>>(
        &self,
        seconds: u32,
        name: &str,
        arguments: &[S],
    ) -> Result<f64> {
        let mut command = self.command(seconds, name, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn()?;
        let mut output = child.stdout.take().ok_or("no standard output")?;
        let first = output.read_exact(&mut [0]);
        let taken_ms = started.elapsed().as_secs_f64() * 1e3;
        let rest = output.read_to_end(&mut Vec::new());
        let status = child.wait()?;
        if !status.success() {
            return Err(format!("{name}: {status}").into());
        }
        first.and(rest)?;
        Ok(taken_ms)
    }
}
