//! The device's time on steps, by events in the stream: on one step that is repeated, with and without what draws its
//! tokens, and on those that run.

use super::inputs::Extent;
use super::{GpuBackend, launches, stage_launches};
use crate::backend::observe::StepTimes;
use crate::driver::{Driver, DriverError, EventId, Launch};

/// Events, made when they are first needed and used again.
#[derive(Debug, Default)]
pub struct Events(Vec<EventId>);

impl Events {
    /// The first `count`.
    pub fn first(&mut self, driver: &dyn Driver, count: usize) -> Result<&[EventId], DriverError> {
        while self.0.len() < count {
            self.0.push(driver.event()?);
        }
        Ok(&self.0[..count])
    }
}

/// Steps whose time may wait to be taken: more than a caller keeps in flight, so that taking it waits for nobody.
const IN_FLIGHT: usize = 4;

/// How long the device has been busy with steps, by an event before and one behind the launches of each.
#[derive(Debug)]
pub struct Busy {
    /// The events of a step, and whether it has been queued since they were last looked at.
    steps: [([EventId; 2], bool); IN_FLIGHT],
    next: usize,
    ms: f64,
}

impl Busy {
    /// Of no step so far.
    pub fn new(driver: &dyn Driver) -> Result<Busy, DriverError> {
        let mut steps = [([EventId(0); 2], false); IN_FLIGHT];
        for (events, _) in &mut steps {
            *events = [driver.event()?, driver.event()?];
        }
        Ok(Busy {
            steps,
            next: 0,
            ms: 0.0,
        })
    }

    /// Before a step's launches.
    pub fn begin(&mut self, driver: &dyn Driver) -> Result<(), DriverError> {
        self.count(driver, self.next)?;
        driver.record(self.steps[self.next].0[0])
    }

    /// Behind them.
    pub fn end(&mut self, driver: &dyn Driver) -> Result<(), DriverError> {
        let (events, queued) = &mut self.steps[self.next];
        driver.record(events[1])?;
        *queued = true;
        self.next = (self.next + 1) % IN_FLIGHT;
        Ok(())
    }

    /// Waits for the steps since the last call; their milliseconds.
    pub fn take(&mut self, driver: &dyn Driver) -> Result<f64, DriverError> {
        (0..IN_FLIGHT).try_for_each(|step| self.count(driver, step))?;
        Ok(std::mem::take(&mut self.ms))
    }

    fn count(&mut self, driver: &dyn Driver, step: usize) -> Result<(), DriverError> {
        let ([start, end], queued) = &mut self.steps[step];
        if std::mem::take(queued) {
            self.ms += f64::from(driver.elapsed_ms(*start, *end)?);
        }
        Ok(())
    }
}

/// Queues the same work again and again without waiting in between: the milliseconds from each end to the next. The first
/// time, for which the device may have waited, is not among them.
fn laps(
    driver: &dyn Driver,
    events: &[EventId],
    mut queue: impl FnMut() -> Result<(), DriverError>,
) -> Result<Vec<f64>, DriverError> {
    for event in events {
        queue()?;
        driver.record(*event)?;
    }
    let pairs = events.windows(2);
    pairs
        .map(|pair| Ok(f64::from(driver.elapsed_ms(pair[0], pair[1])?)))
        .collect()
}

impl GpuBackend {
    /// The times of a step that has begun; `fixed` where it is one that is replayed.
    pub(super) fn run_step_timed(
        &mut self,
        extent: Extent,
        fixed: bool,
        repetitions: usize,
    ) -> Result<StepTimes, DriverError> {
        let (driver, program, draws) = (self.memory.driver(), &self.program, &self.draws);
        let events = self.events.first(driver, repetitions.saturating_add(1))?;
        let logits = |extent| stage_launches(program, extent);
        let tokens = |extent| launches(program, draws, extent);
        if fixed {
            let decode = &mut self.decode;
            return Ok(StepTimes {
                logits_ms: laps(driver, events, || {
                    decode.replay_logits(driver, extent, &logits)
                })?,
                tokens_ms: laps(driver, events, || decode.replay(driver, extent, &tokens))?,
            });
        }
        let [logits, tokens] = [logits(extent)?, tokens(extent)?];
        let one_by_one = |launches: &[Launch]| {
            laps(driver, events, || {
                launches.iter().try_for_each(|launch| driver.launch(launch))
            })
        };
        Ok(StepTimes {
            logits_ms: one_by_one(&logits)?,
            tokens_ms: one_by_one(&tokens)?,
        })
    }
}
