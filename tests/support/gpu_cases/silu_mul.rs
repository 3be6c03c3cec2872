//! SiLU times up.

use std::marker::PhantomData;

use half::{bf16, f16};
use qwarp::backend::cpu::elementwise;
use qwarp::backend::cpu::reference::{self, Matrix};
use qwarp::backend::cpu::simd::Path;
use qwarp::backend::gpu::launch::{self, SiluMulType};
use qwarp::driver::{DriverError, Target};
use qwarp::dtype::DType;

use super::number::{Real, rounded, wide};
use super::{Case, Device, Model, Op, Output, RowRange, Work};

/// Rows and elements of an output row. A CTA takes 512 elements of a row, a thread four.
const SHAPES: [(usize, usize); 46] = [
    (1, 1),
    (3, 2),
    (2, 3),
    (1, 4),
    (5, 5),
    (2, 6),
    (4, 7),
    (2, 8),
    (3, 9),
    (1, 15),
    (2, 16),
    (3, 17),
    (2, 31),
    (1, 32),
    (2, 33),
    (3, 63),
    (2, 64),
    (1, 65),
    (3, 75),
    (2, 127),
    (1, 128),
    (2, 129),
    (1, 251),
    (3, 256),
    (2, 257),
    (2, 500),
    (1, 509),
    (2, 510),
    (2, 511),
    (3, 512),
    (2, 513),
    (1, 516),
    (1, 1021),
    (2, 1024),
    (1, 1025),
    (3, 1536),
    (1, 2047),
    (2, 2048),
    (2, 2050),
    (3, 4864),
    (1, 4865),
    (2, 8960),
    (1, 8963),
    (1, 9728),
    (2, 18944),
    (1, 27648),
];

/// Its cases.
pub const OP: Op = Op { cases, at };

struct SiluMul<T> {
    rows: RowRange,
    n: usize,
    out: PhantomData<fn() -> T>,
}

/// Every shape with every type of output.
fn cases() -> Vec<Box<dyn Case>> {
    fn of<T: Real + SiluMulType>() -> impl Iterator<Item = Box<dyn Case>> {
        SHAPES.iter().map(|&(rows, n)| -> Box<dyn Case> {
            Box::new(SiluMul::<T> {
                rows: RowRange::first(rows),
                n,
                out: PhantomData,
            })
        })
    }
    of::<f16>().chain(of::<bf16>()).collect()
}

/// At the sizes of a model.
fn at(model: &Model, rows: usize) -> Vec<Box<dyn Case>> {
    fn of<T: Real + SiluMulType>(rows: usize, n: usize) -> Box<dyn Case> {
        Box::new(SiluMul::<T> {
            rows: RowRange::first(rows),
            n,
            out: PhantomData,
        })
    }
    vec![of::<f16>(rows, model.inner), of::<bf16>(rows, model.inner)]
}

/// The CPU backend's f32 results.
fn on_cpu(gate_up: &[f32], n: usize) -> Vec<f32> {
    let mut all = vec![0.0; gate_up.len() / 2];
    for (row, out) in gate_up.chunks(2 * n).zip(all.chunks_mut(n)) {
        let (gate, up) = row.split_at(n);
        Path::best().run(elementwise::SiluMul { gate, up, out });
    }
    all
}

impl<T: Real + SiluMulType> Case for SiluMul<T> {
    fn op(&self) -> &'static str {
        "silu_mul"
    }

    fn name(&self) -> String {
        let (rows, n, dtype) = (self.rows, self.n, T::DTYPE);
        format!("silu_mul {dtype}, {rows:?}, n {n}")
    }

    fn runs_on(&self, target: Target) -> bool {
        T::runs_on(target)
    }

    fn dtype(&self) -> DType {
        T::DTYPE
    }

    fn rows(&self) -> RowRange {
        self.rows
    }

    fn with_rows(&self, rows: RowRange) -> Box<dyn Case> {
        Box::new(SiluMul::<T> { rows, ..*self })
    }

    fn with_width(&self, n: usize) -> Box<dyn Case> {
        Box::new(SiluMul::<T> { n, ..*self })
    }

    fn floor_bytes(&self) -> usize {
        self.rows.count * self.n * (8 + size_of::<T>())
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let (rows, n) = (self.rows.count, self.n);
        // Up to 20, so that the exponential is large, small, and near one; one in seven up to 120, where it is clamped.
        let gate_up: Vec<f32> = self
            .rows
            .values(2 * n, 5)
            .iter()
            .zip(self.rows.first * 2 * n..)
            .map(|(x, i)| x * if i % 7 == 3 { 60.0 } else { 10.0 })
            .collect();
        let out = device.output::<T>(rows * n)?;
        let launch = launch::SiluMul {
            rows,
            n,
            gate_up: device.input(&gate_up)?,
            out,
        };
        Ok(Work {
            launches: vec![launch.launch(device.kernels)?],
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || {
                let expected = reference::silu_mul(&Matrix {
                    cols: 2 * n,
                    data: wide(&gate_up),
                });
                vec![
                    Output::new::<T>("out", out.ptr, expected.data, T::rounded_once())
                        .equal_to_cpu(rounded::<T>(&on_cpu(&gate_up, n)))
                        .in_rows(rows),
                ]
            }),
        })
    }
}
