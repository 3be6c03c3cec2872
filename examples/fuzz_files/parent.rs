//! Starts the workers, goes on after those that die, and writes the report.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Cli;
use crate::formats::{self, Format};
use crate::worker::{self, HUNG, Share, Tally};

type Failure = Box<dyn std::error::Error>;

/// Faults of one parser after which it is not run any further.
const ENOUGH: usize = 20;

/// What the workers of one parser found.
#[derive(Default)]
struct Report {
    tally: Tally,
    faults: Vec<(u64, String)>,
}

impl Report {
    fn add(&mut self, other: Report) {
        self.tally.inputs += other.tally.inputs;
        self.tally.accepted += other.tally.accepted;
        self.tally.peak = self.tally.peak.max(other.tally.peak);
        self.faults.extend(other.faults);
    }
}

/// Runs the parsers one after the other; true when nothing went wrong.
pub fn run_all(cli: &Cli, chosen: &[&'static Format]) -> Result<bool, Failure> {
    println!("seed {}, {} processes", cli.seed, cli.threads);
    println!(
        "{:<18} {:>10} {:>9} {:>10} {:>9} {:>7}",
        "parser", "inputs", "accepted", "inputs/s", "peak MiB", "faults"
    );
    let mut clean = true;
    let started = Instant::now();
    for format in chosen {
        let (report, time) = run_format(cli, format)?;
        let Tally {
            inputs,
            accepted,
            peak,
        } = report.tally;
        let share = 100.0 * accepted as f64 / inputs.max(1) as f64;
        let rate = inputs as f64 / time.as_secs_f64();
        let mib = peak as f64 / f64::from(1 << 20);
        println!(
            "{:<18} {inputs:>10} {share:>8.1}% {rate:>10.0} {mib:>9.2} {:>7}",
            format.name,
            report.faults.len()
        );
        show_faults(cli, format, &report)?;
        // An input that was left out is no proof of anything.
        clean &= report.faults.is_empty() && inputs == cli.inputs;
    }
    println!("{:.1} s", started.elapsed().as_secs_f64());
    Ok(clean)
}

fn show_faults(cli: &Cli, format: &Format, report: &Report) -> Result<(), Failure> {
    let seeds = (format.seeds)();
    for (index, fault) in report.faults.iter().take(ENOUGH) {
        let path = save(
            cli,
            format,
            *index,
            &worker::input(format, &seeds, cli.seed, *index),
        )?;
        println!("  {fault}");
        println!(
            "  {}: --parser {} --seed {} --replay {index}",
            path.display(),
            format.name,
            cli.seed
        );
    }
    Ok(())
}

/// Checks that every kind of fault is reported as what it is.
pub fn planted(cli: &Cli) -> Result<bool, Failure> {
    let mut all = true;
    for (name, kind) in [
        ("planted-panic", "panic: "),
        ("planted-allocation", "over-allocation: "),
        ("planted-hang", "hang: "),
        ("planted-crash", "crash: "),
    ] {
        let format = formats::named(name).ok_or("a planted parser is missing")?;
        let small = Cli {
            inputs: 300,
            seed: cli.seed,
            parser: Vec::new(),
            threads: cli.threads,
            hang: 1,
            out: cli.out.clone(),
            replay: None,
            planted: false,
            worker_from: None,
        };
        let (report, _) = run_format(&small, format)?;
        let seen = !report.faults.is_empty()
            && report
                .faults
                .iter()
                .all(|(_, fault)| fault.starts_with(kind));
        println!("{name}: {}", if seen { "reported" } else { "NOT REPORTED" });
        all &= seen;
    }
    Ok(all)
}

fn run_format(cli: &Cli, format: &'static Format) -> Result<(Report, Duration), Failure> {
    let started = Instant::now();
    let mut report = Report::default();
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..cli.threads)
            .map(|first| {
                scope.spawn(move || run_share(cli, format, first).map_err(|e| e.to_string()))
            })
            .collect();
        for share in shares {
            let share = share.join().map_err(|_| "a thread of the harness failed")?;
            report.add(share?);
        }
        Ok::<_, Failure>(())
    })?;
    report.faults.sort();
    Ok((report, started.elapsed()))
}

/// Runs the inputs `first`, `first + threads`, ... in one process after the other until all have been run.
fn run_share(cli: &Cli, format: &Format, first: u64) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut from = first;
    while from < cli.inputs && report.faults.len() < ENOUGH {
        let mut child = start(cli, format, from)?;
        let done = listen(&mut child, &mut report)?;
        let status = child.wait()?;
        if done {
            break;
        }
        let place = std::fs::read(place(cli, format, first))?;
        let index = u64::from_le_bytes(
            place
                .try_into()
                .map_err(|_| "a worker ended before its first input")?,
        );
        let fault = match status.code() {
            Some(HUNG) => format!("hang: more than {} s", cli.hang),
            _ => format!("crash: {status}"),
        };
        report.faults.push((index, fault));
        from = index + cli.threads;
    }
    Ok(report)
}

fn start(cli: &Cli, format: &Format, from: u64) -> Result<Child, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--parser", format.name])
        .arg("--out")
        .arg(&cli.out);
    for (flag, value) in [
        ("--inputs", cli.inputs),
        ("--seed", cli.seed),
        ("--threads", cli.threads),
        ("--hang", cli.hang),
        ("--worker-from", from),
    ] {
        command.arg(flag).arg(value.to_string());
    }
    Ok(command.stdout(Stdio::piped()).spawn()?)
}

/// Reads what a worker says; true when it came to its end.
fn listen(child: &mut Child, report: &mut Report) -> Result<bool, Failure> {
    let stdout = child.stdout.take().ok_or("a worker has no output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ');
        let mut next = || words.next().unwrap_or_default();
        match (next(), next(), next()) {
            ("fault", index, fault) => report.faults.push((index.parse()?, fault.to_string())),
            ("done", inputs, rest) => {
                let (accepted, peak) = rest.split_once(' ').ok_or("a worker's last line is cut")?;
                report.add(Report {
                    tally: Tally {
                        inputs: inputs.parse()?,
                        accepted: accepted.parse()?,
                        peak: peak.parse()?,
                    },
                    faults: Vec::new(),
                });
                return Ok(true);
            }
            _ => return Err(format!("a worker said: {line}").into()),
        }
    }
    Ok(false)
}

/// Is a worker: runs the share that begins at `from`.
pub fn work(cli: &Cli, format: &Format, from: u64) -> Result<(), Failure> {
    let share = Share {
        seed: cli.seed,
        from,
        to: cli.inputs,
        step: cli.threads,
        hang: cli.hang(),
        place: place(cli, format, from % cli.threads),
    };
    let mut faults = 0;
    let tally = worker::run(format, &share, |index, fault| {
        faults += 1;
        // The first ones are enough; a parser that fails on every input would fill the disk.
        if faults <= ENOUGH {
            println!("fault {index} {fault}");
        }
    })?;
    println!("done {} {} {}", tally.inputs, tally.accepted, tally.peak);
    Ok(())
}

/// The file with the number of the input that a worker is at.
fn place(cli: &Cli, format: &Format, first: u64) -> PathBuf {
    cli.out.join(format!("{}.{first}.at", format.name))
}

/// Writes an input out and gives its path.
pub fn save(cli: &Cli, format: &Format, index: u64, bytes: &[u8]) -> std::io::Result<PathBuf> {
    let path: &Path = &cli.out;
    let path = path.join(format!("{}-seed{}-{index}", format.name, cli.seed));
    std::fs::write(&path, bytes)?;
    Ok(path)
}
