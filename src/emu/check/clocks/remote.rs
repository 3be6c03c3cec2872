//! Order through atomics and fences, as PTX's release and acquire patterns make it.
//!
//! A fence followed by a strong write publishes what its thread knew at the fence; a strong read followed by a fence learns
//! what the value's writer had published. Release and acquire accesses do both halves at once. A read-modify-write carries
//! on what was published at its location, a plain strong write replaces it. Scopes count: what only `.cta` stands behind
//! reaches threads of the same CTA alone. Without the fence on either side nothing is ordered, also where hardware would
//! let it pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::Clocks;
use super::view::{CtaBounds, View, join};
use crate::emu::check::lanes::Active;

/// How far an access or fence reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The CTA.
    Cta,
    /// The device; clusters and the whole system count as this.
    Gpu,
}

/// A memory location that threads speak through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// Whether it is in shared memory.
    pub shared: bool,
    /// Its address.
    pub address: u64,
}

/// What a strong access does for order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// It reads the location.
    pub reads: bool,
    /// It writes the location (a compare-and-swap that failed does not).
    pub writes: bool,
    /// It is `.acquire` or `.acq_rel`.
    pub acquire: bool,
    /// It is `.release` or `.acq_rel`.
    pub release: bool,
    /// Its scope.
    pub scope: Scope,
}

type Knowledge = Option<Arc<View>>;

/// What is published at a location.
#[derive(Debug, Default)]
struct Message {
    /// To every thread of the device.
    gpu: Knowledge,
    /// To threads of one CTA.
    cta: (u64, Knowledge),
}

/// What a thread has learnt, has read but not yet fenced, and had fenced before it wrote.
#[derive(Debug, Clone, Default)]
struct Thread {
    known: Knowledge,
    read: [Knowledge; 2],
    fenced: [Knowledge; 2],
}

/// Knowledge through atomics and fences; empty in kernels without them.
#[derive(Debug, Default)]
pub(super) struct Remote {
    threads: Vec<Thread>,
    /// By address, of global and of shared memory.
    messages: [HashMap<u64, Message>; 2],
    cta: u64,
    used: bool,
}

impl Remote {
    pub fn begin_cta(&mut self, cta: u64, threads: u32) {
        self.cta = cta;
        if self.used {
            self.threads.clear();
        }
        self.messages[1].clear();
        self.threads.resize(threads as usize, Thread::default());
        self.used = false;
    }

    /// Whether `reader` knows an access through what is kept here.
    pub fn knows(&self, reader: u32, cta: impl Fn() -> u64, thread: u32, stamp: u32) -> bool {
        self.used
            && self
                .threads
                .get(reader as usize)
                .and_then(|t| t.known.as_ref())
                .is_some_and(|view| view.knows(cta(), thread, stamp))
    }

    /// The threads of `warps` know what any of them knew, and `arrived`.
    pub fn barrier(&mut self, warps: u32, arrived: Knowledge) {
        if !self.used {
            return;
        }
        let in_mask = |thread: usize| (warps >> (thread / 32)) & 1 == 1;
        self.spread(arrived, in_mask);
    }

    /// The lanes of `mask` know what any of them knew.
    pub fn warp_sync(&mut self, warp: u32, mask: u32) {
        if !self.used {
            return;
        }
        let in_mask =
            |thread: usize| thread / 32 == warp as usize && (mask >> (thread % 32)) & 1 == 1;
        self.spread(None, in_mask);
    }

    /// Leaves what the threads of `warp` know.
    pub fn arrive(&mut self, warp: u32, at: &mut Knowledge) {
        if self.used {
            let first = warp as usize * 32;
            for thread in self.threads.iter().skip(first).take(32) {
                join(at, &thread.known);
            }
        }
    }

    fn spread(&mut self, mut joined: Knowledge, in_mask: impl Fn(usize) -> bool) {
        for (index, thread) in self.threads.iter().enumerate() {
            if in_mask(index) {
                join(&mut joined, &thread.known);
            }
        }
        if joined.is_none() {
            return;
        }
        for (index, thread) in self.threads.iter_mut().enumerate() {
            if in_mask(index) {
                thread.known.clone_from(&joined);
            }
        }
    }
}

impl Clocks {
    /// `membar` or `fence` of the lanes of `mask`.
    pub fn fence(&mut self, warp: u32, mask: u32, scope: Scope) {
        self.remote.used = true;
        let time = self.pass(warp);
        for lane in Active::of(mask & self.lanes_of(warp)) {
            let index = (warp * 32 + lane) as usize;
            if let Some(thread) = self.remote.threads.get_mut(index) {
                let read = std::mem::take(&mut thread.read[Scope::Cta as usize]);
                join(&mut thread.known, &read);
                if scope == Scope::Gpu {
                    let read = std::mem::take(&mut thread.read[Scope::Gpu as usize]);
                    join(&mut thread.known, &read);
                }
            }
            let known = self.knowledge(warp, lane, time);
            if let Some(thread) = self.remote.threads.get_mut(index) {
                if scope == Scope::Gpu {
                    thread.fenced[Scope::Gpu as usize].clone_from(&known);
                }
                thread.fenced[Scope::Cta as usize] = known;
            }
        }
    }

    /// An atomic or other strong access of one lane. Called in the order in which the lanes' accesses take effect.
    pub fn strong(&mut self, warp: u32, lane: u32, location: Location, what: Exchange) {
        match what.scope {
            Scope::Gpu if !location.shared => self.finer.between = true,
            _ => self.finer.inside = true,
        }
        let publishes = if what.writes && what.release {
            let time = self.pass(warp);
            let known = self.knowledge(warp, lane, time);
            let gpu = known.clone().filter(|_| what.scope == Scope::Gpu);
            [known, gpu]
        } else {
            let index = (warp * 32 + lane) as usize;
            let [cta, gpu] = self
                .remote
                .threads
                .get(index)
                .map_or_else(Default::default, |t| t.fenced.clone());
            [cta, gpu.filter(|_| what.scope == Scope::Gpu)]
        };
        if what.reads {
            self.take(warp, lane, location, what);
        }
        if what.writes {
            self.publish(location, what.reads, publishes);
        }
    }

    /// Learns what is published at `location`: at once, or at the thread's next fence.
    fn take(&mut self, warp: u32, lane: u32, location: Location, what: Exchange) {
        let cta = self.remote.cta;
        let Some(message) =
            self.remote.messages[usize::from(location.shared)].get(&location.address)
        else {
            return;
        };
        self.remote.used = true;
        let Some(thread) = self.remote.threads.get_mut((warp * 32 + lane) as usize) else {
            return;
        };
        let own = if message.cta.0 == cta {
            &message.cta.1
        } else {
            &None
        };
        let gpu = if what.scope == Scope::Gpu {
            &message.gpu
        } else {
            &None
        };
        if what.acquire {
            join(&mut thread.known, own);
            join(&mut thread.known, gpu);
        } else {
            join(&mut thread.read[Scope::Cta as usize], own);
            join(&mut thread.read[Scope::Gpu as usize], gpu);
        }
    }

    /// Leaves knowledge for who reads `location`; `carries_on` what is there already.
    fn publish(&mut self, location: Location, carries_on: bool, [cta, gpu]: [Knowledge; 2]) {
        let own = self.remote.cta;
        let messages = &mut self.remote.messages[usize::from(location.shared)];
        if cta.is_none() && gpu.is_none() {
            if !carries_on {
                messages.remove(&location.address);
            }
            return;
        }
        let message = messages.entry(location.address).or_default();
        if !carries_on {
            *message = Message::default();
        }
        if message.cta.0 != own {
            message.cta = (own, None);
        }
        join(&mut message.cta.1, &cta);
        join(&mut message.gpu, &gpu);
    }

    /// A new interval for `warp`: what it does from now on is not part of what is published now.
    fn pass(&mut self, warp: u32) -> u32 {
        let time = self.tick();
        if let Some(clock) = self.warps.get_mut(warp as usize) {
            clock.now = time;
        }
        time
    }

    /// Everything ordered before what `lane` does now, its own accesses below `time` included.
    fn knowledge(&self, warp: u32, lane: u32, time: u32) -> Knowledge {
        let clock = self.warps.get(warp as usize)?;
        let mut more = Vec::new();
        for of_warp in 0..self.warps.len() as u32 {
            let known = clock.known.get(of_warp as usize).copied().unwrap_or(0);
            for of_lane in Active::of(self.lanes_of(of_warp)) {
                let bound = if of_warp != warp {
                    known
                } else if of_lane == lane {
                    time
                } else {
                    clock.lane_bound(lane, of_lane)
                };
                if bound > self.floor {
                    more.push((of_warp * 32 + of_lane, bound));
                } else if of_warp != warp {
                    break;
                }
            }
        }
        let bounds = CtaBounds {
            all: self.floor,
            more,
        };
        let known = self.remote.threads.get((warp * 32 + lane) as usize);
        let mut view = known
            .and_then(|t| t.known.as_deref().cloned())
            .unwrap_or_default();
        view.learn(self.remote.cta, &bounds);
        Some(Arc::new(view))
    }
}
