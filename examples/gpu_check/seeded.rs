//! Seeded defects on hardware, beside the emulator's verdicts: each is one instruction of a kernel changed.
//!
//! A defect may take the GPU's context with it, so on hardware each runs in a process of its own.

use std::fmt::Write;
use std::process::Output;

use qwarp::backend::gpu::kernels::IMAGES;
use qwarp::driver::{Image, Target};
use serde_json::json;

use super::defects::{self, CasesByKernel, Mutant, ON_HARDWARE, Verdict};
use super::devices::Devices;
use super::part::Part;
use super::sanitizer::{DEFECT_SECONDS, Ended, FOUND, TOOLS, last_lines, program, under, within};
use super::{Cli, Result};

/// How long a defect may run by itself.
const PLAIN_SECONDS: u32 = 60;
/// How many are planted.
const DEFECTS: usize = 20;

/// The exit code of a process that ran one defect: its verdict. 1 and 2 are other programs' failures, 101 is a panic.
fn exit_code(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Survived => 0,
        Verdict::Result => 3,
        Verdict::Check(_) => 4,
        Verdict::Refused(_) => 5,
    }
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Survived => "unnoticed",
        Verdict::Result => "wrong result",
        Verdict::Check(kind) => kind,
        Verdict::Refused(_) => "refused",
    }
}

/// What a run of one defect in a process of its own says: its name, and whether hardware noticed. An error is no verdict:
/// the defect never ran.
fn said(output: &Output) -> std::result::Result<(&'static str, bool), String> {
    match Ended::of(output) {
        Ended::Code(0) => Ok(("unnoticed", false)),
        Ended::Code(3) => Ok(("wrong result", true)),
        Ended::Code(4) => Ok((ON_HARDWARE, true)),
        Ended::Code(5) => Ok(("refused", false)),
        Ended::Late => Ok(("hang", true)),
        Ended::Crashed => Ok(("crash", true)),
        other => Err(format!("{other}\n{}", last_lines(output))),
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

/// Runs one defect by name on the only device; the exit code is its verdict.
pub fn child(devices: &Devices, name: &str) -> Result<u8> {
    let driver = devices.drivers.last().ok_or("no device")?.as_ref();
    let target = driver.facts().target;
    let images = IMAGES.iter().filter(|image| image.target == target);
    let mut found = images.filter_map(|image| Some((image, defects::named(image.ptx, name)?)));
    let (image, mutant) = found
        .next()
        .ok_or_else(|| format!("no defect is named {name}"))?;
    let cases = CasesByKernel::for_kernel(target, &mutant.kernel)?;
    Ok(exit_code(&cases.verdict(driver, image, &mutant)))
}

/// One defect on the device, where that is hardware.
fn plain(devices: &Devices, name: &str) -> Result<Option<(&'static str, bool)>> {
    if !devices.hardware {
        return Ok(None);
    }
    let mut command = within(PLAIN_SECONDS, std::env::current_exe()?);
    let output = command.args(["--defect", name]).output()?;
    Ok(Some(said(&output)?))
}

/// What the tools said of a defect.
#[derive(Default)]
struct Tools {
    /// Those that found something.
    found: Vec<&'static str>,
    /// Whether each gave an answer.
    complete: bool,
}

impl Tools {
    /// Runs each; one that gives no answer in its time is counted as not run, one that fails as a failure.
    fn run(part: &mut Part, program: &str, name: &str) -> Tools {
        let mut tools = Tools {
            found: Vec::new(),
            complete: true,
        };
        for tool in TOOLS {
            match tools.ask(program, tool, name) {
                Ok(None) => {}
                Ok(Some(late)) => {
                    tools.complete = false;
                    part.skip(late);
                }
                Err(error) => {
                    tools.complete = false;
                    part.failures
                        .push(format!("{name}: no verdict of {tool}: {error}"));
                }
            }
        }
        tools
    }

    /// Why one has no answer, if it has none.
    fn ask(&mut self, program: &str, tool: &'static str, name: &str) -> Result<Option<String>> {
        let output = under(DEFECT_SECONDS, program, tool, &["--defect", name])?;
        match Ended::of(&output) {
            Ended::Code(FOUND) => self.found.push(tool),
            Ended::Late => {
                return Ok(Some(format!(
                    "{tool} over a defect: no answer in {DEFECT_SECONDS} s"
                )));
            }
            _ => drop(said(&output)?),
        }
        Ok(None)
    }
}

/// A row of the table.
struct Row {
    emulated: Verdict,
    /// The run on hardware, where it gave a verdict.
    plain: Option<(&'static str, bool)>,
    tools: Tools,
}

impl Row {
    fn agree(&self) -> &'static str {
        let by_check = matches!(self.emulated, Verdict::Check(_));
        match self.tools.found.is_empty() {
            true if !self.tools.complete => "not run",
            nothing if by_check != nothing => "yes",
            _ => "no",
        }
    }

    /// The emulator may see what hardware hides, never the other way round.
    fn missed(&self) -> bool {
        let by_tool = !self.tools.found.is_empty();
        let noticed = self.plain.is_some_and(|(_, noticed)| noticed);
        (by_tool || noticed) && self.emulated == Verdict::Survived
    }

    fn write(&self, part: &mut Part, mutant: &Mutant) {
        let emulated = name(&self.emulated);
        let plain = self.plain.map_or("not run", |(name, _)| name);
        let found = &self.tools.found;
        let (defect, tools, agree) = (mutant.name(), found.join(" "), self.agree());
        let _ = writeln!(
            part.table,
            "{defect:<44} {emulated:<20} {plain:<14} {tools:<20} {agree}"
        );
        part.figures.push(json!({
            "defect": defect, "before": mutant.before, "after": mutant.after,
            "emulator": emulated, "plain_run": plain, "tools": found, "agree": agree,
        }));
    }
}

/// Every chosen defect, in the emulator, on the device, and under each tool.
pub fn run(devices: &Devices, cli: &Cli) -> Part {
    let Some(target) = devices.drivers.last().map(|driver| driver.facts().target) else {
        return Part::new("seeded defects").ended(Err("no device"));
    };
    let mut part = Part::new(format!("seeded defects of {target}"));
    let cases = match CasesByKernel::new(target) {
        Ok(cases) => cases,
        Err(error) => return part.ended(Err(error)),
    };
    let _ = writeln!(
        part.table,
        "{:<44} {:<20} {:<14} {:<20} agree",
        "defect", "emulator", "plain run", "compute-sanitizer"
    );
    let program = program(cli);
    for (image, mutant) in chosen(target) {
        let name = mutant.name();
        let plain = plain(devices, &name);
        if let Err(error) = &plain {
            part.failures.push(format!("{name}: no verdict: {error}"));
        }
        let tools = match &program {
            Ok(program) => Tools::run(&mut part, program, &name),
            Err(why) => {
                part.skip(format!("under the tools: {why}"));
                Tools::default()
            }
        };
        let row = Row {
            emulated: cases.verdict(&defects::emulator(target), &image, &mutant),
            plain: plain.unwrap_or_default(),
            tools,
        };
        row.write(&mut part, &mutant);
        let outcome = (!row.missed()).then_some(());
        part.count(
            &name,
            outcome.ok_or("seen on hardware, not by the emulator".to_string()),
        );
    }
    part
}
