//! A process that runs every n-th input of one parser, and says on its standard output what went wrong.
//!
//! A panic or an over-allocation is a line and the run goes on. A hang or a crash ends the process; the place it had
//! reached stands in a file, from which the parent goes on.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::formats::Format;
use crate::memory::peak_of;
use crate::mutate::{Seed, mutate};
use crate::rng::Rng;

/// The exit code after a hang.
pub const HUNG: i32 = 86;
/// Bytes that any input may take, besides a multiple of its own.
const FREE_BYTES: usize = 64 << 20;

/// The input that is running, or `IDLE`.
static CURRENT: AtomicU64 = AtomicU64::new(IDLE);
const IDLE: u64 = u64::MAX;
static PANICS: AtomicU64 = AtomicU64::new(0);
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// What a worker runs.
pub struct Share {
    /// The seed of the whole run.
    pub seed: u64,
    /// The first input.
    pub from: u64,
    /// Inputs below this.
    pub to: u64,
    /// How far apart its inputs are.
    pub step: u64,
    /// The longest time that one input may take.
    pub hang: Duration,
    /// Where the number of the running input is written.
    pub place: PathBuf,
}

/// What came of it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Inputs run.
    pub inputs: u64,
    /// Inputs that the parser took.
    pub accepted: u64,
    /// Most bytes that one input had allocated.
    pub peak: usize,
}

/// Input `index` of `format`.
pub fn input(format: &Format, seeds: &[Seed], seed: u64, index: u64) -> Vec<u8> {
    let hash = |sum: u64, byte: u8| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
    let parser = format.name.bytes().fold(0, hash);
    mutate(seeds, &format.words, &mut Rng::new(seed, parser, index))
}

/// What one input did wrong, if anything, and whether it was accepted.
pub struct Outcome {
    /// Whether the parser took it.
    pub accepted: bool,
    /// Most bytes allocated.
    pub peak: usize,
    /// The fault.
    pub fault: Option<String>,
}

/// Gives `bytes` to the parser.
pub fn run_one(format: &Format, bytes: &[u8]) -> Outcome {
    let panics = PANICS.load(Ordering::Relaxed);
    let read = || catch_unwind(AssertUnwindSafe(|| (format.read)(bytes).is_ok()));
    let (accepted, peak) = peak_of(read);
    let allowed = bytes.len() * format.factor + FREE_BYTES;
    // Counted by the hook: a panic on a thread of the parser's own does not come out of the call.
    let fault = if PANICS.load(Ordering::Relaxed) != panics {
        let message = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner);
        Some(format!("panic: {message}"))
    } else if peak > allowed {
        Some(format!(
            "over-allocation: {peak} bytes for an input of {}, allowed {allowed}",
            bytes.len()
        ))
    } else {
        None
    };
    Outcome {
        accepted: accepted.unwrap_or(false),
        peak,
        fault,
    }
}

/// Counts panics and keeps the last one's message instead of printing it. One of the harness itself is printed.
pub fn watch_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if CURRENT.load(Ordering::Relaxed) == IDLE {
            print(info);
        }
        PANICS.fetch_add(1, Ordering::Relaxed);
        let mut last = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner);
        *last = info.to_string().replace('\n', " ");
    }));
}

/// Ends the process when one input runs for longer than `limit`.
fn watch_time(limit: Duration) {
    std::thread::spawn(move || {
        let ticks = 20;
        let (mut seen, mut times) = (IDLE, 0);
        loop {
            std::thread::sleep(limit / ticks);
            let now = CURRENT.load(Ordering::Relaxed);
            times = if now == seen && now != IDLE {
                times + 1
            } else {
                0
            };
            seen = now;
            if times > ticks {
                std::process::exit(HUNG);
            }
        }
    });
}

/// Runs the share; `report` gets the index and the fault of each input that has one.
pub fn run(
    format: &Format,
    share: &Share,
    mut report: impl FnMut(u64, &str),
) -> std::io::Result<Tally> {
    let seeds = (format.seeds)();
    let place = File::create(&share.place)?;
    watch_panics();
    watch_time(share.hang);
    let mut tally = Tally::default();
    let mut index = share.from;
    while index < share.to {
        let bytes = input(format, &seeds, share.seed, index);
        place.write_at(&index.to_le_bytes(), 0)?;
        CURRENT.store(index, Ordering::Relaxed);
        let outcome = run_one(format, &bytes);
        CURRENT.store(IDLE, Ordering::Relaxed);
        tally.inputs += 1;
        tally.accepted += u64::from(outcome.accepted);
        tally.peak = tally.peak.max(outcome.peak);
        if let Some(fault) = outcome.fault {
            report(index, &fault);
        }
        index += share.step;
    }
    Ok(tally)
}
