//! What each kernel uses and moves on each target: registers and occupancy by ptxas, traffic by the emulator's counters. No
//! figure is a time, so the table is the same on every machine that has the same compilers.

use std::collections::BTreeSet;
use std::fmt::Write;

use qwarp::backend::gpu::kernels::{ENTRIES, EntryFacts, Kernels, Resources};
use qwarp::driver::{Card, Driver, Launch, Target};
use qwarp::emu::counters::{Class, Counters, Direction, Space};
use qwarp::emu::{EmuOptions, Emulator};
use serde_json::{Value, json};

use super::Result;
use super::gpu_cases::{self, Device, Model, QUICK, REAL, Timed, timed};
use super::part::Part;

/// The sizes: a decode step of one sequence, of the smallest model that the kernels are for.
const MODEL: Model = REAL[0];
/// The same for a quick run, with little of the head, whose rows are nearly all that is to be counted.
const QUICK_MODEL: Model = Model {
    name: "0.5B, small vocabulary",
    vocab: 2048,
    ..MODEL
};
const ROWS: usize = MODEL.tokens[0];

/// Spaces that have traffic worth a line, and their names.
const SPACES: [(Space, &str); 4] = [
    (Space::Global, "global"),
    (Space::Shared, "shared"),
    (Space::Local, "local"),
    (Space::Const, "const"),
];

/// Every kernel of every target.
pub fn run(quick: bool) -> Part {
    let model = if quick { QUICK_MODEL } else { MODEL };
    let mut part = Part::new(format!("kernel profile, {}, {ROWS} row", model.name));
    let done = fill(model, &mut part);
    part.ended(done)
}

fn fill(model: Model, part: &mut Part) -> Result<()> {
    let _ = writeln!(
        part.table,
        "{:<5} {:<24} {:>4} {:>6} {:>6} {:<26} {:>9} {:>9} {:>7} {:>8} {:>9}",
        "",
        "kernel",
        "regs",
        "spill",
        "shared",
        "warps",
        "moved",
        "floor",
        "ratio",
        "sectors",
        "conflicts"
    );
    for target in Target::ALL {
        let mut profile = Profile::new(target)?;
        for timed in timed(&[model]) {
            if timed.rows == ROWS && timed.case.runs_on(target) {
                profile.op(&timed, part, false)?;
            }
        }
        // Kernels for more rows, at sizes where counting takes no time.
        for timed in timed(&QUICK) {
            if timed.case.runs_on(target) {
                profile.op(&timed, part, true)?;
            }
        }
        for entry in ENTRIES.iter().filter(|entry| entry.exists_on(target)) {
            let launched = profile.launched.contains(entry.name);
            let outcome = launched.then_some(());
            let name = format!("{} on {target}", entry.name);
            part.count(&name, outcome.ok_or("no launch is profiled".to_string()));
        }
    }
    Ok(())
}

/// The kernels of one target, and those that were launched.
struct Profile {
    device: Emulator,
    kernels: Kernels,
    launched: BTreeSet<&'static str>,
}

impl Profile {
    fn new(target: Target) -> Result<Profile> {
        let device = Emulator::new(EmuOptions {
            target,
            host_threads: 2,
            checks: false,
            counters: true,
        });
        Ok(Profile {
            kernels: Kernels::load(&device)?,
            device,
            launched: BTreeSet::new(),
        })
    }

    /// A line for each launch of an op; the floor is the op's, so it stands beside what all its launches moved. With
    /// `only_new`, nothing where each kernel has had its line.
    fn op(&mut self, timed: &Timed, part: &mut Part, only_new: bool) -> Result<()> {
        let device = Device::new(&self.device, &self.kernels);
        let work = timed.case.prepare(&device)?;
        let entries = gpu_cases::entries(&self.kernels, &work.launches);
        if only_new && entries.is_subset(&self.launched) {
            return Ok(());
        }
        let mut launches = Vec::new();
        let mut moved = 0;
        for (index, launch) in work.launches.iter().enumerate() {
            self.device.launch(launch)?;
            let counted = self.device.counters().pop().ok_or("nothing was counted")?;
            let counters = counted.counters;
            moved += counters.moved_bytes();
            let last = index + 1 == work.launches.len();
            let floor = last.then_some((work.floor_bytes, moved));
            let entry = self.kernels.entry(launch.function);
            let entry = entry.ok_or("a launch of no kernel")?;
            self.launched.insert(entry.name);
            let fits = occupancies(self.kernels.target(), entry, launch);
            for (card, _) in fits.iter().filter(|(_, [_, _, ctas])| *ctas == 0) {
                let name = entry.name;
                part.failures
                    .push(format!("{name}: a CTA does not fit on {card}"));
            }
            let (line, figures) = self.line(entry, launch, &counters, floor);
            part.table += &line;
            launches.push(figures);
        }
        part.figures.push(json!({
            "op": timed.case.op(),
            "type": timed.case.dtype().to_string(),
            "target": self.kernels.target().to_string(),
            "model": timed.model,
            "rows": timed.rows,
            "floor_bytes": work.floor_bytes,
            "moved_bytes": moved,
            "launches": launches,
        }));
        Ok(())
    }

    fn line(
        &self,
        entry: &EntryFacts,
        launch: &Launch,
        counters: &Counters,
        floor: Option<(usize, u64)>,
    ) -> (String, Value) {
        let target = self.kernels.target();
        let resources = entry.resources(target);
        let shown = |pick: fn(Resources) -> u32| {
            resources.map_or_else(|| "-".to_string(), |r| pick(r).to_string())
        };
        let occupancies = occupancies(target, entry, launch);
        let warps: Vec<String> = occupancies
            .iter()
            .map(|(card, [warps, most, _])| format!("{card} {warps}/{most}"))
            .collect();
        let sectors = counters.traffic(Space::Global, Direction::Read);
        let (floor_bytes, ratio) = floor.map_or_else(Default::default, |(floor, moved)| {
            let ratio = moved as f64 / floor.max(1) as f64;
            (floor.to_string(), format!("{ratio:.3}"))
        });
        let line = format!(
            "{target} {:<24} {:>4} {:>6} {:>6} {:<26} {:>9} {floor_bytes:>9} {ratio:>7} {:>8.2} {:>9}\n",
            entry.name,
            shown(|r| r.registers),
            shown(|r| r.spill_bytes),
            shown(|r| r.shared_bytes),
            warps.join(" "),
            counters.moved_bytes(),
            sectors.units_per_request(),
            counters.bank_conflicts(),
        );
        let figures = json!({
            "kernel": entry.name,
            "grid": launch.geometry.grid,
            "block": launch.geometry.block,
            "dynamic_shared_bytes": launch.geometry.shared_bytes,
            "resources": resources.map(|r| json!({
                "registers": r.registers,
                "shared_bytes": r.shared_bytes,
                "spill_bytes": r.spill_bytes,
            })),
            "occupancy": occupancies.iter().map(|(card, [warps, most, ctas])| json!({
                "card": card, "warps": warps, "most_warps": most, "ctas": ctas,
            })).collect::<Vec<_>>(),
            "moved_bytes": counters.moved_bytes(),
            "bank_conflicts": counters.bank_conflicts(),
            "traffic": traffic(counters),
            "instructions": instructions(counters),
        });
        (line, figures)
    }
}

/// Resident warps, the most that there can be, and resident CTAs, of each card of the target.
fn occupancies(
    target: Target,
    entry: &EntryFacts,
    launch: &Launch,
) -> Vec<(&'static str, [u32; 3])> {
    let of = |card: &'static Card| {
        let fits = entry.resources(target)?.occupancy(card, &launch.geometry);
        Some((card.name, [fits.warps, fits.most_warps, fits.ctas]))
    };
    Card::of(target).filter_map(of).collect()
}

/// What was asked of each space in each direction, where something was.
fn traffic(counters: &Counters) -> Vec<Value> {
    let mut rows = Vec::new();
    for (space, name) in SPACES {
        for (direction, way) in [(Direction::Read, "read"), (Direction::Write, "write")] {
            let traffic = counters.traffic(space, direction);
            if traffic.requests > 0 {
                rows.push(json!({
                    "space": name, "direction": way, "requests": traffic.requests,
                    "bytes": traffic.bytes, "units": traffic.units, "ideal_units": traffic.ideal,
                    "units_per_request": traffic.units_per_request(),
                }));
            }
        }
    }
    rows
}

/// Warp instructions of each class that ran.
fn instructions(counters: &Counters) -> Value {
    let all = Class::ALL.map(|class| (class.name(), counters.instructions(class)));
    let ran = all.into_iter().filter(|(_, count)| count.warps > 0);
    ran.map(|(name, count)| {
        (
            name.to_string(),
            json!({"warps": count.warps, "lanes": count.lanes}),
        )
    })
    .collect::<serde_json::Map<_, _>>()
    .into()
}
