//! Time of the worker threads themselves: an empty step, a barrier, and how long a step takes to start after the host
//! has done something else. `cargo bench --bench pool`

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use qwarp::backend::cpu::pool::Pool;

/// Barriers of one step: a model of 24 layers has about as many ops.
const BARRIERS: u32 = 200;

/// Keeps this thread busy, as sampling and text do between two steps.
fn busy(time: Duration) {
    let started = Instant::now();
    while started.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn pool(c: &mut Criterion) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut counts = vec![1, 2, cores, 2 * cores];
    counts.sort_unstable();
    counts.dedup();
    for count in counts {
        let Ok(mut pool) = Pool::new(count) else {
            continue;
        };
        let mut group = c.benchmark_group(format!("pool/{count}_threads"));
        group.bench_function("empty_step", |b| b.iter(|| pool.run(&|_| {})));
        group.bench_function("barrier", |b| {
            b.iter_custom(|times| {
                let started = Instant::now();
                for _ in 0..times.div_ceil(u64::from(BARRIERS)) {
                    pool.run(&|worker| (0..BARRIERS).for_each(|_| worker.barrier()));
                }
                started.elapsed() * times as u32
                    / (times.div_ceil(u64::from(BARRIERS)) as u32 * BARRIERS)
            });
        });
        // The wait for the start alone; 20 µs is a small model's sampling, after 2 ms every worker is parked.
        for gap_us in [20, 50, 2_000] {
            group.bench_function(format!("step_after_{gap_us}_us"), |b| {
                b.iter_custom(|times| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..times {
                        busy(Duration::from_micros(gap_us));
                        let started = Instant::now();
                        pool.run(&|_| {});
                        spent += started.elapsed();
                    }
                    spent
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = pool
}
criterion_main!(benches);
