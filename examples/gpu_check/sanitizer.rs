//! compute-sanitizer's four tools over every kernel case: this program, started again under each.

use std::fmt::{Display, Formatter};
use std::process::{Command, Output};

use super::part::Part;
use super::{Cli, DriverName, Result};

/// The tools, by the name that selects them.
pub const TOOLS: [&str; 4] = ["memcheck", "racecheck", "initcheck", "synccheck"];
/// Where the program is looked for: on the path, and where a toolkit puts it.
const PROGRAMS: [&str; 2] = ["compute-sanitizer", "/usr/local/cuda/bin/compute-sanitizer"];
/// What it ends with when it found something; the program's own codes are smaller.
pub const FOUND: i32 = 86;
/// How long a tool may take over all kernel cases: racecheck runs them many times slower.
const TOOL_SECONDS: u32 = 1200;
/// How long it may take over one defect, which may be a kernel that never ends.
pub const DEFECT_SECONDS: u32 = 120;
/// Lines of its output that a failure shows.
const SHOWN: usize = 12;

/// The program, or why no tool runs here.
pub fn program(cli: &Cli) -> std::result::Result<&'static str, String> {
    if cli.driver == DriverName::Emulator {
        return Err("compute-sanitizer needs a GPU".to_string());
    }
    let runs = |name: &&str| {
        let output = Command::new(name).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    let missing = || format!("not installed (looked for {})", PROGRAMS.join(" and "));
    PROGRAMS.into_iter().find(runs).ok_or_else(missing)
}

/// A command that is ended with its children after so many seconds: a defect may make a kernel that never does.
pub fn within(seconds: u32, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", &seconds.to_string()]).arg(program);
    command
}

/// This program with `arguments`, under a tool, for at most so many seconds.
pub fn under(seconds: u32, program: &str, tool: &str, arguments: &[&str]) -> Result<Output> {
    let mut command = within(seconds, program);
    command.args(["--tool", tool, "--error-exitcode", &FOUND.to_string()]);
    command.arg(std::env::current_exe()?).args(arguments);
    Ok(command.output()?)
}

/// Each tool over the kernel cases.
pub fn tools(cli: &Cli) -> Part {
    let mut part = Part::new("compute-sanitizer over the kernel cases");
    let program = match program(cli) {
        Ok(program) => program,
        Err(why) => {
            for tool in TOOLS {
                part.skip(format!("{tool}: {why}"));
            }
            return part;
        }
    };
    for tool in TOOLS {
        let mut arguments = vec!["--only", "kernels"];
        arguments.extend(cli.quick.then_some("--quick"));
        let output = under(TOOL_SECONDS, program, tool, &arguments);
        let outcome = output.map_err(|error| error.to_string());
        part.count(tool, outcome.and_then(|output| clean(&output)));
    }
    part
}

/// What a run over the kernel cases must be.
fn clean(output: &Output) -> std::result::Result<(), String> {
    match Ended::of(output) {
        Ended::Code(0) => Ok(()),
        Ended::Code(FOUND) => Err(format!("it found something\n{}", last_lines(output))),
        other => Err(format!("{other}\n{}", last_lines(output))),
    }
}

/// How a process that was started by [`within`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Code(i32),
    /// It was ended, because its time was over.
    Late,
    /// By a signal of its own.
    Crashed,
}

impl Ended {
    /// From the codes of `timeout`, which passes on the process's own.
    pub fn of(output: &Output) -> Ended {
        match output.status.code() {
            Some(124 | 137) => Ended::Late,
            Some(128..) | None => Ended::Crashed,
            Some(code) => Ended::Code(code),
        }
    }
}

impl Display for Ended {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Code(code) => write!(f, "exit code {code}"),
            Ended::Late => write!(f, "ended, because its time was over"),
            Ended::Crashed => write!(f, "ended by a signal"),
        }
    }
}

/// The end of what a program said.
pub fn last_lines(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
