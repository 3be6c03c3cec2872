//! The token of the largest logit: exact.

use qwarp::backend::cpu::reference;
use qwarp::backend::gpu::launch::{self, NO_TOKEN};
use qwarp::driver::{DriverError, Target};
use qwarp::dtype::DType;

use super::bound::Bound;
use super::number::wide;
use super::{Case, Device, Model, Op, Output, RowRange, Work};

/// What is put among a row's random logits.
#[derive(Debug, Clone, Copy)]
enum Plant {
    Nothing,
    /// The largest twice, in places that follow from the row.
    Tie,
    /// The two largest with nothing between them, the larger one second.
    Close,
    /// All negative but a zero of each sign, the negative one first.
    Zeros,
    /// A NaN of each sign.
    Nan,
    NegativeNan,
    Infinity,
    /// Minus infinity everywhere.
    NoFinite,
    /// Minus infinity everywhere but in one place.
    OneFinite,
}

use Plant::{Close, Infinity, Nan, NegativeNan, NoFinite, Nothing, OneFinite, Tie, Zeros};

/// Rows, logits of a row, and what is planted. A part has 2048 logits, a CTA takes 1024 at once.
const SHAPES: [(usize, usize, Plant); 50] = [
    (1, 1, Nothing),
    (2, 1, NoFinite),
    (3, 2, OneFinite),
    (2, 3, OneFinite),
    (3, 4, Zeros),
    (2, 5, Tie),
    (1, 7, Nan),
    (3, 8, OneFinite),
    (2, 9, Nothing),
    (2, 31, Tie),
    (3, 32, Nothing),
    (2, 33, Infinity),
    (1, 127, NegativeNan),
    (3, 128, Tie),
    (5, 129, Close),
    (5, 131, Zeros),
    (2, 255, Tie),
    (3, 256, Nothing),
    (1, 257, OneFinite),
    (2, 997, Nothing),
    (2, 1023, Tie),
    (3, 1024, Tie),
    (2, 1025, Tie),
    (5, 1028, Zeros),
    (2, 2045, Nothing),
    (3, 2046, Tie),
    (2, 2047, Nan),
    (5, 2048, Close),
    (3, 2049, Nothing),
    (1, 2052, Tie),
    (2, 3072, Zeros),
    (3, 4095, Tie),
    (2, 4096, Nothing),
    (1, 4097, Tie),
    (2, 5000, NoFinite),
    (2, 5001, OneFinite),
    (1, 8191, Tie),
    (2, 8192, Nothing),
    (1, 10007, Tie),
    (1, 32000, Tie),
    (1, 65535, Nothing),
    (1, 65537, Tie),
    (1, 65540, NegativeNan),
    (1, 128256, Tie),
    (1, 151646, Tie),
    (1, 151935, Tie),
    (3, 151936, Tie),
    (1, 151936, Nan),
    (1, 151936, Infinity),
    (1, 152064, Nothing),
];

/// Its cases.
pub const OP: Op = Op { cases, at };

#[derive(Clone, Copy)]
struct Argmax {
    rows: RowRange,
    vocab: usize,
    plant: Plant,
}

/// Every shape.
fn cases() -> Vec<Box<dyn Case>> {
    let of = |&(rows, vocab, plant): &(usize, usize, Plant)| -> Box<dyn Case> {
        Box::new(Argmax {
            rows: RowRange::first(rows),
            vocab,
            plant,
        })
    };
    SHAPES.iter().map(of).collect()
}

/// At the sizes of a model: logits are made for one row a sequence, so argmax sees no prefill.
fn at(model: &Model, rows: usize) -> Vec<Box<dyn Case>> {
    if rows > model.sequences {
        return Vec::new();
    }
    vec![Box::new(Argmax {
        rows: RowRange::first(rows),
        vocab: model.vocab,
        plant: Nothing,
    })]
}

impl Plant {
    /// Changes the logits of row `row`.
    fn put(self, logits: &mut [f32], row: usize) {
        let vocab = logits.len();
        // Two places far apart, which warps, CTAs and rows see in either order.
        let (a, b) = (
            (row * 7919 + vocab / 3) % vocab,
            (row * 104_729 + vocab - 1) % vocab,
        );
        match self {
            Nothing => {}
            Tie => (logits[a], logits[b]) = (2.5, 2.5),
            Close => (logits[a.min(b)], logits[a.max(b)]) = (2.5, 2.5f32.next_up()),
            Zeros => {
                logits.iter_mut().for_each(|x| *x = -x.abs() - 1.0);
                (logits[a.min(b)], logits[a.max(b)]) = (-0.0, 0.0);
            }
            Nan => logits[a] = f32::NAN,
            NegativeNan => logits[b] = -f32::NAN,
            Infinity => logits[a] = f32::INFINITY,
            NoFinite => logits.fill(f32::NEG_INFINITY),
            OneFinite => {
                logits.fill(f32::NEG_INFINITY);
                logits[b] = f32::MIN;
            }
        }
    }
}

impl Case for Argmax {
    fn op(&self) -> &'static str {
        "argmax"
    }

    fn name(&self) -> String {
        let Argmax { rows, vocab, plant } = self;
        format!("argmax f32, {rows:?}, vocab {vocab}, {plant:?}")
    }

    fn runs_on(&self, _: Target) -> bool {
        true
    }

    fn dtype(&self) -> DType {
        DType::F32
    }

    fn rows(&self) -> RowRange {
        self.rows
    }

    fn with_rows(&self, rows: RowRange) -> Box<dyn Case> {
        Box::new(Argmax { rows, ..*self })
    }

    fn with_width(&self, n: usize) -> Box<dyn Case> {
        Box::new(Argmax { vocab: n, ..*self })
    }

    fn floor_bytes(&self) -> usize {
        self.rows.count * (self.vocab + 1) * 4
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let (rows, vocab) = (self.rows.count, self.vocab);
        let mut logits = self.rows.values(vocab, 6);
        for (row, logits) in logits.chunks_mut(vocab).enumerate() {
            self.plant.put(logits, self.rows.first + row);
        }
        let tokens = device.output(rows)?;
        let launch = launch::Argmax {
            rows,
            vocab,
            logits: device.input(&logits)?,
            partial: device.output(rows * launch::Argmax::parts(vocab))?,
            tokens,
        };
        Ok(Work {
            launches: launch.launches(device.kernels)?.into(),
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || {
                let token = |row: &[f32]| {
                    let index = reference::argmax(&wide(row));
                    index.map_or(f64::from(NO_TOKEN), |index| index as f64)
                };
                let expected = logits.chunks(vocab).map(token).collect();
                let output = Output::new::<u32>("tokens", tokens.ptr, expected, Bound::EXACT);
                vec![output.in_rows(rows)]
            }),
        })
    }
}
