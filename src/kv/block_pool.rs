//! The free list of physical KV blocks.

/// A fixed number of blocks, each owned by at most one sequence.
#[derive(Debug)]
pub struct BlockPool {
    /// Blocks nobody owns; the last is given out next.
    free: Vec<u32>,
    /// By block: whether it is given out.
    owned: Vec<bool>,
}

impl BlockPool {
    /// A pool of `num_blocks` free blocks.
    pub fn new(num_blocks: usize) -> Self {
        BlockPool {
            free: (0..num_blocks as u32).rev().collect(),
            owned: vec![false; num_blocks],
        }
    }

    /// Blocks nobody owns.
    pub fn num_free(&self) -> usize {
        self.free.len()
    }

    /// All blocks.
    pub fn num_blocks(&self) -> usize {
        self.owned.len()
    }

    /// `count` blocks, or `None` and no change if there are fewer.
    pub fn allocate(&mut self, count: usize) -> Option<Vec<u32>> {
        let rest = self.free.len().checked_sub(count)?;
        let blocks: Vec<u32> = self.free.drain(rest..).rev().collect();
        for &block in &blocks {
            self.owned[block as usize] = true;
        }
        Some(blocks)
    }

    /// Takes blocks back. A block that was not given out is not taken, so a double release cannot put it in two hands.
    pub fn release(&mut self, blocks: impl IntoIterator<Item = u32>) {
        for block in blocks {
            if self
                .owned
                .get_mut(block as usize)
                .is_some_and(std::mem::take)
            {
                self.free.push(block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_in_one_hand_and_come_back() {
        let mut pool = BlockPool::new(5);
        let a = pool.allocate(3).unwrap();
        let b = pool.allocate(2).unwrap();
        let mut all: Vec<u32> = a.iter().chain(&b).copied().collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
        assert_eq!(pool.allocate(1), None);
        pool.release(b.clone());
        pool.release(b);
        assert_eq!(pool.num_free(), 2, "a second release changes nothing");
        assert_eq!(pool.allocate(3), None, "a refused request takes nothing");
        assert_eq!(pool.num_free(), 2);
    }
}
