//! Happens-before by full vector clocks over all threads, and every access of every byte: slow and obviously right.

use std::collections::HashMap;

use qwarp::emu::check::{Exchange, Kind, Location, Scope, Strength};

/// For each thread of each CTA, how many of its intervals are known.
type VectorClock = Vec<u32>;

/// One access of one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// CTA and thread in it.
    pub cta: usize,
    /// See `cta`.
    pub thread: usize,
    /// The instruction's number in the test.
    pub instruction: u32,
    /// Which request of the whole sequence it belongs to.
    request: u32,
    interval: u32,
    pub kind: Kind,
    strength: Strength,
}

/// What a thread has read without a fence, and what it knew at its last fence, by scope.
#[derive(Clone, Default)]
struct Patterns {
    read: [VectorClock; 2],
    fenced: [VectorClock; 2],
}

#[derive(Default)]
struct Message {
    gpu: VectorClock,
    cta: (usize, VectorClock),
}

/// The state of a launch.
pub struct Model {
    threads: usize,
    cta: usize,
    clocks: Vec<VectorClock>,
    patterns: Vec<Patterns>,
    bytes: HashMap<u64, Vec<Seen>>,
    arrived: HashMap<u32, VectorClock>,
    messages: HashMap<Location, Message>,
    requests: u32,
}

/// One lane of a request.
#[derive(Debug, Clone, Copy)]
pub struct LaneAccess {
    pub lane: u32,
    pub address: u64,
    pub value: u32,
}

/// A request, spelled out.
#[derive(Debug, Clone)]
pub struct Step {
    pub warp: u32,
    pub bytes: u32,
    pub instruction: u32,
    pub kind: Kind,
    pub strength: Strength,
    pub lanes: Vec<LaneAccess>,
}

impl Model {
    /// `ctas` CTAs of `threads` threads, the first running.
    pub fn new(ctas: usize, threads: usize) -> Model {
        let all = ctas * threads;
        let clocks = (0..all)
            .map(|own| (0..all).map(|t| u32::from(t == own)).collect())
            .collect();
        Model {
            threads,
            cta: 0,
            clocks,
            patterns: vec![Patterns::default(); all],
            bytes: HashMap::new(),
            arrived: HashMap::new(),
            messages: HashMap::new(),
            requests: 0,
        }
    }

    /// The next CTA runs. Shared memory is new.
    pub fn next_cta(&mut self, shared_base: u64) {
        self.cta += 1;
        self.arrived.clear();
        self.bytes.retain(|address, _| *address < shared_base);
        self.messages.retain(|location, _| !location.shared);
    }

    fn index(&self, warp: u32, lane: u32) -> usize {
        self.cta * self.threads + (warp * 32 + lane) as usize
    }

    fn members(&self, mask: impl Fn(u32, u32) -> bool) -> Vec<usize> {
        (0..self.threads as u32)
            .filter(|t| mask(t / 32, t % 32))
            .map(|t| self.index(t / 32, t % 32))
            .collect()
    }

    /// The accesses that `step` races with, by lane: earlier steps, and lower lanes of its own.
    pub fn conflicts(&self, step: &Step) -> Vec<(LaneAccess, u64, Seen)> {
        let mut found = Vec::new();
        for (at, lane) in step.lanes.iter().enumerate() {
            for byte in lane.address..lane.address + u64::from(step.bytes) {
                let earlier = self.bytes.get(&byte).into_iter().flatten();
                for seen in earlier.filter(|s| self.races(s, step, lane)) {
                    found.push((*lane, byte, *seen));
                }
                let own = step.lanes[..at]
                    .iter()
                    .filter(|l| (l.address..l.address + u64::from(step.bytes)).contains(&byte));
                for other in own {
                    if step.kind == Kind::Write
                        && step.strength == Strength::Weak
                        && other.value != lane.value
                    {
                        found.push((*lane, byte, self.seen(step, other)));
                    }
                }
            }
        }
        found
    }

    fn races(&self, seen: &Seen, step: &Step, lane: &LaneAccess) -> bool {
        let by = self.index(step.warp, lane.lane);
        let maker = seen.cta * self.threads + seen.thread;
        let ordered = maker == by || self.clocks[by][maker] >= seen.interval;
        let needed = if seen.cta == self.cta {
            Strength::Cta
        } else {
            Strength::Gpu
        };
        let writes = seen.kind != Kind::Read || step.kind != Kind::Read;
        writes && !ordered && seen.strength.min(step.strength) < needed
    }

    fn seen(&self, step: &Step, lane: &LaneAccess) -> Seen {
        let index = self.index(step.warp, lane.lane);
        Seen {
            cta: self.cta,
            thread: (step.warp * 32 + lane.lane) as usize,
            instruction: step.instruction,
            request: self.requests,
            interval: self.clocks[index][index],
            kind: step.kind,
            strength: step.strength,
        }
    }

    /// Remembers `step`.
    pub fn access(&mut self, step: &Step) {
        self.requests += 1;
        for lane in &step.lanes {
            let seen = self.seen(step, lane);
            for byte in lane.address..lane.address + u64::from(step.bytes) {
                self.bytes.entry(byte).or_default().push(seen);
            }
        }
    }

    fn tick(&mut self, index: usize) {
        self.clocks[index][index] += 1;
    }

    /// All of `members` know what any of them, and `joined`, know.
    fn meet(&mut self, members: &[usize], mut joined: VectorClock) {
        for member in members {
            join(&mut joined, &self.clocks[*member]);
        }
        for member in members {
            self.clocks[*member].clone_from(&joined);
            self.tick(*member);
        }
    }

    pub fn barrier(&mut self, index: u32, warps: u32) {
        let members = self.members(|warp, _| (warps >> warp) & 1 == 1);
        let arrived = self.arrived.remove(&index).unwrap_or_default();
        self.meet(&members, arrived);
    }

    pub fn arrive(&mut self, index: u32, warp: u32) {
        for member in self.members(|w, _| w == warp) {
            let clock = self.clocks[member].clone();
            join(self.arrived.entry(index).or_default(), &clock);
            self.tick(member);
        }
    }

    pub fn warp_sync(&mut self, warp: u32, mask: u32) {
        let members = self.members(|w, lane| w == warp && (mask >> lane) & 1 == 1);
        self.meet(&members, Vec::new());
    }

    pub fn fence(&mut self, warp: u32, mask: u32, scope: Scope) {
        for member in self.members(|w, lane| w == warp && (mask >> lane) & 1 == 1) {
            for reach in scopes(scope) {
                let read = std::mem::take(&mut self.patterns[member].read[reach]);
                join(&mut self.clocks[member], &read);
            }
            for reach in scopes(scope) {
                self.patterns[member].fenced[reach].clone_from(&self.clocks[member]);
            }
            self.tick(member);
        }
    }

    pub fn strong(&mut self, warp: u32, lane: u32, location: Location, what: Exchange) {
        let index = self.index(warp, lane);
        let mut publishes: [VectorClock; 2] = Default::default();
        for reach in scopes(what.scope) {
            publishes[reach] = if what.release {
                self.clocks[index].clone()
            } else {
                self.patterns[index].fenced[reach].clone()
            };
        }
        if what.writes && what.release {
            self.tick(index);
        }
        let message = self.messages.entry(location).or_default();
        if what.reads {
            let mut heard: [VectorClock; 2] = Default::default();
            if message.cta.0 == self.cta {
                heard[0].clone_from(&message.cta.1);
            }
            if what.scope == Scope::Gpu {
                heard[1].clone_from(&message.gpu);
            }
            for reach in 0..2 {
                let into = if what.acquire {
                    &mut self.clocks[index]
                } else {
                    &mut self.patterns[index].read[reach]
                };
                join(into, &heard[reach]);
            }
        }
        if what.writes {
            if !what.reads {
                *message = Message::default();
            }
            if message.cta.0 != self.cta {
                message.cta = (self.cta, Vec::new());
            }
            join(&mut message.cta.1, &publishes[0]);
            join(&mut message.gpu, &publishes[1]);
        }
    }
}

/// Which sides of a pattern a scope stands for: the CTA's, and on the device both.
fn scopes(scope: Scope) -> std::ops::RangeInclusive<usize> {
    0..=scope as usize
}

fn join(into: &mut VectorClock, other: &VectorClock) {
    into.resize(into.len().max(other.len()), 0);
    for (bound, other) in into.iter_mut().zip(other) {
        *bound = (*bound).max(*other);
    }
}
