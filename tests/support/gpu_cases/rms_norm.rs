//! RMSNorm.

use std::marker::PhantomData;

use half::{bf16, f16};
use qwarp::backend::cpu::reference::{self, Matrix};
use qwarp::backend::gpu::launch::{self, RmsNormType};
use qwarp::driver::{DriverError, Target};
use qwarp::dtype::DType;

use super::number::{Real, values, wide};
use super::{Case, Device, Model, Op, Output, RowRange, Work};

const EPS: f32 = 1e-6;

/// Rows and elements of a row. A thread takes four elements, a CTA up to 4096 before it goes round again.
const SHAPES: [(usize, usize); 52] = [
    (1, 1),
    (3, 2),
    (2, 3),
    (1, 4),
    (5, 5),
    (2, 7),
    (3, 8),
    (2, 15),
    (1, 16),
    (2, 17),
    (3, 31),
    (2, 32),
    (1, 33),
    (2, 63),
    (3, 64),
    (2, 65),
    (1, 97),
    (2, 127),
    (5, 128),
    (2, 129),
    (1, 131),
    (3, 132),
    (2, 251),
    (2, 255),
    (3, 256),
    (1, 257),
    (2, 511),
    (2, 512),
    (1, 513),
    (5, 896),
    (2, 997),
    (2, 1000),
    (1, 1023),
    (3, 1024),
    (2, 1025),
    (7, 1536),
    (1, 2047),
    (2, 2048),
    (1, 2049),
    (1, 3583),
    (4, 3584),
    (1, 3585),
    (2, 4093),
    (1, 4095),
    (2, 4096),
    (1, 4097),
    (2, 4100),
    (2, 5120),
    (1, 8191),
    (2, 8192),
    (1, 8195),
    (1, 18944),
];

/// Its cases.
pub const OP: Op = Op { cases, at };

struct RmsNorm<T> {
    rows: RowRange,
    n: usize,
    out: PhantomData<fn() -> T>,
}

/// Every shape with every type of output.
fn cases() -> Vec<Box<dyn Case>> {
    let each = |&(rows, n)| [case::<f16>(rows, n), case::<bf16>(rows, n)];
    SHAPES.iter().flat_map(each).collect()
}

/// At the sizes of a model.
fn at(model: &Model, rows: usize) -> Vec<Box<dyn Case>> {
    vec![
        case::<f16>(rows, model.hidden),
        case::<bf16>(rows, model.hidden),
    ]
}

fn case<T: Real + RmsNormType>(rows: usize, n: usize) -> Box<dyn Case> {
    Box::new(RmsNorm::<T> {
        rows: RowRange::first(rows),
        n,
        out: PhantomData,
    })
}

impl<T: Real + RmsNormType> Case for RmsNorm<T> {
    fn op(&self) -> &'static str {
        "rms_norm"
    }

    fn name(&self) -> String {
        let (op, rows, n, dtype) = (self.op(), self.rows, self.n, T::DTYPE);
        format!("{op} {dtype}, {rows:?}, n {n}")
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
        Box::new(RmsNorm::<T> { rows, ..*self })
    }

    fn with_width(&self, n: usize) -> Box<dyn Case> {
        Box::new(RmsNorm::<T> { n, ..*self })
    }

    fn floor_bytes(&self) -> usize {
        let (rows, n) = (self.rows.count, self.n);
        rows * n * (4 + size_of::<T>()) + n * 4
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let (rows, n) = (self.rows.count, self.n);
        let (x, weight) = (self.rows.values(n, 2), values(0..n, 4));
        let out = device.output::<T>(rows * n)?;
        let launch = launch::RmsNorm {
            rows,
            n,
            eps: EPS,
            x: device.input(&x)?,
            weight: device.input(&weight)?,
            out,
        };
        Ok(Work {
            launches: vec![launch.launch(device.kernels)?],
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || {
                let x = Matrix {
                    cols: n,
                    data: wide(&x),
                };
                let expected = reference::rms_norm(&x, &wide(&weight), f64::from(EPS));
                let out = Output::new::<T>("out", out.ptr, expected.data, T::rounded_once());
                vec![out.in_rows(rows)]
            }),
        })
    }
}
