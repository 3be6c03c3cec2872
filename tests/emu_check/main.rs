//! The race check against a slow model of it: random accesses and synchronisations, the same verdict at every step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod model;
mod planted;
mod shards;

use model::{LaneAccess, Model, Step};
use qwarp::emu::check::{
    Cells, Clocks, Conflict, Exchange, Finer, Kind, Lanes, Location, Request, Scope, Strength,
};

/// Global memory of the test, and shared memory behind it.
const GLOBAL: u64 = 4096;
const SHARED: u64 = 1 << 20;

/// What synchronisation a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// Barriers of the CTA, syncs of whole warps.
    Whole,
    /// Also of some warps and lanes.
    Partial,
    /// Also atomics and fences.
    Strong,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn mask(&mut self) -> u32 {
        match self.below(4) {
            0 => u32::MAX,
            1 => 1 << self.below(32),
            2 => u32::MAX >> self.below(32),
            _ => self.below(u64::from(u32::MAX)) as u32 | 1,
        }
    }
}

/// The checks under test and the model, in step.
struct Pair {
    random: Random,
    sync: Sync,
    threads: u32,
    clocks: Clocks,
    global: Cells,
    shared: Cells,
    model: Model,
    grain: u32,
    region: u64,
    /// Steps without and with a race.
    counts: [usize; 2],
}

impl Pair {
    fn warps(&self) -> u32 {
        self.threads.div_ceil(32)
    }

    fn exist(&self, warp: u32) -> u32 {
        let lanes = (self.threads - warp * 32).min(32);
        u32::MAX >> (32 - lanes)
    }

    fn any_warp(&mut self) -> u32 {
        let warps = u64::from(self.warps());
        self.random.below(warps) as u32
    }

    /// A synchronisation.
    fn synchronise(&mut self) {
        let warp = self.any_warp();
        let choices = match self.sync {
            Sync::Whole => 2,
            Sync::Partial => 5,
            Sync::Strong => 6,
        };
        let all = u32::MAX >> (32 - self.warps());
        match self.random.below(choices) {
            0 => {
                self.clocks.barrier(0, all);
                self.model.barrier(0, all);
            }
            1 => {
                self.clocks.warp_sync(warp, u32::MAX);
                self.model.warp_sync(warp, u32::MAX);
            }
            2 => {
                let mask = self.random.mask();
                self.clocks.warp_sync(warp, mask);
                self.model.warp_sync(warp, mask);
            }
            3 => {
                let (index, warps) = (self.random.below(3) as u32, self.random.mask() & all);
                if warps != 0 {
                    self.clocks.barrier(index, warps);
                    self.model.barrier(index, warps);
                }
            }
            4 => {
                let index = self.random.below(3) as u32;
                self.clocks.arrive(index, warp);
                self.model.arrive(index, warp);
            }
            _ => {
                let mask = self.random.mask() & self.exist(warp);
                let scope = [Scope::Cta, Scope::Gpu][self.random.below(2) as usize];
                self.clocks.fence(warp, mask, scope);
                self.model.fence(warp, mask, scope);
            }
        }
    }

    /// A request of a warp.
    fn step(&mut self, instruction: u32) -> (Step, [u64; 32]) {
        let warp = self.any_warp();
        let mask = match self.random.mask() & self.exist(warp) {
            0 => 1,
            mask => mask,
        };
        let widest = (16 / self.grain).trailing_zeros() + 1;
        let bytes = self.grain << self.random.below(u64::from(widest));
        let slots = self.region / u64::from(bytes);
        let first = self.random.below(slots);
        let pattern = self.random.below(4);
        let base = [GLOBAL, SHARED][self.random.below(2) as usize];
        let addresses: [u64; 32] = std::array::from_fn(|lane| {
            let slot = match pattern {
                0 => first,
                1 | 2 => first + u64::from((mask & ((1u32 << lane) - 1)).count_ones()),
                _ => self.random.below(slots),
            };
            base + slot % slots * u64::from(bytes)
        });
        let kind = if self.random.one_in(2) {
            Kind::Read
        } else {
            Kind::Write
        };
        let same = self.random.one_in(2);
        let lanes = (0..32).filter(|lane| (mask >> lane) & 1 == 1);
        let lanes = lanes.map(|lane| LaneAccess {
            lane,
            address: addresses[lane as usize],
            value: if same { 7 } else { lane },
        });
        let step = Step {
            warp,
            bytes,
            instruction,
            kind,
            strength: Strength::Weak,
            lanes: lanes.collect(),
        };
        (step, addresses)
    }

    /// Makes `step` a strong access sometimes, and says what it does for order.
    fn maybe_strong(&mut self, step: &mut Step) -> Option<Exchange> {
        if self.sync != Sync::Strong || self.random.one_in(2) {
            return None;
        }
        let scope = [Scope::Cta, Scope::Gpu][self.random.below(2) as usize];
        step.strength = [Strength::Cta, Strength::Gpu][scope as usize];
        step.kind = [Kind::Read, Kind::Write, Kind::Atomic][self.random.below(3) as usize];
        Some(Exchange {
            reads: step.kind != Kind::Write,
            writes: step.kind != Kind::Read,
            acquire: step.kind != Kind::Write && self.random.one_in(3),
            release: step.kind != Kind::Read && self.random.one_in(3),
            scope,
        })
    }

    /// Asks the check about `step`.
    fn check(&mut self, step: &Step, addresses: &[u64; 32]) -> Option<Conflict> {
        let mask = step.lanes.iter().fold(0, |m, l| m | 1u32 << l.lane);
        let value = |lane: u32| step.lanes.iter().find(|l| l.lane == lane).map(|l| l.value);
        let same_value = |one: u32, other: u32| value(one) == value(other);
        let request = Request {
            warp: step.warp,
            lanes: Lanes::of(mask, step.bytes, addresses),
            instruction: step.instruction,
            kind: step.kind,
            strength: step.strength,
            same_value: &same_value,
        };
        let cells = if step.lanes[0].address < SHARED {
            &mut self.global
        } else {
            &mut self.shared
        };
        cells.access(&request, &self.clocks)
    }

    /// One request, in both. False when it raced: the check is done then.
    fn compare(&mut self, instruction: u32) -> bool {
        let (mut step, addresses) = self.step(instruction);
        let exchange = self.maybe_strong(&mut step);
        let expected = self.model.conflicts(&step);
        if !expected.is_empty() && !self.random.one_in(8) {
            // Most races are left out, so that sequences grow long.
            return true;
        }
        let found = self.check(&step, &addresses);
        let what = format!("{:?} {step:?}", self.sync);
        let Some(conflict) = found else {
            assert!(expected.is_empty(), "missed {:?} in {what}", expected[0]);
            self.counts[0] += 1;
            self.model.access(&step);
            if let Some(exchange) = exchange {
                for lane in &step.lanes {
                    let location = Location {
                        shared: lane.address >= SHARED,
                        address: lane.address,
                    };
                    self.clocks.strong(step.warp, lane.lane, location, exchange);
                    self.model.strong(step.warp, lane.lane, location, exchange);
                }
            }
            return true;
        };
        let real = expected.iter().any(|(lane, byte, seen)| {
            conflict.later.thread == step.warp * 32 + lane.lane
                && conflict.later.instruction == instruction
                && conflict.later.wrote == (step.kind != Kind::Read)
                && conflict.address == byte - byte % u64::from(self.grain)
                && conflict.earlier.cta == seen.cta as u64
                && conflict.earlier.thread == seen.thread as u32
                && conflict.earlier.wrote == (seen.kind != Kind::Read)
        });
        assert!(real, "{conflict:?} is none of {expected:?} in {what}");
        self.counts[1] += 1;
        false
    }
}

/// One launch of up to three CTAs.
fn launch(pair: &mut Pair, ctas: u64, grain: u8, region: u64) {
    let finer = Finer {
        inside: pair.sync != Sync::Whole,
        between: pair.sync == Sync::Strong,
    };
    pair.clocks = Clocks::new(pair.threads, finer);
    pair.model = Model::new(ctas as usize, pair.threads as usize);
    pair.grain = u32::from(grain);
    pair.region = region;
    pair.global = Cells::new(GLOBAL, region, grain);
    pair.shared = Cells::new(SHARED, region, grain);
    for cta in 0..ctas {
        pair.clocks.begin_cta(cta);
        pair.shared.restart(pair.clocks.cta_start());
        if cta > 0 {
            pair.model.next_cta(SHARED);
        }
        for instruction in 0..60 {
            if !pair.compare(instruction) {
                return;
            }
            for _ in 0..pair.random.below(3) {
                pair.synchronise();
            }
        }
    }
}

/// Many launches with one kind of synchronisation.
fn agrees(sync: Sync, seed: u64, launches: usize) {
    let mut pair = Pair {
        random: Random(seed),
        sync,
        threads: 0,
        clocks: Clocks::new(1, Finer::default()),
        global: Cells::new(GLOBAL, 16, 1),
        shared: Cells::new(SHARED, 16, 1),
        model: Model::new(1, 1),
        grain: 1,
        region: 16,
        counts: [0; 2],
    };
    for _ in 0..launches {
        pair.threads = [1, 33, 64, 71, 96][pair.random.below(5) as usize];
        let ctas = 1 + pair.random.below(3);
        let grain = 1 << pair.random.below(3);
        let region = 16 << pair.random.below(6);
        launch(&mut pair, ctas, grain, region);
    }
    let [clean, races] = pair.counts;
    assert!(clean > 20 * launches, "only {clean} steps without a race");
    assert!(races > launches / 4, "only {races} races");
}

#[test]
fn whole_barriers_and_warp_syncs() {
    agrees(Sync::Whole, 1, 300);
}

#[test]
fn barriers_of_some_warps_and_syncs_of_some_lanes() {
    agrees(Sync::Partial, 2, 300);
}

#[test]
fn atomics_and_fences() {
    agrees(Sync::Strong, 3, 300);
}
