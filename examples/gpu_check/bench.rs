//! Times of every kernel at decode and prefill sizes, cold and warm, in GB/s and percent of a copy of the same run.

use std::collections::BTreeSet;
use std::fmt::Write;

use qwarp::backend::gpu::kernels::Kernels;
use qwarp::driver::Driver;
use serde_json::{Value, json};

use super::Result;
use super::devices::Devices;
use super::gpu_bench::{Flush, Stats, cold, copy, warm};
use super::gpu_cases::{self, Device, Model, QUICK, REAL, Timed, timed};
use super::part::Part;
use super::report::Report;

/// How long and how much.
struct Extent {
    models: &'static [Model],
    repetitions: usize,
    /// Launches whose time is taken together when warm.
    in_a_row: usize,
    copied_bytes: usize,
    /// More than the L2 cache of any card.
    flushed_bytes: usize,
}

const FULL: Extent = Extent {
    models: &REAL,
    repetitions: 200,
    in_a_row: 20,
    copied_bytes: 512 << 20,
    flushed_bytes: 512 << 20,
};

/// Enough to see that everything runs; its times say nothing.
const SMALL: Extent = Extent {
    models: &QUICK,
    repetitions: 1,
    in_a_row: 2,
    copied_bytes: 10_000,
    flushed_bytes: 4096,
};

/// Each device. The emulator's times are the host's: they are not shown.
pub fn run(devices: &Devices, quick: bool, report: &mut Report<'_>) -> Result<()> {
    let extent = if quick || !devices.hardware {
        SMALL
    } else {
        FULL
    };
    for driver in &devices.drivers {
        let target = driver.facts().target;
        let mut part = Part::new(format!("kernel times, {target}"));
        let outcome = times(driver.as_ref(), &extent, devices.hardware, &mut part);
        report.add(part.ended(outcome))?;
    }
    Ok(())
}

fn times(driver: &dyn Driver, extent: &Extent, shown: bool, part: &mut Part) -> Result<()> {
    let mut table = Table::new(driver, extent, shown, part)?;
    table.all()
}

struct Table<'a> {
    driver: &'a dyn Driver,
    kernels: Kernels,
    extent: &'a Extent,
    shown: bool,
    /// GB/s of the copy.
    copy: f64,
    part: &'a mut Part,
    launched: BTreeSet<&'static str>,
}

impl<'a> Table<'a> {
    fn new(
        driver: &'a dyn Driver,
        extent: &'a Extent,
        shown: bool,
        part: &'a mut Part,
    ) -> Result<Table<'a>> {
        let kernels = Kernels::load(driver)?;
        let device = Device::new(driver, &kernels);
        let work = copy(driver, &device, extent.copied_bytes)?;
        let flush = Flush::new(&device, extent.flushed_bytes)?;
        let stats = cold(driver, &work, &flush, extent.repetitions)?;
        let copy = stats.gigabytes_per_second(work.floor_bytes);
        drop(device);
        if shown {
            part.figures
                .push(json!({"copy_gb_s": copy, "copied_bytes": extent.copied_bytes}));
            let _ = writeln!(
                part.table,
                "copy: {copy:.0} GB/s\n{:<17} {:<5} {:<5} {:>5} {:>11} {:>9} {:>9} {:>19} {:>8} {:>7} {:>9} {:>8}",
                "kernel",
                "type",
                "model",
                "rows",
                "bytes",
                "cold us",
                "least",
                "10-90 %",
                "GB/s",
                "% copy",
                "warm us",
                "GB/s"
            );
        } else {
            part.skip("times need a GPU; the launches ran in the emulator");
        }
        Ok(Table {
            driver,
            kernels,
            extent,
            shown,
            copy,
            part,
            launched: BTreeSet::new(),
        })
    }

    /// Every case that the device has kernels for; where times are not shown, those that launch a kernel for the first time.
    fn all(&mut self) -> Result<()> {
        let target = self.driver.facts().target;
        for timed in timed(self.extent.models) {
            if !timed.case.runs_on(target) {
                continue;
            }
            let device = Device::new(self.driver, &self.kernels);
            let flush = Flush::new(&device, self.extent.flushed_bytes)?;
            let work = timed.case.prepare(&device)?;
            let entries = gpu_cases::entries(&self.kernels, &work.launches);
            if !self.shown && entries.is_subset(&self.launched) {
                continue;
            }
            self.launched.extend(entries);
            let Extent {
                repetitions,
                in_a_row,
                ..
            } = *self.extent;
            let cold = cold(self.driver, &work, &flush, repetitions)?;
            let warm = warm(self.driver, &work, in_a_row, repetitions)?;
            let bytes = work.floor_bytes;
            self.part.count("", Ok(()));
            if self.shown {
                row(self.part, self.copy, &timed, bytes, cold, warm);
            }
        }
        Ok(())
    }
}

/// A line of the table, and its figures.
fn row(part: &mut Part, copy: f64, timed: &Timed, bytes: usize, cold: Stats, warm: Stats) {
    let (op, dtype) = (timed.case.op(), timed.case.dtype().to_string());
    let (model, rows) = (timed.model, timed.rows);
    let (fast, cached) = (
        cold.gigabytes_per_second(bytes),
        warm.gigabytes_per_second(bytes),
    );
    let percent = fast / copy * 100.0;
    let spread = format!("{:.2}-{:.2}", cold.low, cold.high);
    let _ = writeln!(
        part.table,
        "{op:<17} {dtype:<5} {model:<5} {rows:>5} {bytes:>11} {:>9.2} {:>9.2} {spread:>19} {fast:>8.0} {percent:>7.1} {:>9.2} {cached:>8.0}",
        cold.median, cold.least, warm.median
    );
    part.figures.push(json!({
        "kernel": op, "type": dtype, "model": model, "rows": rows, "bytes": bytes,
        "cold_us": stats(&cold), "cold_gb_s": fast, "percent_of_copy": percent,
        "warm_us": stats(&warm), "warm_gb_s": cached,
    }));
}

fn stats(stats: &Stats) -> Value {
    json!({
        "median": stats.median, "least": stats.least, "low": stats.low, "high": stats.high,
        "repetitions": stats.repetitions,
    })
}
