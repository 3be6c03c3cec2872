//! SplitMix64, so that an input is a function of (seed, parser, index) on every machine.

/// A stream of random numbers.
pub struct Rng(u64);

impl Rng {
    /// The stream of one input.
    pub fn new(seed: u64, parser: u64, index: u64) -> Self {
        let mut rng = Rng(seed);
        for word in [parser, index] {
            rng.0 = rng.next() ^ word.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        rng
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of `items`, if there is one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}
