//! A launch as its CTAs see it: the program, its geometry, its memory.

use std::ops::Range;
use std::sync::atomic::AtomicU32;

use super::alu::LaneCode;
use crate::driver::{Access, Geometry};
use crate::emu::check::{Finer, Written};
use crate::emu::counters::Touched;
use crate::emu::memory::Device;
use crate::emu::program::Program;
use crate::emu::rows::{LANES, Row};

/// A range of global memory that a launch may touch.
#[derive(Debug, Clone)]
pub struct Window<'a> {
    /// Where it starts.
    pub start: u64,
    /// One past its end.
    pub end: u64,
    /// What may be done with it.
    pub access: Access,
    /// The parameter that points to it.
    pub param: u32,
    /// The address of its allocation.
    pub base: u64,
    /// The allocation's bytes.
    pub words: &'a [AtomicU32],
    /// Which of them were written.
    pub written: &'a Written,
    /// Whether a launch before may have written in the allocation, and may not have ended where this one does not wait.
    pub unsettled: bool,
    /// The region of [`Grid::regions`] that it is part of; none where nothing of it is written.
    pub region: Option<u16>,
}

impl Window<'_> {
    /// Whether `bytes` bytes at `address` lie in it.
    #[inline]
    pub fn holds(&self, address: u64, bytes: u64) -> bool {
        address >= self.start && address <= self.end && bytes <= self.end - address
    }

    /// Whether it may be written to.
    pub fn writable(&self) -> bool {
        self.access != Access::Read
    }
}

/// Everything about a launch that does not change while it runs.
#[derive(Debug)]
pub struct Grid<'a> {
    /// The kernel.
    pub program: &'a Program,
    /// The code of its lane arithmetic, as long as the program's.
    pub lane_code: &'a [Option<LaneCode>],
    /// Its grid and CTA.
    pub geometry: Geometry,
    /// Threads of a CTA.
    pub threads: u32,
    /// Warps of a CTA.
    pub warps: u32,
    /// The parameters, padded to whole words.
    pub params: Vec<u32>,
    /// The `.const` bank, padded to whole words.
    pub constants: Vec<u32>,
    /// What its pointers point to.
    pub windows: Vec<Window<'a>>,
    /// Address ranges that the launch may write to: windows that overlap are one.
    pub regions: Vec<Range<u64>>,
    /// What orders threads beyond barriers of the CTA.
    pub finer: Finer,
    /// All of device memory, to name what a wrong address hit.
    pub device: &'a Device,
    /// Shared memory of a CTA, static and dynamic.
    pub shared_bytes: u32,
    /// `%tid` of each warp.
    pub thread_ids: Vec<[Row; 3]>,
    /// Warp instructions that one CTA may run.
    pub budget: u64,
    /// Whether the checks beyond bounds are made.
    pub checks: bool,
    /// Whether instructions and traffic are counted.
    pub counters: bool,
    /// Which sectors the launch touches, where that is counted.
    pub touched: Option<Touched>,
    /// Whether CTAs and warps take their turns from the last to the first.
    pub descending: bool,
    /// CTAs that run at most, evenly spread over the grid.
    pub most: u64,
}

impl Grid<'_> {
    /// CTAs of the grid.
    pub fn ctas(&self) -> u64 {
        self.geometry.grid.iter().map(|&n| u64::from(n)).product()
    }

    /// CTAs that run.
    pub fn turns(&self) -> u64 {
        self.ctas().min(self.most)
    }

    /// The CTA that has a turn, and the turn that a CTA has. Where not all run, each stands in the middle of those that it
    /// stands for.
    pub fn turn(&self, index: u64) -> u64 {
        let (ctas, turns) = (self.ctas(), self.turns());
        match self.descending {
            _ if turns < ctas => {
                let middle = (2 * u128::from(index) + 1) * u128::from(ctas);
                (middle / (2 * u128::from(turns.max(1)))) as u64
            }
            true => (ctas - 1).saturating_sub(index),
            false => index,
        }
    }

    /// A CTA's coordinates.
    pub fn cta(&self, index: u64) -> [u32; 3] {
        coordinates(index, self.geometry.grid)
    }

    /// A thread's coordinates in its CTA.
    pub fn thread(&self, index: u32) -> [u32; 3] {
        coordinates(u64::from(index), self.geometry.block)
    }

    /// The lanes of a warp that are threads of the CTA.
    pub fn lanes(&self, warp: u32) -> u32 {
        let threads = self.threads.saturating_sub(warp * LANES as u32);
        match threads {
            0..=31 => (1 << threads) - 1,
            _ => u32::MAX,
        }
    }
}

/// `%tid` of every warp of a CTA.
pub fn thread_ids(block: [u32; 3], warps: u32) -> Vec<[Row; 3]> {
    (0..warps)
        .map(|warp| {
            let mut rows = [Row::splat(0); 3];
            for lane in 0..LANES {
                let thread = u64::from(warp) * LANES as u64 + lane as u64;
                let at = coordinates(thread, block);
                for (row, value) in rows.iter_mut().zip(at) {
                    row.0[lane] = value;
                }
            }
            rows
        })
        .collect()
}

/// The coordinates of an index, x fastest; z may pass its end for lanes that are no threads.
fn coordinates(index: u64, size: [u32; 3]) -> [u32; 3] {
    let [x, y, _] = size.map(|n| u64::from(n.max(1)));
    [
        (index % x) as u32,
        (index / x % y) as u32,
        (index / x / y) as u32,
    ]
}

/// Bytes as words, the last padded with zeros.
pub fn words(bytes: &[u8]) -> Vec<u32> {
    let chunks = bytes.chunks(4).map(|chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        u32::from_le_bytes(word)
    });
    chunks.collect()
}
