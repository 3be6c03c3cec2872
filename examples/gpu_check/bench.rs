//! Times of every kernel at decode and prefill sizes, cold and warm, in GB/s and percent of a copy of the same run.

use std::fmt::Write;

use half::{bf16, f16};
use qwarp::backend::gpu::kernels::Kernels;
use qwarp::backend::gpu::launch::MatrixType;
use qwarp::driver::Driver;
use serde_json::{Value, json};

use super::Result;
use super::devices::Devices;
use super::gpu_bench::{
    Buffers, Flush, Model, Op, QUICK, REAL, Shape, Stats, cold, copy, rows, warm,
};
use super::part::Part;

/// How long and how much.
struct Extent {
    models: &'static [Model],
    repetitions: usize,
    copied_bytes: usize,
    /// More than the L2 cache of any card.
    flushed_bytes: usize,
}

const FULL: Extent = Extent {
    models: &REAL,
    repetitions: 200,
    copied_bytes: 512 << 20,
    flushed_bytes: 512 << 20,
};

/// Enough to see that everything runs; its times say nothing.
const SMALL: Extent = Extent {
    models: &QUICK,
    repetitions: 2,
    copied_bytes: 10_000,
    flushed_bytes: 4096,
};

/// Each device. The emulator's times are the host's: they are not shown.
pub fn run(devices: &Devices, quick: bool) -> Result<Vec<Part>> {
    let extent = if quick || !devices.hardware {
        SMALL
    } else {
        FULL
    };
    let each = devices.drivers.iter().map(|driver| -> Result<Part> {
        let mut table = Table::new(driver.as_ref(), &extent, devices.hardware)?;
        table.all::<f16>()?;
        if driver.facts().target.has_bf16() {
            table.all::<bf16>()?;
        }
        Ok(table.part)
    });
    each.collect()
}

struct Table<'a> {
    driver: &'a dyn Driver,
    kernels: Kernels,
    extent: &'a Extent,
    shown: bool,
    /// GB/s of the copy.
    copy: f64,
    part: Part,
}

impl<'a> Table<'a> {
    fn new(driver: &'a dyn Driver, extent: &'a Extent, shown: bool) -> Result<Table<'a>> {
        let buffers = Buffers::new(driver);
        let work = copy(driver, &buffers, extent.copied_bytes)?;
        let flush = Flush::new(&buffers, extent.flushed_bytes)?;
        let stats = cold(driver, &work, &flush, extent.repetitions)?;
        let copy = stats.gigabytes_per_second(work.bytes);
        let target = driver.facts().target;
        let mut part = Part::new(format!("kernel times, {target}"));
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
            kernels: Kernels::load(driver)?,
            extent,
            shown,
            copy,
            part,
        })
    }

    /// Every op with matrix inputs of type T.
    fn all<T: MatrixType>(&mut self) -> Result<()> {
        for (model, op) in self
            .extent
            .models
            .iter()
            .flat_map(|m| Op::ALL.map(|op| (m, op)))
        {
            // It knows no matrix type.
            if op == Op::Argmax && T::DTYPE != <f16 as MatrixType>::DTYPE {
                continue;
            }
            for &rows in rows(op, model) {
                let buffers = Buffers::new(self.driver);
                let flush = Flush::new(&buffers, self.extent.flushed_bytes)?;
                let shape = Shape { op, model, rows };
                let work = shape.build::<T>(&buffers, &self.kernels)?;
                let cold = cold(self.driver, &work, &flush, self.extent.repetitions)?;
                let warm = warm(self.driver, &work, self.extent.repetitions)?;
                self.part.count("", Ok(()));
                if self.shown {
                    self.row(
                        &[&op.to_string(), &T::DTYPE.to_string(), model.name],
                        rows,
                        work.bytes,
                        cold,
                        warm,
                    );
                }
            }
        }
        Ok(())
    }

    fn row(&mut self, names: &[&str; 3], rows: usize, bytes: usize, cold: Stats, warm: Stats) {
        let [op, dtype, model] = names;
        let (fast, cached) = (
            cold.gigabytes_per_second(bytes),
            warm.gigabytes_per_second(bytes),
        );
        let percent = fast / self.copy * 100.0;
        let spread = format!("{:.2}-{:.2}", cold.low, cold.high);
        let _ = writeln!(
            self.part.table,
            "{op:<17} {dtype:<5} {model:<5} {rows:>5} {bytes:>11} {:>9.2} {:>9.2} {spread:>19} {fast:>8.0} {percent:>7.1} {:>9.2} {cached:>8.0}",
            cold.median, cold.least, warm.median
        );
        self.part.figures.push(json!({
            "kernel": op, "type": dtype, "model": model, "rows": rows, "bytes": bytes,
            "cold_us": stats(&cold), "cold_gb_s": fast, "percent_of_copy": percent,
            "warm_us": stats(&warm), "warm_gb_s": cached,
        }));
    }
}

fn stats(stats: &Stats) -> Value {
    json!({
        "median": stats.median, "least": stats.least, "low": stats.low, "high": stats.high,
        "repetitions": stats.repetitions,
    })
}
