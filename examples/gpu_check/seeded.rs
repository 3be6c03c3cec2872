//! Seeded defects on hardware, beside the emulator's verdicts: each is one instruction of a kernel changed.
//!
//! A defect may take the GPU's context with it, so on hardware each runs in a process of its own.

use std::fmt::Write;

use qwarp::backend::gpu::kernels::{IMAGES, Kernels};
use qwarp::driver::{Driver, DriverError, Image, Target};
use serde_json::json;

use super::defects::{self, Mutant};
use super::devices::{Devices, emulator};
use super::gpu_cases::{self, Failure};
use super::part::Part;
use super::sanitizer::{FOUND, TOOLS, absent, program, under, within};
use super::{Cli, Result, kernel_cases};

/// How long a defect may run by itself.
const PLAIN_SECONDS: u32 = 60;
/// How many are planted.
const DEFECTS: usize = 20;

/// How a defect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Every case passed.
    Unnoticed,
    /// An output was wrong.
    WrongResult,
    /// The driver refused or reported something: the emulator by one of its checks.
    Reported(&'static str),
    /// The module was refused, so no kernel was ever wrong.
    Refused,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Unnoticed => "unnoticed",
            Verdict::WrongResult => "wrong result",
            Verdict::Reported(kind) => kind,
            Verdict::Refused => "refused",
        }
    }

    fn exit_code(self) -> u8 {
        match self {
            Verdict::Unnoticed => 0,
            Verdict::WrongResult => 3,
            Verdict::Reported(_) => 4,
            Verdict::Refused => 5,
        }
    }

    fn from_exit_code(code: Option<i32>) -> Option<Verdict> {
        match code? {
            0 => Some(Verdict::Unnoticed),
            3 => Some(Verdict::WrongResult),
            4 => Some(Verdict::Reported("driver error")),
            5 => Some(Verdict::Refused),
            _ => None,
        }
    }
}

/// Defects of a target's kernels, spread over kernels and kinds, the same each time.
fn chosen(target: Target) -> Vec<(Image<'static>, Mutant)> {
    let images = IMAGES.iter().filter(|image| image.target == target);
    let of = |image: &Image<'static>| {
        let image = *image;
        let mutants = defects::spread(defects::all(image.ptx), 1);
        mutants.into_iter().map(move |mutant| (image, mutant))
    };
    let mut all: Vec<_> = images.flat_map(of).collect();
    all.sort_by_key(|(_, mutant)| (mutant.mutator, mutant.name()));
    let (found, taken) = (all.len(), all.len().min(DEFECTS));
    (0..taken)
        .map(|i| all[(2 * i + 1) * found / (2 * taken)].clone())
        .collect()
}

/// Plants a defect and runs cases of its kernel until one notices.
fn verdict(driver: &dyn Driver, image: &Image<'_>, mutant: &Mutant) -> Verdict {
    let replace =
        |other: &Image<'static>| (other.name == image.name).then(|| mutant.plant(other.ptx));
    let Ok(kernels) = Kernels::load_with(driver, &replace) else {
        return Verdict::Refused;
    };
    for case in kernel_cases::chosen(true) {
        if !case.runs_on(kernels.target()) || !mutant.kernel.starts_with(case.op()) {
            continue;
        }
        match gpu_cases::run(case.as_ref(), driver, &kernels) {
            Ok(_) => {}
            Err(Failure::Wrong(_)) => return Verdict::WrongResult,
            Err(Failure::Driver(DriverError::Finding(report))) => {
                return Verdict::Reported(report.kind.name());
            }
            Err(Failure::Driver(_)) => return Verdict::Reported("driver error"),
        }
    }
    Verdict::Unnoticed
}

/// Runs one defect by name on the only device; the exit code is its verdict.
pub fn child(devices: &Devices, name: &str) -> Result<u8> {
    let driver = devices.drivers.last().ok_or("no device")?.as_ref();
    let found = chosen(driver.facts().target);
    let found = found.iter().find(|(_, mutant)| mutant.name() == name);
    let (image, mutant) = found.ok_or_else(|| format!("no defect is named {name}"))?;
    Ok(verdict(driver, image, mutant).exit_code())
}

/// What the tools said of a defect: the names of those that found something.
fn tools_that_found(name: &str) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    if let Some(program) = program() {
        for tool in TOOLS {
            let code = under(program, tool, &["--defect", name])?.status.code();
            if code == Some(FOUND) {
                found.push(tool);
            }
        }
    }
    Ok(found)
}

/// Every chosen defect, in the emulator, on the device, and under each tool.
pub fn run(devices: &Devices, cli: &Cli) -> Result<Part> {
    let target = devices.drivers.last().ok_or("no device")?.facts().target;
    let mut part = Part::new(format!("seeded defects of {target}"));
    let _ = writeln!(
        part.table,
        "{:<44} {:<20} {:<14} {:<20} agree",
        "defect", "emulator", "plain run", "compute-sanitizer"
    );
    let without_tools = absent(cli);
    for (image, mutant) in chosen(target) {
        let name = mutant.name();
        let emulated = verdict(&emulator(target), &image, &mutant);
        let plain = match devices.hardware {
            true => {
                let mut command = within(PLAIN_SECONDS, std::env::current_exe()?);
                let code = command.args(["--defect", &name]).output()?.status.code();
                Verdict::from_exit_code(code).map(Verdict::name)
            }
            false => Some("not run"),
        };
        let found = match &without_tools {
            None => tools_that_found(&name)?,
            Some(why) => {
                part.skip(format!("under the tools: {why}"));
                Vec::new()
            }
        };
        let by_check = matches!(emulated, Verdict::Reported(_));
        let agree = match without_tools {
            Some(_) => "not run",
            None if by_check != found.is_empty() => "yes",
            None => "no",
        };
        let (shown, tools) = (plain.unwrap_or("crash or hang"), found.join(" "));
        let _ = writeln!(
            part.table,
            "{name:<44} {:<20} {shown:<14} {tools:<20} {agree}",
            emulated.name()
        );
        part.figures.push(json!({
            "defect": name, "before": mutant.before, "after": mutant.after,
            "emulator": emulated.name(), "plain_run": shown, "tools": found, "agree": agree,
        }));
        // The emulator may see what hardware hides, never the other way round.
        let noticed = plain.is_none_or(|p| !["unnoticed", "not run", "refused"].contains(&p));
        let missed = (!found.is_empty() || noticed) && emulated == Verdict::Unnoticed;
        let outcome = (!missed).then_some(());
        part.count(
            &name,
            outcome.ok_or("seen on hardware, not by the emulator".to_string()),
        );
    }
    Ok(part)
}
