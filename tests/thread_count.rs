//! An engine with N threads is N threads. The only test of its binary, since it counts those of the process.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::{Duration, Instant};

use qwarp::DType;
use qwarp::engine::Request;
use support::{Run, engine, repo};

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn an_engine_uses_no_more_threads_than_it_was_given() {
    let folder = repo("tests/golden/tiny/tied-gqa7-bf16");
    for count in [1, 2, 3, 5] {
        let before = threads();
        let run = Run {
            threads: count,
            ..Run::new(DType::Bf16)
        };
        let mut engine = engine(&folder, run, 64);
        engine.submit(Request::new((1..40).collect(), 20)).unwrap();
        let mut steps = 0;
        while !engine.is_idle() {
            engine.step(&mut |_| {}).unwrap();
            steps += 1;
            // The calling thread is one of them.
            assert_eq!(threads(), before + count - 1);
        }
        assert!(steps >= 20, "{steps} steps");
        drop(engine);
        // A thread stays listed for a moment after it has been joined.
        let patience = Instant::now() + Duration::from_secs(5);
        while threads() > before && Instant::now() < patience {
            std::thread::yield_now();
        }
        assert_eq!(threads(), before);
    }
}
