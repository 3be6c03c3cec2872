//! The bytes of the KV cache, and the one place that turns (block, head, position, dimension) into an index.
//!
//! A tile is one block (16 positions) of one head. Keys stand as dimension pairs by positions, values as position
//! pairs by dimensions, each in groups of 32 that load as the two passes of the dot product: lanes are positions when
//! scores are computed and dimensions when values are summed, so neither needs a sum across lanes.

use super::element::{Element, GROUP};
use super::elementwise::fits;
use super::memory::Shared;
use super::simd::LANES;
use crate::config::engine::BLOCK_SIZE;
use crate::error::Result;
use crate::limits::Size;
use crate::shape::Heads;

// A block's positions are the lanes of the score kernel.
const _: () = assert!(BLOCK_SIZE == LANES);

/// Keys and values of all layers, in blocks.
#[derive(Debug)]
pub struct KvCache {
    memory: Shared,
    blocks: usize,
    heads: Heads,
    /// Elements of one head's row of values: the head's width filled up to whole vectors.
    value_row: usize,
}

/// Elements of one tile of keys, which values fill up to their own size.
fn tile_len(heads: Heads) -> usize {
    BLOCK_SIZE * heads.dim.next_multiple_of(LANES)
}

impl KvCache {
    /// Bytes of a cache of `blocks` blocks in `layers` layers with elements of `element_bytes`.
    pub fn bytes(
        layers: usize,
        heads: Heads,
        blocks: usize,
        element_bytes: usize,
    ) -> Result<usize> {
        let dims =
            [2, layers, blocks, heads.kv, tile_len(heads), element_bytes].map(|dim| dim as u64);
        Size::product(&dims, "KV cache")?.to_usize("KV cache")
    }

    /// A cache full of zeros.
    pub fn new(layers: usize, heads: Heads, blocks: usize, element_bytes: usize) -> Result<Self> {
        let bytes = Self::bytes(layers, heads, blocks, element_bytes)?;
        Ok(KvCache {
            memory: Shared::zeroed(bytes, "KV cache")?,
            blocks,
            heads,
            value_row: heads.dim.next_multiple_of(LANES),
        })
    }

    /// Bytes it really holds.
    pub fn allocated(&self) -> u64 {
        self.memory.allocated()
    }

    fn tile_start(&self, layer: usize, values: bool, block: usize, head: usize) -> usize {
        let side = 2 * layer + usize::from(values);
        ((side * self.blocks + block) * self.heads.kv + head) * tile_len(self.heads)
    }

    /// The keys of a block: `groups[i]` holds dimensions 2 i and 2 i + 1 of all positions.
    ///
    /// # Safety
    /// No thread writes this tile while the slice lives.
    pub unsafe fn keys<C: Element>(
        &self,
        layer: usize,
        block: usize,
        head: usize,
    ) -> &[[C; GROUP]] {
        let start = self.tile_start(layer, false, block, head);
        // SAFETY: passed on to the caller.
        unsafe { self.memory.read::<C>(start, BLOCK_SIZE * self.heads.dim) }
            .as_chunks()
            .0
    }

    /// The values of a block: `groups[pair * (value_row / 16) + d / 16]` holds positions 2 pair and 2 pair + 1.
    ///
    /// # Safety
    /// No thread writes this tile while the slice lives.
    pub unsafe fn values<C: Element>(
        &self,
        layer: usize,
        block: usize,
        head: usize,
    ) -> &[[C; GROUP]] {
        let start = self.tile_start(layer, true, block, head);
        // SAFETY: passed on to the caller.
        unsafe { self.memory.read::<C>(start, tile_len(self.heads)) }
            .as_chunks()
            .0
    }

    /// One position's key and value, widened.
    pub fn get<C: Element>(
        &mut self,
        layer: usize,
        slot: usize,
        head: usize,
        key: &mut [f32],
        value: &mut [f32],
    ) {
        let (block, position) = (slot / BLOCK_SIZE, slot % BLOCK_SIZE);
        // SAFETY: the cache is borrowed exclusively, so no thread writes.
        let (keys, values) = unsafe {
            (
                self.keys::<C>(layer, block, head),
                self.values::<C>(layer, block, head),
            )
        };
        for (d, x) in key.iter_mut().enumerate() {
            *x = keys[d / 2][C::slot(position, d % 2)].widen();
        }
        for (d, x) in value.iter_mut().enumerate() {
            let group = position / 2 * (self.value_row / LANES) + d / LANES;
            *x = values[group][C::slot(d % LANES, position % 2)].widen();
        }
    }

    /// `append` where nothing else can run.
    pub fn set<C: Element>(
        &mut self,
        layer: usize,
        slot: usize,
        head: usize,
        key: &[f32],
        value: &[f32],
    ) {
        // SAFETY: the cache is borrowed exclusively, so no thread reads or writes.
        unsafe { self.append::<C>(layer, slot, head, key, value) }
    }

    /// Writes one position's key and value, rounded to C. What does not fit C is stored as zero: the step fails, but the
    /// block's next owner must not find an infinity under its masked positions.
    ///
    /// # Safety
    /// No other thread reads or writes the tiles of this block and head meanwhile.
    pub unsafe fn append<C: Element>(
        &self,
        layer: usize,
        slot: usize,
        head: usize,
        key: &[f32],
        value: &[f32],
    ) {
        let (block, position) = (slot / BLOCK_SIZE, slot % BLOCK_SIZE);
        let key_start = self.tile_start(layer, false, block, head);
        let value_start = self.tile_start(layer, true, block, head);
        // SAFETY: the caller keeps other threads away from both tiles, which do not overlap.
        let (keys, values) = unsafe {
            (
                self.memory.write::<C>(key_start, tile_len(self.heads)),
                self.memory.write::<C>(value_start, tile_len(self.heads)),
            )
        };
        let round_or_zero = |x: f32| C::round(if fits::<C>(x) { x } else { 0.0 });
        for (d, x) in key.iter().enumerate() {
            keys[d / 2 * GROUP + C::slot(position, d % 2)] = round_or_zero(*x);
        }
        for (d, x) in value.iter().enumerate() {
            let group = position / 2 * (self.value_row / LANES) + d / LANES;
            values[group * GROUP + C::slot(d % LANES, position % 2)] = round_or_zero(*x);
        }
    }
}
