//! Time of the GPU kernels by CUDA events, at decode and prefill sizes of the real models, each launch with the caches
//! flushed before it. Needs a GPU; elsewhere it says so and ends. `cargo bench --bench kernels`

use std::process::ExitCode;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use qwarp::backend::gpu::kernels::Kernels;
use qwarp::driver::cuda::Cuda;
use qwarp::driver::{Driver, DriverError};

#[path = "../tests/support/gpu_bench/mod.rs"]
mod gpu_bench;
#[path = "../tests/support/gpu_cases/mod.rs"]
mod gpu_cases;

use gpu_bench::{Flush, cold, copy};
use gpu_cases::{Device, REAL, Work, timed};

/// More than the L2 cache of any card.
const FLUSHED_BYTES: usize = 512 << 20;

fn main() -> ExitCode {
    // Only here a machine may have nothing to measure; whatever fails from then on is a failure.
    let opened = Cuda::open(0).and_then(|cuda| Ok((Kernels::load(&cuda)?, cuda)));
    let (kernels, cuda) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            println!("kernels: not measured: {error}");
            return ExitCode::SUCCESS;
        }
    };
    match run(&cuda, &kernels) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cuda: &Cuda, kernels: &Kernels) -> Result<(), DriverError> {
    let mut criterion = Criterion::default().configure_from_args();
    let device = Device::new(cuda, kernels);
    let flush = Flush::new(&device, FLUSHED_BYTES)?;
    let whole = copy(cuda, &device, FLUSHED_BYTES)?;
    let size = FLUSHED_BYTES.to_string();
    measure(
        &mut criterion,
        cuda,
        ["copy", "device", &size],
        &whole,
        &flush,
    );
    for timed in timed(&REAL) {
        if !timed.case.runs_on(cuda.facts().target) {
            continue;
        }
        let device = Device::new(cuda, kernels);
        let work = timed.case.prepare(&device)?;
        let name = format!("{}_{}", timed.case.op(), timed.case.dtype());
        let names = [&name, timed.model, &timed.rows.to_string()];
        measure(&mut criterion, cuda, names, &work, &flush);
    }
    criterion.final_summary();
    Ok(())
}

/// The device's own time of each launch, in criterion's statistics.
fn measure(
    criterion: &mut Criterion,
    driver: &dyn Driver,
    [name, model, rows]: [&str; 3],
    work: &Work<'_>,
    flush: &Flush,
) {
    let mut group = criterion.benchmark_group(format!("kernel/{name}"));
    group.throughput(Throughput::BytesDecimal(work.floor_bytes as u64));
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
