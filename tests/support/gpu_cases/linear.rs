//! Matrix products: with a bias, onto a residual, and with SiLU times up.

use std::marker::PhantomData;

use half::{bf16, f16};
use qwarp::backend::cpu::reference::{self, Matrix};
use qwarp::backend::gpu::launch::{self, LinearOut, LinearType};
use qwarp::backend::gpu::pack::{Packing, Rows, pack};
use qwarp::driver::{DriverError, Target};
use qwarp::dtype::DType;

use super::bound::Bound;
use super::number::{Real, values, wide};
use super::{Case, Device, Model, Op, Output, REAL, RowRange, Work};

/// Exact products, summed in f32 with truncation: 64 steps of a chunk, at most 37 chunks. Each step loses less than 2^-22 of
/// the largest of its terms and the sum so far, which is a few times the result's root mean square; what is lost is mostly of
/// one sign, so it adds up along a chunk, and chunks' sums are rounded to nearest.
pub(super) const SUMS: Bound = Bound {
    rtol: 1e-6,
    atol: 3e-5,
    nmse: 1e-10,
};

/// Tokens of a case, for each kernel in turn: up to 8, 16, 32, 128, and beyond.
pub(super) const TOKENS: [&[usize]; 5] = [
    &[1, 2, 3, 5, 7, 8],
    &[9, 10, 13, 15, 16],
    &[17, 23, 24, 31, 32],
    &[33, 40, 63, 64, 65, 100, 128],
    &[129, 130, 137],
];

/// Rows of the matrix and elements of k, for every kernel. Tiles are 16 by 16; a CTA of the last two kernels has 64 and 128
/// rows. Rows of x are read 16 bytes at once where k is a multiple of 8.
const SIZES: [(usize, usize); 40] = [
    (17, 1),
    (1, 2),
    (3, 3),
    (15, 7),
    (16, 8),
    (17, 9),
    (31, 15),
    (32, 16),
    (33, 17),
    (16, 24),
    (24, 31),
    (48, 32),
    (5, 33),
    (20, 40),
    (40, 41),
    (64, 47),
    (65, 48),
    (2, 49),
    (16, 55),
    (18, 56),
    (47, 63),
    (20, 64),
    (80, 65),
    (9, 71),
    (33, 72),
    (12, 73),
    (63, 79),
    (17, 80),
    (96, 81),
    (7, 88),
    (49, 95),
    (16, 96),
    (9, 97),
    (34, 100),
    (50, 104),
    (21, 111),
    (35, 112),
    (127, 113),
    (64, 127),
    (130, 128),
];

/// Tokens, rows and elements of k: several chunks of 512, of which a CTA of the first three kernels takes up to 10, 10 and 9
/// at a time, also with a warp that is left without one, and the sizes of models.
const SHAPES: [(usize, usize, usize); 52] = [
    (5, 16, 520),
    (8, 16, 255),
    (1, 31, 500),
    (2, 33, 511),
    (3, 48, 512),
    (1, 17, 513),
    (8, 40, 520),
    (12, 20, 520),
    (16, 48, 1023),
    (9, 17, 1024),
    (24, 20, 1040),
    (31, 17, 555),
    (32, 48, 512),
    (33, 65, 129),
    (64, 64, 520),
    (65, 19, 1040),
    (130, 17, 513),
    (140, 40, 560),
    (6, 16, 5640),
    (9, 16, 5640),
    (20, 17, 4616),
    (1, 896, 896),
    (8, 128, 1536),
    (2, 1536, 1536),
    (1, 128, 4864),
    (3, 48, 8960),
    (1, 32, 18_944),
    (33, 24, 3584),
    (8, 17, 1048),
    (7, 19, 1033),
    (16, 17, 1048),
    (13, 19, 1033),
    (31, 17, 1048),
    (29, 19, 1033),
    (8, 16, 1034),
    (5, 16, 1035),
    (7, 16, 1036),
    (3, 16, 1037),
    (6, 16, 1038),
    (16, 16, 1034),
    (11, 16, 1035),
    (13, 16, 1036),
    (9, 16, 1037),
    (15, 16, 1038),
    (32, 16, 1034),
    (19, 16, 1035),
    (29, 16, 1036),
    (23, 16, 1037),
    (27, 16, 1038),
    (8, 16, 5129),
    (16, 16, 5129),
    (32, 16, 5129),
];

/// Elements of k for the kernels that stream weights: any number of tiles as the last of those whose loads are under way at
/// once, with half of the last tile.
pub(super) fn endings() -> impl Iterator<Item = usize> {
    (17..=32).map(|tiles| tiles * 16 - 8)
}

/// As few tokens as each of these kernels is used for.
pub(super) const FEW_TOKENS: [usize; 3] = [1, 9, 17];

/// Tokens for each kernel in turn, at the sizes of models.
const TOKENS_OF_MODELS: [usize; 5] = [8, 16, 32, 128, 129];
/// Rows of the matrix at the sizes of models: as in a model, every CTA of any kernel has all of its rows.
const ROWS_OF_MODELS: usize = 128;

/// Tokens and elements of k of products of the real models, for every kernel: of what reads the residual stream or, no
/// narrower, attention's output, and of what reads the inner layer.
fn of_models(depth: fn(&Model) -> usize) -> impl Iterator<Item = (usize, usize)> {
    REAL.iter()
        .flat_map(move |model| TOKENS_OF_MODELS.map(|tokens| (tokens, depth(model))))
}

/// Every shape.
fn shapes() -> impl Iterator<Item = (usize, usize, usize)> {
    let small = TOKENS.iter().flat_map(|tokens| {
        let sizes = SIZES.iter().zip(tokens.iter().cycle());
        sizes.map(|(&(n, k), &tokens)| (tokens, n, k))
    });
    let endings = FEW_TOKENS
        .iter()
        .flat_map(|&tokens| endings().map(move |k| (tokens, 16, k)));
    small.chain(SHAPES).chain(endings)
}

/// Above this many weights, the same values come again after a prime number of them.
const MOST_VALUES: usize = 1 << 22;
const PERIOD: usize = 1_048_583;

/// Their cases.
pub const OP: Op = Op { cases, at };

/// Weights such that a sum of k products has the size of one.
pub(super) fn weights<T: Real>(n: usize, k: usize, seed: u32) -> Vec<T> {
    let scale = 0.5 / (k as f32).sqrt();
    let few = values(
        0..(n * k).min(if n * k > MOST_VALUES {
            PERIOD
        } else {
            MOST_VALUES
        }),
        seed,
    );
    let all = few.iter().cycle().take(n * k);
    all.map(|x| T::round(x * scale)).collect()
}

pub(super) fn matrix<T: Real>(cols: usize, values: &[T]) -> Matrix {
    Matrix {
        cols,
        data: wide(values),
    }
}

pub(super) fn rounded<T: Real>(values: &[f32]) -> Vec<T> {
    values.iter().map(|x| T::round(*x)).collect()
}

fn boxed<T: Real + LinearType>(
    shape: (usize, usize, usize),
    bias: bool,
    residual: bool,
) -> Box<dyn Case> {
    let (rows, n, k) = shape;
    Box::new(Linear::<T> {
        rows: RowRange::first(rows),
        n,
        k,
        bias,
        residual,
        of: PhantomData,
    })
}

fn boxed_silu_mul<T: Real + LinearType>((rows, n, k): (usize, usize, usize)) -> Box<dyn Case> {
    Box::new(LinearSiluMul::<T>::new(rows, n, k))
}

/// Every shape with every type and op; bias and residual in turns.
fn cases() -> Vec<Box<dyn Case>> {
    fn of<T: Real + LinearType>() -> impl Iterator<Item = Box<dyn Case>> {
        let plain = shapes().enumerate();
        let plain = plain.map(|(i, shape)| boxed::<T>(shape, i % 2 == 0, i % 3 == 0));
        // A column of gate and up is two rows.
        let silu_mul = shapes().map(|(t, n, k)| boxed_silu_mul::<T>((t, n / 2 + 3, k)));
        let depths = of_models(|m| m.hidden).chain(of_models(|m| m.inner));
        let of_models_plain =
            depths.map(|(t, k)| boxed::<T>((t, ROWS_OF_MODELS, k), false, k % 3 == 0));
        let of_models_silu_mul =
            of_models(|m| m.hidden).map(|(t, k)| boxed_silu_mul::<T>((t, ROWS_OF_MODELS / 2, k)));
        let of_models = of_models_plain.chain(of_models_silu_mul);
        plain.chain(silu_mul).chain(of_models)
    }
    of::<f16>().chain(of::<bf16>()).collect()
}

/// At the sizes of a model: attention's output, gate and up, down, and the head for each sequence.
fn at(model: &Model, rows: usize) -> Vec<Box<dyn Case>> {
    fn of<T: Real + LinearType>(m: &Model, rows: usize) -> Vec<Box<dyn Case>> {
        let mut cases = vec![
            boxed::<T>((rows, m.hidden, m.heads.q_dim()), false, true),
            boxed_silu_mul::<T>((rows, m.inner, m.hidden)),
            boxed::<T>((rows, m.hidden, m.inner), false, true),
        ];
        if rows <= m.sequences {
            cases.push(boxed::<T>((rows, m.vocab, m.hidden), false, false));
        }
        cases
    }
    let mut cases = of::<f16>(model, rows);
    cases.extend(of::<bf16>(model, rows));
    cases
}

struct Linear<T> {
    rows: RowRange,
    n: usize,
    k: usize,
    bias: bool,
    residual: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: Real + LinearType> Case for Linear<T> {
    fn op(&self) -> &'static str {
        "linear"
    }

    fn name(&self) -> String {
        let Linear { rows, n, k, .. } = *self;
        let (dtype, bias, residual) = (T::DTYPE, self.bias, self.residual);
        format!("linear {dtype}, {rows:?}, n {n}, k {k}, bias {bias}, residual {residual}")
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
        Box::new(Linear::<T> { rows, ..*self })
    }

    fn with_width(&self, k: usize) -> Box<dyn Case> {
        Box::new(Linear::<T> { k, ..*self })
    }

    fn floor_bytes(&self) -> usize {
        let Linear { rows, n, k, .. } = *self;
        let moved = if self.residual { 8 } else { 4 };
        (n + rows.count) * k * size_of::<T>()
            + rows.count * n * moved
            + if self.bias { n * 4 } else { 0 }
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let Linear { rows, n, k, .. } = *self;
        let count = rows.count;
        let x: Vec<T> = rounded(&rows.values(k, 21));
        let w: Vec<T> = weights(n, k, 22);
        let bias = self.bias.then(|| values(0..n, 23));
        let residual = self.residual.then(|| rows.values(n, 24));
        let bias_in = bias.as_ref().map(|b| device.input(b)).transpose()?;
        let (out, ptr) = match &residual {
            Some(residual) => {
                let out = device.in_out(residual)?;
                (LinearOut::Add(out), out.ptr)
            }
            None => {
                let out = device.output(count * n)?;
                (LinearOut::Write(out), out.ptr)
            }
        };
        let launch = launch::Linear {
            tokens: count,
            n,
            k,
            x: device.input(&x)?,
            weights: device.input(&pack(&Rows::new(Packing::Plain, k, &[&w]), |x| x))?,
            bias: bias_in,
            out,
        };
        Ok(Work {
            launches: vec![launch.launch(device.kernels)?],
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || {
                let bias = bias.map(|bias| wide(&bias));
                let residual = residual.map(|residual| matrix(n, &residual));
                let (x, w) = (matrix(k, &x), matrix(k, &w));
                let expected = reference::linear(&x, &w, bias.as_deref(), residual.as_ref());
                vec![Output::new::<f32>("out", ptr, expected.data, SUMS).in_rows(count)]
            }),
        })
    }
}

/// With SiLU times up, at one shape.
pub struct LinearSiluMul<T> {
    pub rows: RowRange,
    pub n: usize,
    pub k: usize,
    pub(super) of: PhantomData<fn() -> T>,
}

impl<T: Real> LinearSiluMul<T> {
    pub fn new(rows: usize, n: usize, k: usize) -> Self {
        LinearSiluMul {
            rows: RowRange::first(rows),
            n,
            k,
            of: PhantomData,
        }
    }

    /// The two matrices.
    pub fn gate_and_up(&self) -> [Vec<T>; 2] {
        let mut gate: Vec<T> = weights(2 * self.n, self.k, 26);
        let up = gate.split_off(self.n * self.k);
        [gate, up]
    }
}

/// `silu(x G^T) * (x U^T)` by the reference.
pub(super) fn silu_mul<T: Real>(x: &Matrix, gate: &[T], up: &[T]) -> Vec<f64> {
    let gate = reference::linear(x, &matrix(x.cols, gate), None, None);
    let up = reference::linear(x, &matrix(x.cols, up), None, None);
    let rows = gate.rows().zip(up.rows());
    let gate_up = Matrix {
        cols: 2 * gate.cols,
        data: rows.flat_map(|(gate, up)| [gate, up].concat()).collect(),
    };
    reference::silu_mul(&gate_up).data
}

impl<T: Real + LinearType> Case for LinearSiluMul<T> {
    fn op(&self) -> &'static str {
        "linear_silu_mul"
    }

    fn name(&self) -> String {
        let LinearSiluMul { rows, n, k, .. } = *self;
        format!("linear_silu_mul {}, {rows:?}, n {n}, k {k}", T::DTYPE)
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
        Box::new(LinearSiluMul::<T> { rows, ..*self })
    }

    fn with_width(&self, k: usize) -> Box<dyn Case> {
        Box::new(LinearSiluMul::<T> { k, ..*self })
    }

    fn floor_bytes(&self) -> usize {
        let LinearSiluMul { rows, n, k, .. } = *self;
        (2 * n * k + rows.count * (k + n)) * size_of::<T>()
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let LinearSiluMul { rows, n, k, .. } = *self;
        let count = rows.count;
        // Away from zero, where f16 has fewer digits than its bound says.
        let x = rows.values(k, 25).into_iter();
        let x: Vec<T> = x.map(|x| T::round(4.0 * x + 2.0f32.copysign(x))).collect();
        let [gate, up] = self.gate_and_up();
        let packed = pack(&Rows::new(Packing::GateUp, k, &[&gate, &up]), |x| x);
        let out = device.output::<T>(count * n)?;
        let launch = launch::LinearSiluMul {
            tokens: count,
            n,
            k,
            x: device.input(&x)?,
            weights: device.input(&packed)?,
            out,
        };
        // What SUMS allows of gate and of up, and one rounding of the product. One element can be most of a row's power.
        let bound = Bound {
            atol: 4.0 * SUMS.atol,
            nmse: 1.1 * T::HALF_ULP.powi(2),
            ..T::rounded_once()
        };
        Ok(Work {
            launches: vec![launch.launch(device.kernels)?],
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || {
                let expected = silu_mul(&matrix(k, &x), &gate, &up);
                vec![Output::new::<T>("out", out.ptr, expected, bound).in_rows(count)]
            }),
        })
    }
}
