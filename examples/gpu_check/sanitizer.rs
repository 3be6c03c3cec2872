//! compute-sanitizer's four tools over every kernel case: this program, started again under each.

use std::process::{Command, Output};

use super::part::Part;
use super::{Cli, DriverName, Result};

/// The tools, by the name that selects them.
pub const TOOLS: [&str; 4] = ["memcheck", "racecheck", "initcheck", "synccheck"];
/// Where the program is looked for: on the path, and where a toolkit puts it.
const PROGRAMS: [&str; 2] = ["compute-sanitizer", "/usr/local/cuda/bin/compute-sanitizer"];
/// What it ends with when it found something; the program's own codes are smaller.
pub const FOUND: i32 = 86;
/// How long a tool may take: racecheck runs every kernel case many times slower.
const TOOL_SECONDS: u32 = 1200;
/// Lines of its output that a failure shows.
const SHOWN: usize = 12;

/// The program, where it is installed.
pub fn program() -> Option<&'static str> {
    let runs = |name: &&str| {
        let output = Command::new(name).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    PROGRAMS.into_iter().find(runs)
}

/// A command that is ended with its children after so many seconds: a defect may make a kernel that never does.
pub fn within(seconds: u32, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", &seconds.to_string()]).arg(program);
    command
}

/// This program with `arguments`, under a tool.
pub fn under(program: &str, tool: &str, arguments: &[&str]) -> Result<Output> {
    let mut command = within(TOOL_SECONDS, program);
    command.args(["--tool", tool, "--error-exitcode", &FOUND.to_string()]);
    command.arg(std::env::current_exe()?).args(arguments);
    Ok(command.output()?)
}

/// Why no tool runs here, if none does.
pub fn absent(cli: &Cli) -> Option<String> {
    if cli.driver == DriverName::Emulator {
        return Some("compute-sanitizer needs a GPU".to_string());
    }
    let missing = || format!("not installed (looked for {})", PROGRAMS.join(" and "));
    program().is_none().then(missing)
}

/// Each tool over the kernel cases.
pub fn tools(cli: &Cli) -> Result<Part> {
    let mut part = Part::new("compute-sanitizer over the kernel cases");
    let Some(program) = program().filter(|_| absent(cli).is_none()) else {
        let why = absent(cli).unwrap_or_default();
        for tool in TOOLS {
            part.skip(format!("{tool}: {why}"));
        }
        return Ok(part);
    };
    for tool in TOOLS {
        let mut arguments = vec!["--only", "kernels"];
        arguments.extend(cli.quick.then_some("--quick"));
        let output = under(program, tool, &arguments)?;
        let outcome = match output.status.code() {
            Some(0) => Ok(()),
            Some(code) => Err(format!("exit code {code}\n{}", last_lines(&output))),
            None => Err(format!("ended by a signal\n{}", last_lines(&output))),
        };
        part.count(tool, outcome);
    }
    Ok(part)
}

/// The end of what a program said.
fn last_lines(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
