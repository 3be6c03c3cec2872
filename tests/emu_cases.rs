//! The emulator against PTX cases, one behaviour a file: `tests/emu_pass` must give the expected bytes, `tests/emu_fail` the
//! expected report. `BLESS=1` rewrites reports; the kind and lines that a case's header states are held even then.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/ptx_case.rs"]
mod ptx_case;

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use ptx_case::{Output, PtxCase};
use qwarp::driver::DriverError;
use qwarp::emu::{EmuOptions, Emulator, Place, Report};

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
const LEAST_PASS: usize = 150;
const LEAST_FAIL: usize = 60;

/// Warp instructions of a CTA in a fail case: an endless loop is to be found soon.
const FAIL_BUDGET: u64 = 1 << 16;

type Check = fn(&PtxCase, &Path) -> Result<(), String>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let pass = cases("emu_pass");
    let fail = [cases("emu_fail"), cases("emu_fail/cu")].concat();
    let (passes, fails) = (pass.len(), fail.len());
    let mut trials = trials_of("pass", pass, passes_here);
    trials.extend(trials_of("fail", fail, fails_here));
    trials.push(Trial::test("counts", move || {
        let enough = passes >= LEAST_PASS && fails >= LEAST_FAIL;
        let text = format!("{passes} pass and {fails} fail cases");
        enough.then_some(()).ok_or(Failed::from(text))
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The `.ptx` files of a folder, sorted.
fn cases(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(TESTS).join(folder)).expect(folder);
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "ptx"))
        .collect();
    paths.sort();
    paths
}

/// A test a file.
fn trials_of(group: &str, paths: Vec<PathBuf>, check: Check) -> Vec<Trial> {
    let one = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Trial::test(format!("{group}/{name}"), move || {
            let text = fs::read_to_string(&path)?;
            let case = PtxCase::parse(&name, &text)?;
            check(&case, &path.with_extension("expect")).map_err(Failed::from)
        })
    };
    paths.into_iter().map(one).collect()
}

fn emulator(case: &PtxCase, host_threads: usize, checks: bool) -> Emulator {
    Emulator::new(EmuOptions {
        target: case.target,
        host_threads,
        checks,
        counters: false,
    })
}

/// The expected outputs, whatever the number of host threads, with checks and without, and in the other order.
fn passes_here(case: &PtxCase, expect: &Path) -> Result<(), String> {
    let expect = fs::read_to_string(expect).map_err(|error| format!("expected bytes: {error}"))?;
    let mut first: Option<Vec<Output>> = None;
    let orders = [
        (1, true, false),
        (2, true, false),
        (1, false, false),
        (2, false, false),
        (2, true, true),
    ];
    for (host_threads, checks, descending) in orders {
        let with = format!("{host_threads} host threads, checks {checks}, descending {descending}");
        let mut device = emulator(case, host_threads, checks);
        if descending {
            device = device.descending();
        }
        let outputs = case.run(&device);
        let outputs = outputs.map_err(|error| format!("{with}: {error}"))?;
        case.compare(&outputs, &expect)
            .map_err(|what| format!("{with}: {what}"))?;
        let first = first.get_or_insert_with(|| outputs.clone());
        if *first != outputs {
            return Err(format!(
                "{with}: other bits than before, both within the bound"
            ));
        }
    }
    Ok(())
}

/// The expected report, or refusal, whatever the number of host threads.
fn fails_here(case: &PtxCase, expect: &Path) -> Result<(), String> {
    let mut texts = Vec::new();
    for host_threads in [1, 2] {
        let emulator = emulator(case, host_threads, true).with_budget(FAIL_BUDGET);
        let error = match case.run(&emulator) {
            Ok(outputs) => {
                let text = ptx_case::render(&outputs);
                return Err(format!(
                    "{host_threads} host threads: nothing found\n{text}"
                ));
            }
            Err(error) => error,
        };
        hold(case, &error)?;
        texts.push(format!("{error}\n"));
    }
    if texts[0] != texts[1] {
        return Err(format!(
            "two host threads report\n{}one\n{}",
            texts[1], texts[0]
        ));
    }
    if std::env::var_os("BLESS").is_some() {
        return fs::write(expect, &texts[0]).map_err(|error| error.to_string());
    }
    let expected =
        fs::read_to_string(expect).map_err(|error| format!("expected report: {error}"))?;
    if expected != texts[0] {
        return Err(format!("found\n{}expected\n{expected}", texts[0]));
    }
    Ok(())
}

/// Holds an error against what the header states.
fn hold(case: &PtxCase, error: &DriverError) -> Result<(), String> {
    match (error, &case.expect, &case.refuse) {
        (DriverError::Finding(report), Some(_), None) => finding(case, report),
        (DriverError::Module { reason, .. }, None, Some(words)) if reason.contains(words) => Ok(()),
        (DriverError::Launch { reason, .. }, None, Some(words)) if reason.contains(words) => Ok(()),
        _ => Err(format!(
            "found\n{error}\nexpected {:?}{:?}",
            case.expect, case.refuse
        )),
    }
}

/// Holds a report against the kind, lines and source of the header.
fn finding(case: &PtxCase, report: &Report) -> Result<(), String> {
    let expect = case.expect.as_ref().ok_or("no finding is expected")?;
    let places: Vec<_> = [Some(&report.place), report.other.as_ref()]
        .into_iter()
        .flatten()
        .collect();
    let stated = |place: &&Place| {
        expect
            .lines
            .iter()
            .any(|range| range.contains(&place.ptx_line))
    };
    let found =
        |range: &RangeInclusive<u32>| places.iter().any(|place| range.contains(&place.ptx_line));
    let lines_right =
        expect.lines.is_empty() || places.iter().all(stated) && expect.lines.iter().all(found);
    let source = |place: &&Place| {
        place
            .source
            .as_ref()
            .map(|(file, line)| format!("{file}:{line}"))
    };
    let sources: BTreeSet<_> = places.iter().filter_map(source).collect();
    let sources_right =
        expect.sources.is_empty() || sources == expect.sources.iter().cloned().collect();
    if report.kind.name() != expect.kind || !lines_right || !sources_right {
        return Err(format!("found\n{report}\nexpected {expect:?}"));
    }
    Ok(())
}
