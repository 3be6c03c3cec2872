//! Golden logits of the tiny checkpoints on the device: against transformers' reference, and bit by bit against the emulator.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use qwarp::DType;
use qwarp::driver::{Driver, Target};
use qwarp::emu::{EmuOptions, Emulator};
use serde_json::json;

use super::Result;
use super::devices::Devices;
use super::golden_run::{self, Extent, FULL, differing};
use super::part::Part;
use super::report::Report;
use super::tiny::{self, Held, Tiny};
use super::visits::Counting;

/// Of one checkpoint, enough to see that everything runs.
const SMALL: Extent = Extent {
    prompt: 37,
    decoded: 3,
};

/// What the emulator's logits say of the device's.
struct Beside {
    /// Logits with other bits: approximations may differ.
    others: usize,
    /// The largest difference of two.
    worst: f64,
}

/// Each device: every layout in every type that it has.
pub fn run(devices: &Devices, folder: &Path, quick: bool, report: &mut Report<'_>) -> Result<()> {
    for driver in &devices.drivers {
        let target = driver.facts().target;
        let mut part = Part::new(format!("golden logits, {target}"));
        let outcome = all(devices, driver.as_ref(), folder, quick, &mut part);
        report.add(part.ended(outcome))?;
    }
    Ok(())
}

fn all(
    devices: &Devices,
    driver: &dyn Driver,
    folder: &Path,
    quick: bool,
    part: &mut Part,
) -> Result<()> {
    let mut folders = checkpoints(folder)?;
    let extent = if quick { SMALL } else { FULL };
    folders.truncate(if quick { 1 } else { folders.len() });
    let _ = writeln!(
        part.table,
        "{:<36} {:<5} {:>6} {:>10} {:>10} {:>8} {:>8} {:>9} {:>10}",
        "checkpoint",
        "type",
        "tokens",
        "KL",
        "HF's KL",
        "HF ties",
        "logits",
        "not emu's",
        "largest"
    );
    let target = driver.facts().target;
    for folder in &folders {
        let tiny = Tiny::open(folder);
        for dtype in [DType::F16, DType::Bf16] {
            let name = format!("{} {dtype}", tiny.name());
            if dtype == DType::Bf16 && !target.has_bf16() {
                part.skip(format!("a type that {target} has not"));
                continue;
            }
            match one(devices, driver, &tiny, dtype, extent) {
                Ok((held, beside, logits)) => {
                    row(part, &tiny, dtype, extent, &held, &beside, logits);
                    part.count(&name, held.check());
                    part.count(
                        &format!("{name} beside the emulator"),
                        near(&beside, &tiny, dtype),
                    );
                }
                Err(error) => {
                    part.count(&name, Err(error.to_string()));
                    if !Devices::alive(driver) {
                        return Err("the device was lost".into());
                    }
                }
            }
        }
    }
    Ok(())
}

/// The checkpoints whose heads are as wide as the kernels take them.
fn checkpoints(folder: &Path) -> Result<Vec<PathBuf>> {
    let name = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut folders = tiny::folders_in(folder).map_err(name)?;
    folders.retain(|folder| folder.join("config.json").is_file() && tiny::has_wide_heads(folder));
    match folders.is_empty() {
        true => Err(format!("{}: no checkpoint in it", folder.display()).into()),
        false => Ok(folders),
    }
}

/// One checkpoint in one type: how far from the reference, how far from the emulator, and of how many logits.
fn one(
    devices: &Devices,
    driver: &dyn Driver,
    tiny: &Tiny,
    dtype: DType,
    extent: Extent,
) -> Result<(Held, Beside, usize)> {
    let mut new = || -> Result<Counting> { Ok(Counting::over(devices.again(driver)?)) };
    let logits = golden_run::prefill_and_decode(&mut new, tiny, dtype, extent)?;
    let emulator = Counting::over(Box::new(unchecked(driver.facts().target)));
    let emulated = golden_run::prefill(emulator, tiny, dtype, extent.prompt)?;
    let (others, worst) = differing(&logits, &emulated);
    let count = logits.iter().map(Vec::len).sum();
    Ok((tiny.hold(&logits, dtype), Beside { others, worst }, count))
}

/// Only its logits are wanted; the tests run the same with every check.
fn unchecked(target: Target) -> Emulator {
    Emulator::new(EmuOptions {
        target,
        host_threads: std::thread::available_parallelism().map_or(1, usize::from),
        checks: false,
        counters: false,
    })
}

/// Approximations differ by less than a 16-bit run of transformers is off; anything more is another computation.
fn near(beside: &Beside, tiny: &Tiny, dtype: DType) -> std::result::Result<(), String> {
    let (worst, noise) = (beside.worst, tiny.noise(dtype));
    match worst <= noise {
        true => Ok(()),
        false => Err(format!(
            "{} logits differ, by up to {worst:.3e}; transformers' own are off by up to {noise:.3e}",
            beside.others
        )),
    }
}

/// A line of the table, and its figures.
fn row(
    part: &mut Part,
    tiny: &Tiny,
    dtype: DType,
    extent: Extent,
    held: &Held,
    beside: &Beside,
    logits: usize,
) {
    let (name, tokens, Beside { others, worst }) = (tiny.name(), extent.prompt, beside);
    let dtype_name = dtype.to_string();
    let (kl, theirs, ties) = (held.kl, held.theirs, held.near_ties);
    let _ = writeln!(
        part.table,
        "{name:<36} {dtype_name:<5} {tokens:>6} {kl:>10.3e} {theirs:>10.3e} {ties:>8} {logits:>8} {others:>9} {worst:>10.3e}"
    );
    part.figures.push(json!({
        "checkpoint": name, "type": dtype_name, "tokens": tokens, "decoded": extent.decoded,
        "kl": kl, "transformers_kl": theirs, "near_ties": ties, "wrong_top1": held.wrong_top1,
        "logits": logits, "other_than_emulator": others, "largest_difference": worst,
        "transformers_largest_error": tiny.noise(dtype),
    }));
}
