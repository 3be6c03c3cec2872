//! The worker threads: none lost or woken in vain, none busy while there is nothing to do.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use qwarp::backend::cpu::pool::Pool;
use support::all_cores;

/// The threads of this process whose names begin with `name`, as folders of /proc.
fn threads(name: &str) -> Vec<std::path::PathBuf> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let folders = tasks.map(|task| task.unwrap().path());
    folders
        .filter(|task| {
            // A thread may end between the listing and the look.
            let found = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
            found.starts_with(name)
        })
        .collect()
}

/// Ticks of 10 ms that the worker threads have run for, in user and in kernel mode.
fn worker_ticks() -> u64 {
    let ticks = |task: &std::path::PathBuf| -> u64 {
        let stat = std::fs::read_to_string(task.join("stat")).unwrap();
        // The name stands in parentheses and may hold anything; times are fields 14 and 15 of the line.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let times = fields.skip(11).take(2);
        times.map(|field| field.parse::<u64>().unwrap()).sum()
    };
    threads("qwarp-").iter().map(ticks).sum()
}

/// Keeps this thread busy, as the host's work between two steps does.
fn busy(time: Duration) {
    let started = Instant::now();
    while started.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[test]
fn every_thread_runs_every_step_once_however_long_the_host_takes_between() {
    let _cores = all_cores();
    // More threads than cores too.
    for count in [1, 2, 3, 8] {
        let mut pool = Pool::new(count).unwrap();
        let visits: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        let mut expected = 0;
        // In the middle of a spin, at its end, after it.
        for gap_us in [0, 1, 20, 190, 195, 200, 205, 210, 400, 2_000] {
            for _ in 0..40 {
                busy(Duration::from_micros(gap_us));
                pool.run(&|worker| {
                    visits[worker.index].fetch_add(1, Ordering::Relaxed);
                    worker.barrier();
                    // Behind the barrier everyone's visit can be seen.
                    let total: usize = visits.iter().map(|v| v.load(Ordering::Relaxed)).sum();
                    assert_eq!(total, count * (expected + 1));
                    worker.barrier();
                });
                expected += 1;
                for visit in &visits {
                    assert_eq!(visit.load(Ordering::Relaxed), expected);
                }
            }
        }
        assert_eq!(expected, 400);
    }
}

#[test]
fn a_pool_ends_its_threads_parked_or_spinning_or_never_used() {
    let _cores = all_cores();
    for (steps, wait_ms) in [(0, 0), (1, 0), (1, 5)] {
        let mut pool = Pool::new(3).unwrap();
        (0..steps).for_each(|_| pool.run(&|worker| worker.barrier()));
        std::thread::sleep(Duration::from_millis(wait_ms));
        // A thread that has just been started may not have its name yet; after a step it has.
        assert!(steps == 0 || threads("qwarp-").len() == 2);
        drop(pool);
        // A thread stays listed for a moment after it has been joined.
        let patience = Instant::now() + Duration::from_secs(5);
        while !threads("qwarp-").is_empty() && Instant::now() < patience {
            std::thread::yield_now();
        }
        assert_eq!(threads("qwarp-").len(), 0, "after {steps} steps");
    }
}

#[test]
fn idle_workers_take_no_processor_time() {
    let _cores = all_cores();
    let mut pool = Pool::new(3).unwrap();
    // First that the time of busy workers is seen: 50 ms of it.
    let before = worker_ticks();
    let mut steps = 0;
    while worker_ticks() < before + 5 {
        for _ in 0..100 {
            pool.run(&|_| busy(Duration::from_micros(100)));
        }
        steps += 100;
        assert!(steps < 1_000_000, "no processor time is counted");
    }
    // The last step's spin ends.
    std::thread::sleep(Duration::from_millis(20));
    let idle = worker_ticks();
    std::thread::sleep(Duration::from_millis(200));
    // Two workers that spun would have taken up to 40 ticks; one may be counted late.
    let taken = worker_ticks() - idle;
    assert!(taken <= 1, "{taken} ticks in 20 of sleep");
    assert_eq!(threads("qwarp-").len(), 2);
}
