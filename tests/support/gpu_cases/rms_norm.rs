//! RMSNorm, alone and with the residual sum before it.

use std::marker::PhantomData;

use half::{bf16, f16};
use qwarp::backend::cpu::reference::{self, Matrix};
use qwarp::backend::gpu::launch::{self, RmsNormType};
use qwarp::driver::{DriverError, Target};

use super::bound::Bound;
use super::number::{Real, values, wide};
use super::{Case, Device, Output, RowRange, Work};

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

struct RmsNorm<T> {
    rows: RowRange,
    n: usize,
    add: bool,
    out: PhantomData<fn() -> T>,
}

/// Every shape with every type of output, with and without the sum.
pub fn cases() -> Vec<Box<dyn Case>> {
    fn of<T: Real + RmsNormType>(add: bool) -> impl Iterator<Item = Box<dyn Case>> {
        SHAPES.iter().map(move |&(rows, n)| -> Box<dyn Case> {
            Box::new(RmsNorm::<T> {
                rows: RowRange::first(rows),
                n,
                add,
                out: PhantomData,
            })
        })
    }
    let with_sum = of::<f16>(true).chain(of::<bf16>(true));
    of::<f16>(false)
        .chain(of::<bf16>(false))
        .chain(with_sum)
        .collect()
}

impl<T: Real + RmsNormType> Case for RmsNorm<T> {
    fn op(&self) -> &'static str {
        if self.add { "add_rms_norm" } else { "rms_norm" }
    }

    fn name(&self) -> String {
        let (op, rows, n, dtype) = (self.op(), self.rows, self.n, T::DTYPE);
        format!("{op} {dtype}, {rows:?}, n {n}")
    }

    fn runs_on(&self, target: Target) -> bool {
        T::runs_on(target)
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

    fn prepare(&self, device: &Device<'_>) -> Result<Work, DriverError> {
        let (rows, n) = (self.rows.count, self.n);
        let (x, delta) = (self.rows.values(n, 2), self.rows.values(n, 3));
        let weight = values(0..n, 4);
        let sum = wide(&x)
            .iter()
            .zip(wide(&delta))
            .map(|(x, d)| x + d)
            .collect();
        let normed = Matrix {
            cols: n,
            data: if self.add { sum } else { wide(&x) },
        };
        let expected = reference::rms_norm(&normed, &wide(&weight), f64::from(EPS));
        let (weight, out) = (device.input(&weight)?, device.output::<T>(rows * n)?);
        let out_bound = T::rounded_once();
        let mut work = Work {
            launches: Vec::new(),
            outputs: vec![Output::new::<T>("out", out.ptr, expected.data, out_bound).in_rows(rows)],
            floor_bytes: rows * n * (4 + size_of::<T>()) + n * 4,
        };
        if !self.add {
            let launch = launch::RmsNorm {
                rows,
                n,
                eps: EPS,
                x: device.input(&x)?,
                weight,
                out,
            };
            work.launches.push(launch.launch(device.kernels)?);
            return Ok(work);
        }
        let (x, delta) = (device.in_out(&x)?, device.input(&delta)?);
        let launch = launch::AddRmsNorm {
            rows,
            n,
            eps: EPS,
            x,
            delta,
            weight,
            out,
        };
        work.launches.push(launch.launch(device.kernels)?);
        // One addition, correctly rounded.
        let bound = Bound {
            rtol: f32::HALF_ULP,
            atol: 0.0,
            nmse: 1e-14,
        };
        work.outputs
            .push(Output::new::<f32>("x", x.ptr, normed.data, bound).in_rows(rows));
        work.floor_bytes += rows * n * 8;
        Ok(work)
    }
}
