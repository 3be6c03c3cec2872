//! Time of the GPU kernels by CUDA events, at decode and prefill sizes of the real models, each launch with the caches
//! flushed before it. Needs a GPU; elsewhere it says so and ends. `cargo bench --bench kernels`

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use half::f16;
use qwarp::backend::gpu::kernels::Kernels;
use qwarp::driver::cuda::Cuda;
use qwarp::driver::{Driver, DriverError};

#[path = "../tests/support/gpu_bench/mod.rs"]
mod gpu_bench;

use gpu_bench::{Buffers, Flush, Op, REAL, Shape, Work, cold, copy, rows};

/// More than the L2 cache of any card.
const FLUSHED_BYTES: usize = 512 << 20;

fn main() {
    if let Err(error) = run() {
        println!("kernels: not measured: {error}");
    }
}

fn run() -> Result<(), DriverError> {
    let cuda = Cuda::open(0)?;
    let kernels = Kernels::load(&cuda)?;
    let mut criterion = Criterion::default().configure_from_args();
    let buffers = Buffers::new(&cuda);
    let flush = Flush::new(&buffers, FLUSHED_BYTES)?;
    let whole = copy(&cuda, &buffers, FLUSHED_BYTES)?;
    measure(
        &mut criterion,
        &cuda,
        ["copy", "device"],
        FLUSHED_BYTES,
        &whole,
        &flush,
    );
    for (model, op) in REAL.iter().flat_map(|m| Op::ALL.map(|op| (m, op))) {
        for &rows in rows(op, model) {
            let buffers = Buffers::new(&cuda);
            let work = Shape { op, model, rows }.build::<f16>(&buffers, &kernels)?;
            let names: [&str; 2] = [&op.to_string(), model.name];
            measure(&mut criterion, &cuda, names, rows, &work, &flush);
        }
    }
    criterion.final_summary();
    Ok(())
}

/// The device's own time of each launch, in criterion's statistics.
fn measure(
    criterion: &mut Criterion,
    driver: &dyn Driver,
    [name, model]: [&str; 2],
    rows: usize,
    work: &Work,
    flush: &Flush,
) {
    let mut group = criterion.benchmark_group(format!("kernel/{name}"));
    group.throughput(Throughput::BytesDecimal(work.bytes as u64));
    group.bench_function(BenchmarkId::new(model, rows), |b| {
        b.iter_custom(
            |iterations| match cold(driver, work, flush, iterations as usize) {
                Ok(stats) => Duration::from_secs_f64(stats.sum / 1e6),
                Err(error) => {
                    eprintln!("error: {error}");
                    std::process::exit(1);
                }
            },
        );
    });
}
