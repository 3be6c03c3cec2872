//! Where cells live: blocks made when first touched, found through a table.

use super::Entry;

/// Cells of a block.
pub(super) const CELLS: usize = 512;

/// One remembered access for each cell of a block, as two arrays so that a warp's cells compare as vectors.
#[derive(Debug, Clone, Copy, bytemuck::Zeroable)]
pub(super) struct Slot {
    pub clock: [u32; CELLS],
    pub who: [u32; CELLS],
    /// The largest of the stamps, or above: where it is ordered for all, so is the block.
    pub latest: u32,
}

impl Slot {
    #[inline]
    pub fn get(&self, at: usize) -> Entry {
        Entry {
            clock: self.clock[at % CELLS],
            who: self.who[at % CELLS],
        }
    }

    #[inline]
    pub fn set(&mut self, at: usize, entry: Entry) {
        self.latest = self.latest.max(entry.clock);
        self.clock[at % CELLS] = entry.clock;
        self.who[at % CELLS] = entry.who;
    }
}

/// The cells of 512 grains.
#[derive(Debug, Clone, Copy, bytemuck::Zeroable)]
pub(super) struct Block {
    /// The last write.
    pub write: Slot,
    /// Two readers.
    pub read: [Slot; 2],
    /// The last stamps at which a read and a write of one of these cells were put in the side table.
    pub spilled: [u32; 2],
}

/// The blocks of a range.
#[derive(Debug)]
pub(super) struct Table {
    /// For each 512 cells, one more than the index of their block; 0 for none. Zeroed pages until touched.
    places: Vec<u32>,
    /// The places that have a block.
    touched: Vec<u32>,
    blocks: Vec<Box<Block>>,
}

impl Table {
    /// Room for `cells` cells.
    pub fn new(cells: u64) -> Table {
        let places = usize::try_from(cells.div_ceil(CELLS as u64)).unwrap_or(0);
        Table {
            places: vec![0; places],
            touched: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// Empties all cells.
    pub fn forget(&mut self) {
        for block in &mut self.blocks {
            **block = bytemuck::Zeroable::zeroed();
        }
    }

    /// The block of a cell, made if it is not there. `None` outside the range.
    #[inline]
    pub fn block(&mut self, cell: u64) -> Option<&mut Block> {
        let place = usize::try_from(cell / CELLS as u64).ok()?;
        let index = *self.places.get(place)? as usize;
        if index == 0 {
            return self.add(place);
        }
        self.blocks.get_mut(index - 1).map(|block| &mut **block)
    }

    #[cold]
    fn add(&mut self, place: usize) -> Option<&mut Block> {
        self.touched.push(u32::try_from(place).ok()?);
        self.places[place] = self.touched.len() as u32;
        self.blocks.push(bytemuck::zeroed_box());
        self.blocks.last_mut().map(|block| &mut **block)
    }

    /// The blocks in use, with their places.
    pub fn in_use(&self) -> impl Iterator<Item = (u32, &Block)> {
        self.touched
            .iter()
            .zip(&self.blocks)
            .map(|(place, block)| (*place, &**block))
    }
}
