//! What the runs gave: a line each, and all of it as JSON.

use serde_json::{Value, json};

use crate::Cli;
use crate::compare::{Distance, MAX_MEAN_KL};
use crate::run::Outcome;

/// What is run, and the table's head.
pub fn header(cli: &Cli) {
    let checks = if cli.no_checks { "off" } else { "on" };
    println!(
        "{}, prompt {}: {} tokens prefilled, {} decoded; checks {checks}; mean KL to be at most {MAX_MEAN_KL:.0e}",
        cli.model.display(),
        cli.case,
        cli.prefill,
        cli.decode
    );
    println!(
        "{:<11} {:<8} {:>9} {:>9} {:>9} {:>7} {:>9} {:>9}  result",
        "run", "part", "positions", "mean KL", "max KL", "top-1", "near-ties", "s"
    );
}

/// Lines of one run.
pub fn row(outcome: &Outcome) {
    let run = format!("{} {}", outcome.target, outcome.dtype);
    println!("{run:<11} {:<8} {:>57.1}", "load", outcome.load_s);
    for (name, part, seconds) in [
        ("prefill", &outcome.prefill, outcome.prefill_s),
        ("decode", &outcome.decode, outcome.decode_s),
    ] {
        let Distance {
            positions,
            kl_max,
            near_ties,
            same_top1,
            ..
        } = *part;
        if positions == 0 {
            continue;
        }
        let result = if part.passed() { "ok" } else { "OVER" };
        println!(
            "{run:<11} {name:<8} {positions:>9} {:>9.2e} {kl_max:>9.2e} {:>7} {near_ties:>9} {seconds:>9.1}  {result}",
            part.kl_mean(),
            format!("{same_top1}/{positions}"),
        );
    }
    let launches = outcome.launches;
    match &outcome.finding {
        None => println!("{run:<11} 0 findings in {launches} launches"),
        Some(finding) => println!("{run:<11} FINDING in launch {launches}: {finding}"),
    }
}

fn distance(part: &Distance, seconds: f64) -> Value {
    json!({
        "positions": part.positions,
        "kl_mean": part.kl_mean(),
        "kl_max": part.kl_max,
        "same_top1": part.same_top1,
        "near_ties": part.near_ties,
        "wrong_top1": part.wrong_top1,
        "seconds": seconds,
    })
}

/// Everything.
pub fn json(cli: &Cli, outcomes: &[Outcome]) -> Value {
    let run = |outcome: &Outcome| {
        json!({
            "target": outcome.target.to_string(),
            "dtype": outcome.dtype.to_string(),
            "passed": outcome.passed(),
            "findings": usize::from(outcome.finding.is_some()),
            "finding": outcome.finding,
            "launches": outcome.launches,
            "load_seconds": outcome.load_s,
            "prefill": distance(&outcome.prefill, outcome.prefill_s),
            "decode": distance(&outcome.decode, outcome.decode_s),
        })
    };
    json!({
        "model": cli.model,
        "case": cli.case,
        "checks": !cli.no_checks,
        "max_mean_kl": MAX_MEAN_KL,
        "runs": outcomes.iter().map(run).collect::<Vec<_>>(),
    })
}
