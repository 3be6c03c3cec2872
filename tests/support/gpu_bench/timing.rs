//! Times by events on the device: with the caches flushed before each launch, and warm, many in a row.

use qwarp::driver::{DevicePtr, Driver, Result};

use super::super::gpu_cases::{Device, Work};

/// Times of one launch in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
    pub median: f64,
    /// Of all repetitions.
    pub sum: f64,
    pub least: f64,
    /// A tenth of the times are below this.
    pub low: f64,
    /// A tenth of the times are above this.
    pub high: f64,
    pub repetitions: usize,
}

impl Stats {
    /// Of at least one time.
    pub fn of(mut times: Vec<f64>) -> Stats {
        times.sort_by(f64::total_cmp);
        let last = times.len().saturating_sub(1);
        let at = |share: f64| times.get((last as f64 * share).round() as usize);
        let at = |share| at(share).copied().unwrap_or(f64::NAN);
        Stats {
            median: at(0.5),
            sum: times.iter().sum(),
            least: at(0.0),
            low: at(0.1),
            high: at(0.9),
            repetitions: times.len(),
        }
    }

    /// Bytes moved in the median time, in GB/s.
    pub fn gigabytes_per_second(&self, bytes: usize) -> f64 {
        bytes as f64 / self.median / 1e3
    }
}

/// A buffer larger than any L2 cache: writing it leaves nothing else there.
pub struct Flush {
    at: DevicePtr,
    bytes: usize,
}

impl Flush {
    /// `bytes` of it.
    pub fn new(device: &Device<'_>, bytes: usize) -> Result<Flush> {
        let at = device.alloc(bytes)?;
        Ok(Flush { at, bytes })
    }

    /// Queues the write.
    pub fn run(&self, driver: &dyn Driver) -> Result<()> {
        driver.fill(self.at, 0x5a, self.bytes)
    }
}

/// One launch at a time, each after a flush.
pub fn cold(
    driver: &dyn Driver,
    work: &Work<'_>,
    flush: &Flush,
    repetitions: usize,
) -> Result<Stats> {
    let [start, end] = [driver.event()?, driver.event()?];
    let mut times = Vec::with_capacity(repetitions);
    for _ in 0..repetitions {
        flush.run(driver)?;
        driver.record(start)?;
        for launch in &work.launches {
            driver.launch(launch)?;
        }
        driver.record(end)?;
        times.push(f64::from(driver.elapsed_ms(start, end)?) * 1e3);
    }
    Ok(Stats::of(times))
}

/// A fixed sequence of `in_a_row` launches replayed, its time divided among them: a single one is shorter than an event can
/// tell.
pub fn warm(
    driver: &dyn Driver,
    work: &Work<'_>,
    in_a_row: usize,
    repetitions: usize,
) -> Result<Stats> {
    let row = vec![work.launches.clone(); in_a_row].concat();
    let sequence = driver.sequence(&row)?;
    let [start, end] = [driver.event()?, driver.event()?];
    driver.replay(sequence)?;
    let mut times = Vec::with_capacity(repetitions);
    for _ in 0..repetitions {
        driver.record(start)?;
        driver.replay(sequence)?;
        driver.record(end)?;
        let all = f64::from(driver.elapsed_ms(start, end)?) * 1e3;
        times.push(all / in_a_row as f64);
    }
    Ok(Stats::of(times))
}
