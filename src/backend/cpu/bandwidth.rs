//! How fast these threads can read these weights: the limit that decode speed is held against, measured in the same run.

use std::time::Instant;

use super::pool::Pool;
use super::simd::{Isa, Kernel, Path};
use crate::checkpoint::Weights;
use crate::checkpoint::weights::Elements;
use crate::graph::{Op, Plan};

/// Bytes between a read and its prefetch.
const AHEAD: usize = 4096;

/// The speed of one pass over all matrices, in GB/s.
pub fn read_gb_per_s(plan: &Plan, weights: &Weights, pool: &mut Pool, path: Path) -> f64 {
    let parts: Vec<&[u8]> = plan
        .steps()
        .iter()
        .filter_map(|node| match node.op {
            Op::Linear { weight, .. } => Some(weight),
            _ => None,
        })
        .flat_map(|weight| weights.matrix(weight))
        .map(|part| match part.elements {
            Elements::Bf16(values) => bytemuck::cast_slice(values),
            Elements::F16(values) => bytemuck::cast_slice(values),
            Elements::F32(values) => bytemuck::cast_slice(values),
        })
        .collect();
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let started = Instant::now();
    pool.run(&|worker| {
        for part in &parts {
            // As the products do: each thread its rows of each matrix, in order.
            let mut total = 0;
            path.run(Sum {
                bytes: &part[worker.share(part.len(), 64)],
                total: &mut total,
            });
            std::hint::black_box(total);
        }
    });
    bytes as f64 / started.elapsed().as_secs_f64() / 1e9
}

/// Reads every byte once, asking for lines ahead of time as the matrix product does.
struct Sum<'a> {
    bytes: &'a [u8],
    total: &'a mut u64,
}

impl Kernel for Sum<'_> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let mut lanes = [0u64; 8];
        for line in self.bytes.as_chunks::<64>().0 {
            isa.prefetch(line, AHEAD);
            for (lane, word) in lanes.iter_mut().zip(line.as_chunks::<8>().0) {
                *lane = lane.wrapping_add(u64::from_le_bytes(*word));
            }
        }
        *self.total = lanes.into_iter().fold(0, u64::wrapping_add);
    }
}
