//! Weights that do not stand on the device as they stand in the checkpoint. Worker threads make them from the map in bands of
//! about a megabyte, and the calling thread, which alone talks to the driver, copies each to its place. The host never holds
//! a whole matrix: `pipeline` says how many bands there are at most.

use std::ops::Range;

use half::bf16;

use super::memory::Memory;
use super::pack::{Rows, pack_band};
use super::pipeline::{self, Buffer};
use crate::driver::{DevicePtr, Driver, DriverError};

/// Threads beyond which nothing is won: one thread copies what they make, and three or four keep it busy.
const MOST_WORKERS: usize = 8;
/// Bytes of a band: it is still in its worker's cache when it has been packed, and long enough to be handed over rarely.
const BAND_BYTES: usize = 1 << 20;

/// How weights are made on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bands {
    /// Threads that make them, besides the calling one.
    pub workers: usize,
    /// Bytes of a band, where a row of tiles is not longer.
    pub bytes: usize,
}

impl Bands {
    /// What is best where `threads` may run at once.
    pub fn on(threads: usize) -> Bands {
        Bands {
            workers: threads.min(MOST_WORKERS),
            bytes: BAND_BYTES,
        }
    }
}

/// What bands are made of. A packed element is its bits, whatever 16-bit type it has.
#[derive(Debug)]
enum Source<'a> {
    /// A matrix that is packed.
    Packed(Rows<'a, u16>),
    /// bf16 elements, by their bits, that become f32.
    Widened(&'a [u16]),
}

impl Source<'_> {
    /// Pieces that it can be divided into: rows of tiles, or elements.
    fn pieces(&self) -> usize {
        match self {
            Source::Packed(rows) => rows.tiles(),
            Source::Widened(values) => values.len(),
        }
    }

    /// Words of a piece on the device.
    fn piece_words(&self) -> usize {
        match self {
            Source::Packed(rows) => rows.tile_elements() / 2,
            Source::Widened(_) => 1,
        }
    }

    /// Fills `buffer` with `pieces`, as they stand on the device.
    fn make(&self, pieces: Range<usize>, buffer: &mut Buffer) {
        buffer.resize(pieces.len() * self.piece_words(), 0);
        match self {
            Source::Packed(rows) => {
                let out = bytemuck::cast_slice_mut(buffer);
                pack_band(rows, pieces, |bits: u16| bits, out);
            }
            Source::Widened(values) => {
                for (word, value) in buffer.iter_mut().zip(&values[pieces]) {
                    *word = bf16::from_bits(*value).to_f32().to_bits();
                }
            }
        }
    }
}

/// What is to be made, and the address that it goes to.
#[derive(Debug, Default)]
pub(super) struct Upload<'a> {
    made: Vec<(DevicePtr, Source<'a>)>,
}

impl<'a> Upload<'a> {
    /// Room for `parts`, one after the other, bits of bf16 that become f32.
    pub(super) fn widen(
        &mut self,
        memory: &mut Memory,
        parts: &[&'a [u16]],
    ) -> Result<DevicePtr, DriverError> {
        let start = memory.alloc(parts.iter().map(|part| 4 * part.len()).sum())?;
        let mut at = start;
        for part in parts {
            self.made.push((at, Source::Widened(part)));
            at.0 += 4 * part.len() as u64;
        }
        Ok(start)
    }

    /// Room for a matrix, packed, and the elements that it then has.
    pub(super) fn pack(
        &mut self,
        memory: &mut Memory,
        rows: Rows<'a, u16>,
    ) -> Result<(DevicePtr, usize), DriverError> {
        let elements = rows.tiles() * rows.tile_elements();
        let at = memory.alloc(2 * elements)?;
        self.made.push((at, Source::Packed(rows)));
        Ok((at, elements))
    }

    /// Makes everything and brings it there, in any order.
    pub(super) fn run(self, driver: &dyn Driver, bands: Bands) -> Result<(), DriverError> {
        let mut jobs = Vec::new();
        for (index, (_, source)) in self.made.iter().enumerate() {
            let (end, each) = (source.pieces(), 4 * source.piece_words());
            let step = (bands.bytes / each.max(1)).max(1);
            let starts = (0..end).step_by(step);
            jobs.extend(starts.map(|start| (index, start..end.min(start + step))));
        }
        let make = |job: usize, buffer: &mut Buffer| {
            let (index, pieces) = jobs[job].clone();
            self.made[index].1.make(pieces, buffer);
        };
        pipeline::run(jobs.len(), bands.workers, make, |job, words| {
            let (index, pieces) = &jobs[job];
            let (start, source) = &self.made[*index];
            let before = 4 * pieces.start * source.piece_words();
            let at = DevicePtr(start.0 + before as u64);
            driver.copy_in(at, bytemuck::cast_slice(words))
        })
    }
}
