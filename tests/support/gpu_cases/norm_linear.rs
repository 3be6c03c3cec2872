//! RMSNorm and the product behind it in one launch, for few tokens.

use half::{bf16, f16};
use qwarp::backend::cpu::reference::{self, Matrix};
use qwarp::backend::gpu::launch::{
    self, LinearRopeType, NormIn, NormLinearRopeAppend, NormLinearType,
};
use qwarp::backend::gpu::pack::{Packing, Rows, pack};
use qwarp::driver::{DriverError, Target};
use qwarp::dtype::DType;
use qwarp::shape::Heads;

use super::bound::Bound;
use super::linear::{LinearSiluMul, endings, silu_mul};
use super::linear_rope::LinearRope;
use super::number::{Real, values, wide};
use super::{Case, Device, Model, Op, Output, RowRange, Work};

/// Added to the mean square.
pub const EPS: f32 = 1e-6;
/// Most tokens of the kernels.
const MOST_TOKENS: usize = 8;

const fn heads(query: usize, kv: usize, dim: usize) -> Heads {
    Heads { query, kv, dim }
}

/// Head layouts, in turns.
const HEADS: [Heads; 5] = [
    heads(1, 1, 64),
    heads(2, 1, 16),
    heads(1, 1, 128),
    heads(3, 1, 64),
    heads(2, 2, 32),
];

/// Elements of a row. The norm's sum is for a warp for each 128, up to 4096; a chunk of the product is 512.
const WIDTHS: [usize; 46] = [
    1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 28, 31, 32, 33, 36, 47, 48, 49, 63, 64, 65, 92, 97, 100,
    127, 128, 129, 130, 132, 255, 258, 260, 383, 384, 511, 512, 513, 516, 1023, 1028, 1540, 2049,
    4096, 4097, 4100,
];

/// Tokens, heads, rows of gate and elements of a row: a warp behind the norm's last, more chunks than warps, and those of
/// models.
const LARGER: [(usize, Heads, usize, usize); 8] = [
    (1, heads(1, 1, 64), 5, 516),
    (2, heads(1, 1, 16), 4, 5128),
    (8, heads(1, 1, 16), 9, 5641),
    (7, heads(1, 1, 16), 8, 5640),
    (1, heads(14, 2, 64), 4864, 896),
    (8, heads(14, 2, 64), 304, 896),
    (3, heads(12, 2, 128), 560, 1536),
    (2, heads(7, 1, 128), 592, 3584),
];

/// Their cases.
pub const OP: Op = Op { cases, at };

/// Every width with every type and op; tokens and layouts in turns.
fn cases() -> Vec<Box<dyn Case>> {
    fn of<T: Real + LinearRopeType + NormLinearType>() -> Vec<Box<dyn Case>> {
        let mut cases: Vec<Box<dyn Case>> = Vec::new();
        let tokens = |i: usize| i * 3 % MOST_TOKENS + 1;
        let small = WIDTHS.iter().zip(HEADS.iter().cycle()).enumerate();
        let small = small.map(|(i, (&k, &heads))| (tokens(i), heads, i % 37 + 1, k));
        let endings = endings().map(|k| (1, heads(1, 1, 16), 5, k));
        let all = small.chain(LARGER).chain(endings);
        for (i, (tokens, heads, n, k)) in all.enumerate() {
            let rope = LinearRope::new(tokens, heads, k, i % 3 != 1);
            cases.push(Box::new(NormLinearRope::<T> { rope }));
            let product = LinearSiluMul::new(tokens, n, k);
            cases.push(Box::new(NormLinearSiluMul::<T> { product }));
        }
        cases
    }
    of::<f16>().into_iter().chain(of::<bf16>()).collect()
}

/// Whether the rows stand in the shared memory of the target's cards; more is refused by the launch.
fn fits(rows: usize, k: usize, target: Target) -> bool {
    target > Target::Sm75 || rows * k <= 28_000
}

/// At the sizes of a model.
fn at(model: &Model, rows: usize) -> Vec<Box<dyn Case>> {
    fn of<T: Real + LinearRopeType + NormLinearType>(m: &Model, rows: usize) -> Vec<Box<dyn Case>> {
        let rope = LinearRope::new(rows, m.heads, m.hidden, true);
        let product = LinearSiluMul::new(rows, m.inner, m.hidden);
        vec![
            Box::new(NormLinearRope::<T> { rope }),
            Box::new(NormLinearSiluMul::<T> { product }),
        ]
    }
    if rows > MOST_TOKENS {
        return Vec::new();
    }
    let mut cases = of::<f16>(model, rows);
    cases.extend(of::<bf16>(model, rows));
    cases
}

/// What is normalised.
pub struct NormInputs {
    pub x: Vec<f32>,
    pub weight: Vec<f32>,
}

impl NormInputs {
    pub fn new(rows: RowRange, k: usize) -> Self {
        NormInputs {
            x: rows.values(k, 31),
            weight: values(0..k, 32),
        }
    }

    pub fn on(&self, device: &Device<'_>) -> Result<NormIn, DriverError> {
        Ok(NormIn {
            x: device.input(&self.x)?,
            weight: device.input(&self.weight)?,
            eps: EPS,
        })
    }

    /// Of so many rows of k elements.
    fn bytes(rows: RowRange, k: usize) -> usize {
        (rows.count + 1) * k * 4
    }

    /// The norm by the reference, rounded to T as the product takes it.
    fn normed<T: Real>(&self) -> Matrix {
        let x = Matrix {
            cols: self.weight.len(),
            data: wide(&self.x),
        };
        let normed = reference::rms_norm(&x, &wide(&self.weight), f64::from(EPS));
        let rounded = normed.data.iter().map(|x| T::round(*x as f32).to_f64());
        Matrix {
            cols: x.cols,
            data: rounded.collect(),
        }
    }
}

/// Where the norm lies in the middle of two numbers of T, f32 may round it to the other: one ulp of one element of x, and so
/// of all that comes of it where a row has no more. That the bits are those of two kernels is held elsewhere.
fn bound<T: Real>() -> Bound {
    Bound {
        rtol: 8.0 * T::HALF_ULP,
        atol: 8.0 * T::HALF_ULP,
        nmse: 16.0 * T::HALF_ULP.powi(2),
    }
}

struct NormLinearRope<T> {
    rope: LinearRope<T>,
}

impl<T: Real + LinearRopeType + NormLinearType> Case for NormLinearRope<T> {
    fn op(&self) -> &'static str {
        "norm_linear_rope_append"
    }

    fn name(&self) -> String {
        format!("norm_{}", self.rope.name())
    }

    fn runs_on(&self, target: Target) -> bool {
        T::runs_on(target) && fits(self.rope.rows.count, self.rope.k, target)
    }

    fn dtype(&self) -> DType {
        T::DTYPE
    }

    fn rows(&self) -> RowRange {
        self.rope.rows
    }

    fn with_rows(&self, rows: RowRange) -> Box<dyn Case> {
        let rope = LinearRope { rows, ..self.rope };
        Box::new(NormLinearRope::<T> { rope })
    }

    fn with_width(&self, k: usize) -> Box<dyn Case> {
        let rope = LinearRope { k, ..self.rope };
        Box::new(NormLinearRope::<T> { rope })
    }

    fn floor_bytes(&self) -> usize {
        NormInputs::bytes(self.rope.rows, self.rope.k) + self.rope.bytes_beside_x()
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let case = &self.rope;
        let (tokens, k) = (case.rows.count, case.k);
        let norm = NormInputs::new(case.rows, k);
        let inputs = case.inputs();
        let rope = case.out(device, &inputs)?;
        let launch = NormLinearRopeAppend {
            tokens,
            k,
            norm: norm.on(device)?,
            weights: case.packed(device, &inputs.w)?,
            rope,
        };
        Ok(Work {
            launches: vec![launch.launch(device.kernels)?],
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || {
                case.outputs(&inputs, &norm.normed::<T>(), &rope, bound::<T>())
            }),
        })
    }
}

struct NormLinearSiluMul<T> {
    product: LinearSiluMul<T>,
}

impl<T: Real + LinearRopeType + NormLinearType> Case for NormLinearSiluMul<T> {
    fn op(&self) -> &'static str {
        "norm_linear_silu_mul"
    }

    fn name(&self) -> String {
        let LinearSiluMul { rows, n, k, .. } = self.product;
        format!("{} {}, {rows:?}, n {n}, k {k}", self.op(), T::DTYPE)
    }

    fn runs_on(&self, target: Target) -> bool {
        T::runs_on(target) && fits(self.product.rows.count, self.product.k, target)
    }

    fn dtype(&self) -> DType {
        T::DTYPE
    }

    fn rows(&self) -> RowRange {
        self.product.rows
    }

    fn with_rows(&self, rows: RowRange) -> Box<dyn Case> {
        let product = LinearSiluMul {
            rows,
            ..self.product
        };
        Box::new(NormLinearSiluMul::<T> { product })
    }

    fn with_width(&self, k: usize) -> Box<dyn Case> {
        let product = LinearSiluMul { k, ..self.product };
        Box::new(NormLinearSiluMul::<T> { product })
    }

    fn floor_bytes(&self) -> usize {
        let LinearSiluMul { rows, n, k, .. } = self.product;
        NormInputs::bytes(rows, k) + n * (2 * k + rows.count) * size_of::<T>()
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let LinearSiluMul { rows, n, k, .. } = self.product;
        let tokens = rows.count;
        let norm = NormInputs::new(rows, k);
        let [gate, up] = self.product.gate_and_up();
        let packed = pack(&Rows::new(Packing::GateUp, k, &[&gate, &up]), |x| x);
        let out = device.output::<T>(tokens * n)?;
        let launch = launch::NormLinearSiluMul {
            tokens,
            n,
            k,
            norm: norm.on(device)?,
            weights: device.input(&packed)?,
            out,
        };
        Ok(Work {
            launches: vec![launch.launch(device.kernels)?],
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || {
                let expected = silu_mul(&norm.normed::<T>(), &gate, &up);
                vec![Output::new::<T>("out", out.ptr, expected, bound::<T>()).in_rows(tokens)]
            }),
        })
    }
}
