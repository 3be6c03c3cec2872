//! Speed of the emulator in lane-instructions a second (criterion's elements), on one host thread: the shipped RMSNorm
//! kernel and a matrix-vector product, with the checks and without. `cargo bench --bench emu`
//!
//! `benches/emu/matrix_vector.ptx` is `matrix_vector.cu` by `tools/make_emu_cu_cases.py`.

use std::process::ExitCode;

use criterion::{Criterion, Throughput};
use half::f16;
use qwarp::backend::gpu::kernels::{Kernels, missing};
use qwarp::backend::gpu::launch::RmsNorm;
use qwarp::driver::{
    Args, DevicePtr, DeviceType, Driver, DriverError, Geometry, Image, In, Launch, Out, Result,
    Target,
};
use qwarp::emu::{EmuOptions, Emulator};

const MATRIX_VECTOR: &str = include_str!("emu/matrix_vector.ptx");
/// The hidden size of Qwen2.5-1.5B.
const HIDDEN: usize = 1536;
const ROWS: usize = 64;
const TARGET: Target = Target::Sm80;

fn value(index: usize) -> f32 {
    ((index * 37 % 1009) as f32 - 504.0) / 700.0
}

fn upload<T: DeviceType>(device: &Emulator, count: usize, of: fn(f32) -> T) -> Result<DevicePtr> {
    let values: Vec<T> = (0..count).map(|index| of(value(index))).collect();
    let ptr = device.alloc(count * size_of::<T>())?;
    device.copy_in(ptr, bytemuck::cast_slice(&values))?;
    Ok(ptr)
}

fn rms_norm(device: &Emulator) -> Result<Launch> {
    let kernels = Kernels::load(device)?;
    let x = upload(device, ROWS * HIDDEN, |x| x)?;
    let weight = upload(device, HIDDEN, |x| x)?;
    let out = device.alloc(ROWS * HIDDEN * size_of::<f16>())?;
    let norm = RmsNorm {
        rows: ROWS,
        n: HIDDEN,
        eps: 1e-6,
        x: In::new(x, ROWS * HIDDEN),
        weight: In::new(weight, HIDDEN),
        out: Out::<f16>::new(out, ROWS * HIDDEN),
    };
    norm.launch(&kernels)
}

fn matrix_vector(device: &Emulator) -> Result<Launch> {
    let module = device.load_module(&Image {
        name: "matrix_vector",
        target: TARGET,
        ptx: MATRIX_VECTOR,
        cubin: None,
    })?;
    let function = device.function(module, "matrix_vector_f16")?;
    let function = function.ok_or_else(|| DriverError::Module {
        module: "matrix_vector".into(),
        reason: "no kernel matrix_vector_f16".into(),
    })?;
    let weights = upload(device, ROWS * HIDDEN, f16::from_f32)?;
    let x = upload(device, HIDDEN, f16::from_f32)?;
    let y = device.alloc(ROWS * size_of::<f32>())?;
    let mut args = Args::default();
    args.input(In::<f16>::new(weights, ROWS * HIDDEN));
    args.input(In::<f16>::new(x, HIDDEN));
    args.output(Out::<f32>::new(y, ROWS));
    args.scalar(ROWS as u32);
    args.scalar(HIDDEN as u32);
    Ok(Launch {
        function,
        geometry: Geometry {
            grid: [ROWS as u32 / 4, 1, 1],
            block: [128, 1, 1],
            shared_bytes: 0,
        },
        args,
    })
}

fn measure(
    criterion: &mut Criterion,
    name: &str,
    build: fn(&Emulator) -> Result<Launch>,
) -> Result<()> {
    for checks in [false, true] {
        let device = Emulator::new(EmuOptions {
            target: TARGET,
            host_threads: 1,
            checks,
            counters: false,
        });
        let launch = build(&device)?;
        device.launch(&launch)?;
        let mut group = criterion.benchmark_group(format!("emu/{name}"));
        group.throughput(Throughput::Elements(device.instructions()));
        let mut failed = None;
        group.bench_function(if checks { "checked" } else { "unchecked" }, |b| {
            b.iter(|| failed = device.launch(&launch).err());
        });
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut criterion = Criterion::default().configure_from_args();
    let mut result = measure(&mut criterion, "matrix_vector", matrix_vector);
    match missing() {
        Some(reason) => eprintln!("skipped: emu/rms_norm: {reason}"),
        None => result = result.and_then(|()| measure(&mut criterion, "rms_norm", rms_norm)),
    }
    criterion.final_summary();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
