//! The same model in HF transformers on the same device, by `tools/gpu_check_hf.py`: its logits, its compiled static-cache
//! mode, and the peak of a dense product.

use std::fmt::Write;

use serde_json::{Value, json};

use super::super::sanitizer::{Ended, last_lines, within};
use super::super::tiny::Held;
use super::own::{LOGITS, Speeds};
use super::{Cli, Part, Result, Subject, display, number};

/// How long the logits may take: the model is loaded twice.
const LOGITS_SECONDS: u32 = 300;
/// How long the times may take: the model is compiled.
const SPEED_SECONDS: u32 = 480;
/// The exit code of a script that has nothing to run on.
const UNAVAILABLE: i32 = 3;
/// The exit codes of `timeout` for a program that does not start.
const NO_PROGRAM: [i32; 2] = [126, 127];

/// What became of a run of the script.
enum Said {
    Report(Value),
    /// Why there is none, which is no failure.
    NotRun(String),
}

/// Logits, and on a GPU the times.
pub fn run(subject: &Subject, cli: &Cli, speeds: Option<Speeds>, part: &mut Part) -> Result<()> {
    let path = subject.path(LOGITS);
    let file = display(&path);
    if !path.exists() {
        part.skip("there are no logits of ours");
        return Ok(());
    }
    let arguments = ["logits", "--logits", &file];
    match ask(subject, cli, LOGITS_SECONDS, &arguments)? {
        Said::Report(report) => logits(part, report)?,
        Said::NotRun(why) => {
            part.skip(format!("logits: {why}"));
        }
    }
    if !subject.hardware {
        part.skip("speed: times need a GPU");
        return Ok(());
    }
    let Some(speeds) = speeds else {
        part.skip("speed: there are no times of ours");
        return Ok(());
    };
    let size = subject.size;
    let words = [
        ("--prompt", size.prompt),
        ("--tokens", size.tokens),
        ("--prefill", size.prefill),
        ("--matmul", size.matmul),
        ("--repetitions", size.repetitions),
    ];
    let words = words.map(|(flag, value)| [flag.to_string(), value.to_string()]);
    let mut arguments = vec!["speed"];
    arguments.extend(words.iter().flatten().map(String::as_str));
    match ask(subject, cli, SPEED_SECONDS, &arguments)? {
        Said::Report(report) => speed(subject, part, report, &speeds)?,
        Said::NotRun(why) => {
            part.skip(format!("speed: {why}"));
        }
    }
    Ok(())
}

/// Runs the script. One that gives no answer in its time is not run, one that fails is a failure.
fn ask(subject: &Subject, cli: &Cli, seconds: u32, arguments: &[&str]) -> Result<Said> {
    let mut command = within(seconds, &cli.python);
    command.arg(&cli.script).args(arguments);
    command.arg("--model").arg(&subject.model);
    command.args(["--dtype", subject.dtype.name(), "--device"]);
    command.arg(if subject.hardware { "cuda" } else { "cpu" });
    let output = command.output()?;
    let last = || {
        let said = String::from_utf8_lossy(&output.stderr);
        said.trim().lines().last().unwrap_or_default().to_string()
    };
    Ok(match Ended::of(&output) {
        Ended::Code(0) => {
            let report = serde_json::from_slice(&output.stdout);
            Said::Report(report.map_err(|error| format!("the script: no JSON: {error}"))?)
        }
        Ended::Code(UNAVAILABLE) => Said::NotRun(last()),
        Ended::Code(code) if NO_PROGRAM.contains(&code) => Said::NotRun(last()),
        Ended::Late => Said::NotRun(format!("no answer in {seconds} s")),
        other => return Err(format!("the script: {other}\n{}", last_lines(&output)).into()),
    })
}

/// Holds our logits against f32, beside transformers' own in the same type.
fn logits(part: &mut Part, report: Value) -> Result<()> {
    let of = |run: &str, what: &str| number(&report, &format!("/{run}/{what}"));
    let held = Held {
        kl: of("ours", "kl_mean")?,
        theirs: of("transformers", "kl_mean")?,
        near_ties: of("ours", "near_ties")? as usize,
        wrong_top1: of("ours", "wrong_top1")? as usize,
    };
    let _ = writeln!(
        part.table,
        "{:<22} {:>10} {:>10} {:>10}",
        "against f32", "mean KL", "largest", "same top-1"
    );
    for run in ["ours", "transformers"] {
        let (mean, max) = (of(run, "kl_mean")?, of(run, "kl_max")?);
        let same = of(run, "same_top1")?;
        let _ = writeln!(
            part.table,
            "{run:<22} {mean:>10.3e} {max:>10.3e} {same:>10}"
        );
    }
    let positions = number(&report, "/positions")?;
    let _ = writeln!(
        part.table,
        "{positions} positions, {} of them near-ties",
        held.near_ties
    );
    part.count("logits", held.check());
    part.figures
        .push(json!({"what": "logits", "report": report}));
    Ok(())
}

/// Both speeds side by side, and the share of the peak.
fn speed(subject: &Subject, part: &mut Part, report: Value, ours: &Speeds) -> Result<()> {
    let peak = number(&report, "/peak_tflop_per_s")?;
    let flops = subject.flops(subject.size.prefill)?;
    let share = |ms: f64| flops / ms / 1e9 / peak;
    let (whole, nodes) = (share(ours.prefill_ms), share(ours.prefill_nodes_ms));
    let _ = writeln!(
        part.table,
        "prefill: {:.1} % of the {peak:.1} TFLOP/s of a dense product, {:.1} % on the device alone (goal on an H200: 25)",
        100.0 * whole,
        100.0 * nodes,
    );
    let theirs = number(&report, "/decode/ms_per_token").ok();
    let ratio = theirs.map(|theirs| theirs / ours.decode_ms);
    match (theirs, ratio) {
        (Some(theirs), Some(ratio)) => {
            let own = ours.decode_ms;
            let _ = writeln!(
                part.table,
                "decode: {own:.3} ms a token, compiled transformers {theirs:.3}: {ratio:.2} times as fast (goal: 1.5)"
            );
            part.count("compiled decode", Ok(()));
        }
        _ => {
            let why = report["decode_error"].as_str().unwrap_or("no reason given");
            part.skip(format!("compiled decode: {why}"));
        }
    }
    part.count("speed", Ok(()));
    part.figures.push(json!({
        "what": "speed", "report": report, "prefill_share_of_peak": whole,
        "prefill_share_of_peak_on_device": nodes, "goal_on_h200_share": 0.25,
        "times_as_fast_as_compiled_transformers": ratio, "goal_times_as_fast": 1.5,
    }));
    Ok(())
}
