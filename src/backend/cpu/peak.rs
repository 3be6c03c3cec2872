//! How fast these threads multiply and add when nothing has to be loaded: the limit that prefill speed is held against,
//! measured in the same run. In f32, which all kernels compute in.

use std::hint::black_box;
use std::time::Instant;

use super::pool::Pool;
use super::simd::{Isa, Kernel, LANES, Path, tree_sum};

/// Multiply-adds of each chain: one to four milliseconds with AVX-512, so that starting the threads does not count.
const ROUNDS: usize = 1 << 20;

/// Chains that depend on themselves alone. Few cannot hide the latency of an addition and many do not fit in the
/// registers; which number is best depends on the path, so each is tried.
const CHAINS: [usize; 4] = [2, 4, 7, 12];

/// The best of all numbers of chains, in TFLOP/s; a multiplication and an addition count as one each.
pub fn tflop_per_s(pool: &mut Pool, path: Path) -> f64 {
    let mut pass = |chains: usize| {
        let started = Instant::now();
        pool.run(&|_| {
            let mut result = 0.0;
            path.run(Chains {
                chains,
                result: &mut result,
            });
            black_box(result);
        });
        let flops = 2 * pool.threads() * chains * ROUNDS * LANES;
        flops as f64 / started.elapsed().as_secs_f64() / 1e12
    };
    CHAINS
        .iter()
        .map(|&chains| pass(chains))
        .fold(0.0, f64::max)
}

struct Chains<'a> {
    chains: usize,
    result: &'a mut f32,
}

impl Kernel for Chains<'_> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        *self.result = match self.chains {
            2 => chains::<I, 2>(isa),
            4 => chains::<I, 4>(isa),
            7 => chains::<I, 7>(isa),
            _ => chains::<I, 12>(isa),
        };
    }
}

#[inline(always)]
fn chains<I: Isa, const N: usize>(isa: I) -> f32 {
    // Products with one half are exact, and the sums go towards 2: nothing slow such as a denormal comes up.
    let (half, one) = (isa.splat(black_box(0.5)), isa.splat(black_box(1.0)));
    let mut sums = [isa.splat(0.0); N];
    for sum in &mut sums {
        *sum = isa.splat(black_box(1.0));
    }
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = isa.madd_exact(*sum, half, one);
        }
    }
    let mut total = sums[0];
    for &sum in &sums[1..] {
        total = isa.add(total, sum);
    }
    tree_sum(isa, total)
}
