//! A sequence's map from logical positions to physical blocks.

use crate::config::engine::BLOCK_SIZE;

/// Physical blocks of one sequence, in the order of its positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockTable {
    blocks: Vec<u32>,
}

impl BlockTable {
    /// A table of these blocks.
    pub fn new(blocks: Vec<u32>) -> Self {
        BlockTable { blocks }
    }

    /// Blocks that `positions` positions need.
    pub fn blocks_for(positions: usize) -> usize {
        positions.div_ceil(BLOCK_SIZE)
    }

    /// The blocks.
    pub fn blocks(&self) -> &[u32] {
        &self.blocks
    }

    /// Gives the blocks up.
    pub fn into_blocks(self) -> Vec<u32> {
        self.blocks
    }

    /// The cache slot of `position`, if the table reaches that far.
    pub fn slot(&self, position: usize) -> Option<u32> {
        let block = self.blocks.get(position / BLOCK_SIZE)?;
        Some(block * BLOCK_SIZE as u32 + (position % BLOCK_SIZE) as u32)
    }
}
