//! Barriers of some warps and syncs of some lanes: who knows how much of whom, as matrices of bounds.

use std::sync::Arc;

use super::view::View;
use super::{BARRIERS, Clocks, Warp};
use crate::emu::rows::LANES;

/// For each lane of a warp, what it knows of each other lane.
pub(super) type Rows = [[u32; LANES]; LANES];

/// What warps left at a barrier by `bar.arrive`.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    /// Bounds by warp.
    row: Vec<u32>,
    /// What their threads had learnt through atomics.
    pub view: Option<Arc<View>>,
}

/// The lanes of `mask` learn of each other's accesses so far, and what each of them knew of other lanes.
pub(super) fn sync_lanes(warp: &mut Warp, mask: u32, time: u32) {
    let rows = warp
        .lanes
        .get_or_insert_with(|| Box::new([[0; LANES]; LANES]));
    let in_mask = |lane: usize| (mask >> lane) & 1 == 1;
    let mut joined = [0; LANES];
    for lane in (0..LANES).filter(|l| in_mask(*l)) {
        raise(&mut joined, &rows[lane]);
    }
    for lane in (0..LANES).filter(|l| in_mask(*l)) {
        joined[lane] = time;
    }
    for lane in (0..LANES).filter(|l| in_mask(*l)) {
        rows[lane] = joined;
    }
}

impl Clocks {
    /// `bar.arrive` of all lanes of `warp` at barrier `index`: what they did so far is ordered before what the warps do
    /// that complete the barrier, and they themselves learn nothing.
    pub fn arrive(&mut self, index: u32, warp: u32) {
        self.finer.inside = true;
        let time = self.tick();
        let count = self.warps.len();
        let arrival = self.arrived[index as usize % BARRIERS].get_or_insert_with(Arrival::default);
        let Some(clock) = self.warps.get_mut(warp as usize) else {
            return;
        };
        arrival.row.resize(count, 0);
        raise(&mut arrival.row, &clock.known);
        arrival.row[warp as usize] = time;
        clock.now = time;
        self.remote.arrive(warp, &mut arrival.view);
    }

    /// A barrier of the warps of `mask` only.
    pub(super) fn partial_barrier(&mut self, mask: u32, arrival: Option<Arrival>) {
        self.finer.inside = true;
        let time = self.tick();
        let mut joined = vec![0; self.warps.len()];
        let (row, view) = arrival.map_or((Vec::new(), None), |a| (a.row, a.view));
        raise(&mut joined, &row);
        for (index, warp) in self.warps.iter().enumerate() {
            if (mask >> index) & 1 == 1 {
                raise(&mut joined, &warp.known);
                joined[index] = time;
            }
        }
        for (index, warp) in self.warps.iter_mut().enumerate() {
            if (mask >> index) & 1 == 1 {
                warp.known.clone_from(&joined);
                (warp.now, warp.floor) = (time, time);
            }
        }
        self.remote.barrier(mask, view);
    }
}

/// Each bound becomes the larger of the two.
fn raise(bounds: &mut [u32], other: &[u32]) {
    for (bound, other) in bounds.iter_mut().zip(other) {
        *bound = (*bound).max(*other);
    }
}
