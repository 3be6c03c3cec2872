//! What the checks keep while CTAs run: clocks, shadows of memory, and the first read of unwritten memory.
//!
//! A read of memory that nobody wrote is kept and the CTA goes on: often another thread writes it later, because a barrier
//! is missing, and then the race is what there is to mend. Whatever else goes wrong afterwards may come from what was read,
//! so then the read is reported.

use super::fault::Fault;
use super::grid::Grid;
use super::memory::local_stride;
use crate::emu::check::{Cells, Clocks, Landed, Pending, Written};
use crate::emu::rows::LANES;

/// The clocks of a host thread and the shadows of the CTA that it runs.
pub struct Near {
    /// What orders accesses.
    pub clocks: Clocks,
    /// Who touched shared memory.
    pub shared: Cells,
    /// What of shared memory was written.
    pub shared_written: Written,
    /// What of the local memory of each warp was written.
    pub local_written: Vec<Written>,
    /// `cp.async` on its way.
    pub pending: Pending,
    /// Room for the copies that a wait ends.
    pub landed: Vec<Landed>,
    /// The lanes of each warp that have waited for the launches before.
    pub waited: Vec<u32>,
    /// The first read of unwritten memory of the running CTA.
    pub unwritten: Option<Box<Fault>>,
}

impl Near {
    /// Shadows for the CTAs of a launch; `None` where the host has no room for them.
    pub fn new(grid: &Grid<'_>) -> Option<Near> {
        let local = LANES as u64 * u64::from(local_stride(grid.program.local_bytes));
        let local_written = (0..grid.warps).map(|_| Written::new(0, local));
        let bytes = u64::from(grid.shared_bytes);
        Some(Near {
            clocks: Clocks::new(grid.threads, grid.finer),
            shared: Cells::new(0, bytes, grid.program.shared_grain),
            shared_written: Written::new(0, bytes)?,
            local_written: local_written.collect::<Option<_>>()?,
            pending: Pending::new(),
            landed: Vec::new(),
            waited: vec![0; grid.warps as usize],
            unwritten: None,
        })
    }

    /// Starts over for the next CTA.
    pub fn begin(&mut self, grid: &Grid<'_>, cta: u64) {
        self.clocks.begin_cta(cta);
        self.shared.restart(self.clocks.cta_start());
        self.shared_written.reset();
        self.local_written.iter_mut().for_each(Written::reset);
        self.waited.fill(0);
        self.pending.begin(0, u64::from(grid.shared_bytes));
        self.unwritten = None;
    }
}

/// The shadows of global memory for a shard.
pub fn shard(grid: &Grid<'_>) -> Vec<Cells> {
    let cells = grid.regions.iter().map(|region| {
        let bytes = region.end - region.start;
        Cells::new(region.start, bytes, grid.program.global_grain)
    });
    cells.collect()
}

/// The checks as a running CTA sees them.
pub struct Watch<'a> {
    /// Its own memory, and order.
    pub near: &'a mut Near,
    /// Who touched each region of [`Grid::regions`].
    pub far: &'a mut [Cells],
}
