//! The rows of the table: every kernel that a target has, at least once.

use std::collections::BTreeSet;

use qwarp::backend::gpu::kernels::{EntryFacts, Kernels, Resources};
use qwarp::driver::{Card, Driver, DriverError, Geometry, Launch, Occupancy, Target};
use qwarp::emu::counters::Counters;
use qwarp::emu::{EmuOptions, Emulator};
use qwarp::shape::Heads;

use super::super::gpu_cases::{Device, Model, QUICK, REAL, Timed, timed};

/// A decode step of one sequence. The head has an eighth of its rows: its CTAs are all alike.
const fn decode(model: Model) -> Model {
    Model {
        vocab: model.vocab / 8,
        tokens: &[1],
        sequences: 1,
        context: 512,
        ..model
    }
}

/// More tokens: rows of the real length, but few rows of each matrix, since every CTA does the same.
const fn slice(model: Model, tokens: &'static [usize]) -> Model {
    let Heads { query, kv, dim } = model.heads;
    Model {
        inner: model.inner / 20,
        heads: Heads {
            query: query / kv,
            kv: 1,
            dim,
        },
        vocab: model.vocab / 80,
        tokens,
        sequences: 1,
        ..model
    }
}

/// Steps in which everything is counted.
const EVERY: [Model; 1] = [decode(REAL[1])];
/// Steps of which only kernels are counted that none before had, in this order; last the sizes that are only small.
const NEW: [Model; 5] = [
    decode(REAL[0]),
    slice(REAL[1], &[12, 24, 64, 144]),
    slice(REAL[0], &[64]),
    QUICK[0],
    QUICK[1],
];

/// A launch.
#[derive(Debug, Clone)]
pub struct Row {
    pub target: Target,
    pub kernel: &'static str,
    /// The op that it is a part of.
    pub op: &'static str,
    pub dtype: String,
    /// The model whose sizes it has, and the tokens of the step.
    pub model: &'static str,
    pub tokens: usize,
    pub geometry: Geometry,
    pub resources: Option<Resources>,
    /// For each card of the target.
    pub fits: Vec<(&'static str, Occupancy)>,
    pub counters: Counters,
    /// In the op's last launch: the least that it can move, and what all its launches moved.
    pub whole: Option<(u64, u64)>,
}

impl Row {
    /// Whether it is a step of one token.
    pub fn decodes(&self) -> bool {
        self.tokens == 1
    }

    /// What the op moved for each byte that it had to.
    pub fn ratio(&self) -> Option<f64> {
        let (floor, moved) = self.whole?;
        Some(moved as f64 / floor.max(1) as f64)
    }
}

/// Every kernel of every target, the targets side by side.
pub fn measure() -> Result<Vec<Row>, DriverError> {
    let rows: Result<Vec<_>, _> = std::thread::scope(|scope| {
        let targets = Target::ALL.map(|target| scope.spawn(move || of_target(target)));
        let ended = targets.into_iter().map(|rows| match rows.join() {
            Ok(rows) => rows,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect()
    });
    Ok(rows?.concat())
}

fn of_target(target: Target) -> Result<Vec<Row>, DriverError> {
    let mut rows = Vec::new();
    let mut profile = Profile::new(target)?;
    for (models, only_new) in [(&EVERY[..], false), (&NEW[..], true)] {
        for timed in timed(models) {
            if timed.case.runs_on(target) {
                rows.extend(profile.op(&timed, only_new)?);
            }
        }
    }
    Ok(rows)
}

/// The kernels of one target, and those that were launched.
struct Profile {
    device: Emulator,
    kernels: Kernels,
    launched: BTreeSet<&'static str>,
}

impl Profile {
    fn new(target: Target) -> Result<Profile, DriverError> {
        let device = Emulator::new(EmuOptions {
            target,
            host_threads: 1,
            checks: false,
            counters: true,
        });
        Ok(Profile {
            kernels: Kernels::load(&device)?,
            device,
            launched: BTreeSet::new(),
        })
    }

    /// A row for each launch of an op; the floor is the op's, so it stands beside what all its launches moved. With
    /// `only_new`, nothing where each kernel has had its row.
    fn op(&mut self, timed: &Timed, only_new: bool) -> Result<Vec<Row>, DriverError> {
        let device = Device::new(&self.device, &self.kernels);
        let work = timed.case.prepare(&device)?;
        let entry = |launch: &Launch| self.kernels.entry(launch.function);
        let seen =
            |launch: &Launch| entry(launch).is_some_and(|entry| self.launched.contains(entry.name));
        if only_new && work.launches.iter().all(seen) {
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        for launch in &work.launches {
            self.device.launch(launch)?;
            let counted = self.device.counters().pop();
            let (Some(counted), Some(entry)) = (counted, entry(launch)) else {
                return Err(DriverError::Unknown {
                    what: "launch that was counted, function",
                    value: u64::from(launch.function.0),
                });
            };
            rows.push(self.row(timed, entry, launch.geometry, counted.counters));
        }
        let moved = rows.iter().map(|row| row.counters.touched_bytes()).sum();
        if let Some(last) = rows.last_mut() {
            last.whole = Some((work.floor_bytes as u64, moved));
        }
        self.launched.extend(rows.iter().map(|row| row.kernel));
        Ok(rows)
    }

    fn row(
        &self,
        timed: &Timed,
        entry: &'static EntryFacts,
        geometry: Geometry,
        counters: Counters,
    ) -> Row {
        let target = self.kernels.target();
        let resources = entry.resources(target);
        let of = |card: &'static Card| Some((card.name, resources?.occupancy(card, &geometry)));
        Row {
            target,
            kernel: entry.name,
            op: timed.case.op(),
            dtype: timed.case.dtype().to_string(),
            model: timed.model,
            tokens: timed.rows,
            geometry,
            resources,
            fits: Card::of(target).filter_map(of).collect(),
            counters,
            whole: None,
        }
    }
}
