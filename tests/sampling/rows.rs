//! Logit rows: real ones of the golden checkpoints, and random ones made to be awkward.

use crate::support::{Reference, repo};

/// SplitMix64: the tests' own randomness, unrelated to the generator under test.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// In 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// Near normal, standard deviation 1.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Every row of every tiny checkpoint's reference: 14 times 333.
pub fn real() -> Vec<Vec<f32>> {
    let mut folders: Vec<_> = std::fs::read_dir(repo("tests/golden/tiny"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    let rows = |folder: &std::path::PathBuf| {
        let (shape, logits) = Reference::open(&folder.join("reference.safetensors")).f32("logits");
        logits
            .chunks(shape[1])
            .map(<[f32]>::to_vec)
            .collect::<Vec<_>>()
    };
    folders.iter().flat_map(rows).collect()
}

/// The kinds of random row.
pub const KINDS: [&str; 10] = [
    "normal",
    "like a real vocabulary",
    "few levels, many ties",
    "all equal",
    "mostly -inf",
    "one finite",
    "huge spread",
    "one bit apart",
    "denormals",
    "zeros of both signs",
];

/// A random row of `kind`.
pub fn random(kind: &str, random: &mut Random) -> Vec<f32> {
    // Three in a hundred are larger than the sampler's blocks and first search range by far.
    let longest = if random.below(100) < 3 { 20_000 } else { 700 };
    let len = 1 + random.below(longest);
    let finite = random.below(len);
    (0..len)
        .map(|id| match kind {
            "normal" => 3.0 * random.normal(),
            // Zipf: a few tokens well above a long tail.
            "like a real vocabulary" => {
                -1.5 * (1.0 + random.below(len) as f32).ln() + random.normal()
            }
            "few levels, many ties" => random.below(4) as f32 - 2.0,
            "all equal" => -7.25,
            "mostly -inf" if id != finite && random.below(10) > 0 => f32::NEG_INFINITY,
            "mostly -inf" => random.normal(),
            "one finite" if id != finite => f32::NEG_INFINITY,
            "one finite" => -1e30,
            "huge spread" => random.pick(&[f32::MAX, f32::MIN, 1e30, -1e30, 0.0, 1.0, -1.0]),
            "one bit apart" => f32::from_bits(1.0f32.to_bits() + random.below(5) as u32),
            "denormals" => f32::from_bits(random.below(1 << 23) as u32) * random.pick(&[1.0, -1.0]),
            "zeros of both signs" => random.pick(&[0.0, -0.0, -0.0, -1.0, 1e-3]),
            other => panic!("no such kind: {other}"),
        })
        .collect()
}
