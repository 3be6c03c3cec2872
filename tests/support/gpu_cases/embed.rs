//! Embedding gather: exact.

use std::marker::PhantomData;

use half::{bf16, f16};
use qwarp::backend::DRAWN;
use qwarp::backend::cpu::reference::{self, Matrix};
use qwarp::backend::gpu::launch::{self, EmbedType, NO_TOKEN};
use qwarp::driver::{DriverError, Target};
use qwarp::dtype::DType;

use super::bound::Bound;
use super::number::{Real, values, wide};
use super::{Case, Device, Model, Op, Output, RowRange, Work};

/// Tokens, vocabulary, hidden size. A CTA takes 512 elements of a row, a thread four.
const SHAPES: [(usize, usize, usize); 44] = [
    (1, 1, 1),
    (1, 7, 2),
    (3, 7, 3),
    (2, 5, 4),
    (5, 11, 5),
    (2, 3, 6),
    (4, 9, 7),
    (3, 8, 8),
    (7, 13, 9),
    (2, 6, 12),
    (1, 17, 13),
    (2, 4, 16),
    (3, 5, 31),
    (1, 9, 32),
    (2, 7, 33),
    (5, 6, 61),
    (2, 3, 64),
    (1, 4, 65),
    (3, 10, 100),
    (2, 6, 127),
    (1, 5, 128),
    (4, 3, 129),
    (2, 8, 251),
    (3, 4, 256),
    (1, 6, 257),
    (2, 3, 509),
    (2, 3, 510),
    (3, 3, 511),
    (2, 5, 512),
    (1, 4, 513),
    (2, 4, 514),
    (1, 3, 516),
    (33, 131, 896),
    (2, 5, 1000),
    (1, 3, 1021),
    (2, 3, 1023),
    (1, 3, 1024),
    (3, 3, 1025),
    (5, 151, 1536),
    (1, 2, 1537),
    (2, 3, 2048),
    (2, 7, 3584),
    (1, 2, 5120),
    (1, 2, 8192),
];

/// Its cases.
pub const OP: Op = Op { cases, at };

struct Embed<T> {
    rows: RowRange,
    vocab: usize,
    hidden: usize,
    table: PhantomData<fn() -> T>,
}

/// Every shape with every type of table.
fn cases() -> Vec<Box<dyn Case>> {
    fn of<T: Real + EmbedType>(shape: &(usize, usize, usize)) -> Box<dyn Case> {
        let (tokens, vocab, hidden) = *shape;
        Box::new(Embed::<T> {
            rows: RowRange::first(tokens),
            vocab,
            hidden,
            table: PhantomData,
        })
    }
    let types = [of::<f32>, of::<f16>, of::<bf16>];
    let each = |of: fn(&(usize, usize, usize)) -> Box<dyn Case>| SHAPES.iter().map(of);
    types.into_iter().flat_map(each).collect()
}

/// At the sizes of a model, but for the vocabulary: what is not gathered costs the kernel nothing, and the case much.
fn at(model: &Model, rows: usize) -> Vec<Box<dyn Case>> {
    fn of<T: Real + EmbedType>(rows: usize, hidden: usize) -> Box<dyn Case> {
        Box::new(Embed::<T> {
            rows: RowRange::first(rows),
            vocab: 4 * rows + 1,
            hidden,
            table: PhantomData,
        })
    }
    vec![
        of::<f32>(rows, model.hidden),
        of::<f16>(rows, model.hidden),
        of::<bf16>(rows, model.hidden),
    ]
}

impl<T: Real + EmbedType> Case for Embed<T> {
    fn op(&self) -> &'static str {
        "embed"
    }

    fn name(&self) -> String {
        let Embed {
            rows,
            vocab,
            hidden,
            ..
        } = self;
        let dtype = T::DTYPE;
        format!("embed {dtype}, {rows:?}, vocab {vocab}, hidden {hidden}")
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
        Box::new(Embed::<T> { rows, ..*self })
    }

    fn with_width(&self, n: usize) -> Box<dyn Case> {
        Box::new(Embed::<T> { hidden: n, ..*self })
    }

    fn floor_bytes(&self) -> usize {
        self.rows.count * (self.hidden * (size_of::<T>() + 4) + 4)
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let Embed {
            rows,
            vocab,
            hidden,
            ..
        } = *self;
        let tokens = rows.count;
        // The last row of the table first, then others, some of them twice.
        let id = |t: usize| (vocab - 1 + t * 5) % vocab;
        let span = rows.first..rows.first + tokens;
        // Every third is one that the step before drew, of those every second none of the vocabulary: counts as token 0.
        let (is_drawn, is_none) = (|t: usize| t % 3 == 1, |t: usize| t % 6 == 4);
        let none = |t: usize| if t % 12 == 4 { vocab as u32 } else { NO_TOKEN };
        let given: Vec<u32> = span.clone().map(|t| id(t) as u32).collect();
        let drawn: Vec<u32> = (span.clone().zip(&given).rev())
            .map(|(t, id)| if is_none(t) { none(t) } else { *id })
            .collect();
        let asked: Vec<u32> = (span.clone().zip(&given).zip((0..tokens as u32).rev()))
            .map(|((t, id), place)| if is_drawn(t) { DRAWN | place } else { *id })
            .collect();
        let ids: Vec<u32> = (span.zip(&given))
            .map(|(t, id)| if is_none(t) { 0 } else { *id })
            .collect();
        let table: Vec<T> = values(0..vocab * hidden, 1)
            .into_iter()
            .map(T::round)
            .collect();
        let out = device.output(tokens * hidden)?;
        let launch = launch::Embed {
            tokens,
            vocab,
            hidden,
            token_ids: device.input(&asked)?,
            drawn: device.input(&drawn)?,
            table: device.input(&table)?,
            out,
        };
        Ok(Work {
            launches: vec![launch.launch(device.kernels)?],
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || {
                let table = Matrix {
                    cols: hidden,
                    data: wide(&table),
                };
                // A widening copy.
                let expected = reference::embed(&ids, &table);
                vec![
                    Output::new::<f32>("out", out.ptr, expected.data, Bound::EXACT).in_rows(tokens),
                ]
            }),
        })
    }
}
