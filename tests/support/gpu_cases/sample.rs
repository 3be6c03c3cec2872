//! Drawing tokens: the CPU sampler's, every one.

use std::sync::Arc;

use qwarp::DType;
use qwarp::backend::gpu::launch::{NO_TOKEN, SampleLimits, SampleRows, SampleWords};
use qwarp::backend::rng::philox;
use qwarp::backend::sampling::{SampleRow, SamplingParams, sample};
use qwarp::driver::{DevicePtr, DriverError, Target};

use super::bound::Bound;
use super::{Case, Device, Model, Op, Output, RowRange, Work};

/// How a case's rows are drawn.
#[derive(Debug, Clone, Copy)]
enum Recipe {
    /// Every setting at random, greedy rows, unusable rows and rows with -inf among them.
    Mixed,
    /// As most requests have it: temperature, top-k 20, top-p 0.8.
    Usual,
    /// All logits are equal, so every filter ends among equal ones.
    Equal,
    /// Few different logits.
    Ties,
    /// A temperature of 100: every logit is about as probable.
    Hot,
    /// Nothing but temperature.
    Plain,
}

use Recipe::{Equal, Hot, Mixed, Plain, Ties, Usual};

/// Rows, logits of a row, how they are drawn. A part has 2048 logits.
const SHAPES: [(usize, usize, Recipe); 45] = [
    (9, 1, Mixed),
    (9, 2, Mixed),
    (9, 3, Mixed),
    (7, 4, Ties),
    (9, 5, Mixed),
    (9, 7, Equal),
    (9, 8, Mixed),
    (9, 15, Mixed),
    (7, 16, Hot),
    (9, 31, Mixed),
    (9, 33, Ties),
    (5, 64, Plain),
    (9, 100, Mixed),
    (9, 127, Mixed),
    (9, 128, Equal),
    (9, 129, Mixed),
    (9, 255, Mixed),
    (9, 256, Ties),
    (9, 257, Mixed),
    (9, 400, Hot),
    (9, 511, Mixed),
    (9, 513, Mixed),
    (7, 640, Usual),
    (9, 997, Mixed),
    (9, 1000, Equal),
    (9, 1023, Mixed),
    (9, 1024, Ties),
    (9, 1025, Mixed),
    (9, 1500, Plain),
    (9, 2000, Hot),
    (40, 2047, Mixed),
    (40, 2048, Mixed),
    (40, 2049, Mixed),
    (9, 2052, Equal),
    (9, 2300, Ties),
    (9, 3001, Mixed),
    (20, 4095, Mixed),
    (20, 4096, Ties),
    (20, 4097, Mixed),
    (3, 6145, Equal),
    (9, 8191, Mixed),
    (5, 10_007, Hot),
    (3, 32_000, Usual),
    (1, 151_646, Ties),
    (3, 151_936, Mixed),
];

/// Its cases.
pub const OP: Op = Op { cases, at };

#[derive(Clone, Copy)]
struct Sample {
    rows: RowRange,
    vocab: usize,
    recipe: Recipe,
}

/// Every shape.
fn cases() -> Vec<Box<dyn Case>> {
    let of = |&(rows, vocab, recipe): &(usize, usize, Recipe)| -> Box<dyn Case> {
        Box::new(Sample {
            rows: RowRange::first(rows),
            vocab,
            recipe,
        })
    };
    SHAPES.iter().map(of).collect()
}

/// At the sizes of a model, one draw a sequence.
fn at(model: &Model, rows: usize) -> Vec<Box<dyn Case>> {
    if rows > model.sequences {
        return Vec::new();
    }
    vec![Box::new(Sample {
        rows: RowRange::first(rows),
        vocab: model.vocab,
        recipe: Usual,
    })]
}

/// Numbers that follow from a row of a case alone.
struct Numbers {
    row: u32,
    vocab: u32,
}

impl Numbers {
    fn word(&self, what: u32, index: u32) -> u32 {
        philox([self.row, index, what, 0], [self.vocab, 77])[0]
    }

    fn below(&self, what: u32, index: u32, end: u32) -> u32 {
        self.word(what, index) % end
    }

    /// One of the values.
    fn pick<T: Copy, const N: usize>(&self, what: u32, values: [T; N]) -> T {
        values[self.below(what, 0, N as u32) as usize]
    }

    /// Between -1 and 1.
    fn unit(&self, what: u32, index: u32) -> f32 {
        self.word(what, index) as f32 / (1u64 << 31) as f32 - 1.0
    }
}

impl Recipe {
    fn logits(self, numbers: &Numbers) -> Vec<f32> {
        let scale = numbers.pick(1, [0.5, 3.0, 9.0, 30.0]);
        let spread = |i| scale * (numbers.unit(2, i) + numbers.unit(3, i) + numbers.unit(4, i));
        let all = 0..numbers.vocab;
        let mut logits: Vec<f32> = match self {
            Mixed | Usual | Hot | Plain => all.map(spread).collect(),
            Equal => all.map(|_| scale).collect(),
            Ties => all.map(|i| (spread(i) / scale).round()).collect(),
        };
        if !matches!(self, Mixed) {
            return logits;
        }
        let place = numbers.below(5, 0, numbers.vocab) as usize;
        match numbers.below(6, 0, 16) {
            0 => logits[place] = f32::NAN,
            1 => logits[place] = f32::INFINITY,
            2 => logits.fill(f32::NEG_INFINITY),
            // One that is possible.
            3 => {
                logits.fill(f32::NEG_INFINITY);
                logits[place] = -3.5;
            }
            // One of each zero among smaller ones.
            4 => {
                logits.iter_mut().for_each(|x| *x = -x.abs() - 0.01);
                logits[place] = 0.0;
                logits[numbers.vocab as usize / 2] = -0.0;
            }
            5..9 => {
                let banned = logits.iter_mut().step_by(3);
                banned.for_each(|x| *x = f32::NEG_INFINITY);
            }
            _ => {}
        }
        logits
    }

    fn params(self, numbers: &Numbers) -> SamplingParams {
        let vocab = numbers.vocab;
        let seed = u64::from(numbers.word(20, 0)) << 32 | u64::from(numbers.word(20, 1));
        let plain = SamplingParams {
            temperature: numbers.pick(21, [1.0, 0.7, 1.3]),
            seed,
            ..SamplingParams::GREEDY
        };
        match self {
            Plain => plain,
            Usual => SamplingParams {
                top_k: 20,
                top_p: 0.8,
                repetition_penalty: 1.1,
                ..plain
            },
            Hot => SamplingParams {
                temperature: 100.0,
                top_p: numbers.pick(22, [0.3, 0.9, 0.999_999, 1.0]),
                top_k: numbers.pick(23, [0, 0, vocab / 3]),
                ..plain
            },
            Equal | Ties => SamplingParams {
                top_p: numbers.pick(22, [1e-30, 0.3, 0.5, 0.9, 1.0]),
                top_k: numbers.pick(23, [0, 1, vocab / 2, vocab.saturating_sub(1), vocab]),
                min_p: numbers.pick(24, [0.0, 0.0, 0.3, 1.0]),
                ..plain
            },
            Mixed => SamplingParams {
                temperature: numbers.pick(21, [0.0, 1.0, 0.7, 1e-30, 100.0, 0.2, 1.3, 1.0]),
                top_k: numbers.pick(
                    23,
                    [0, 0, 1, 2, 20, vocab.saturating_sub(1), vocab, vocab / 2],
                ),
                top_p: numbers.pick(22, [1.0, 1.0, 0.9, 1e-30, 0.5, 0.999_999, 0.1, 0.8]),
                min_p: numbers.pick(24, [0.0, 0.0, 0.0, 0.05, 1.0, 1e-3]),
                repetition_penalty: numbers.pick(25, [1.0, 1.0, 1.3, 0.7]),
                presence_penalty: numbers.pick(26, [0.0, 0.0, 0.6, -1.1]),
                frequency_penalty: numbers.pick(27, [0.0, 0.0, 0.3, -0.2]),
                seed,
            },
        }
    }

    /// The draw of a row; `row` is where its logits stand.
    fn draw(self, numbers: &Numbers, row: usize) -> SampleRow {
        let few = 1 + numbers.below(30, 0, 40);
        // One past the vocabulary now and then, which changes nothing.
        let token = |i| numbers.below(31, i, numbers.vocab + 1) % few;
        let history: Vec<u32> = (0..numbers.below(32, 0, 60)).map(token).collect();
        let mut logit_bias: Vec<(u32, f32)> = Vec::new();
        if matches!(self, Mixed) {
            for i in 0..numbers.below(33, 0, 5) {
                let token = numbers.below(34, i, numbers.vocab);
                if logit_bias.iter().all(|(other, _)| *other != token) {
                    logit_bias.push((token, 4.0 * numbers.unit(35, i)));
                }
            }
        }
        SampleRow {
            row,
            params: self.params(numbers),
            choice: numbers.below(36, 0, 5),
            position: numbers.below(37, 0, 30_000),
            prompt_len: numbers.below(38, 0, 40) as usize,
            history: Arc::new(history),
            logit_bias: logit_bias.into(),
        }
    }
}

impl Sample {
    fn numbers(&self, row: usize) -> Numbers {
        Numbers {
            row: row as u32,
            vocab: self.vocab as u32,
        }
    }

    /// The logits of all rows, the last row first, and the draws.
    fn made(&self) -> (Vec<Vec<f32>>, Vec<SampleRow>) {
        let RowRange { first, count } = self.rows;
        let logits = (first..first + count).rev();
        let logits = logits.map(|row| self.recipe.logits(&self.numbers(row)));
        let draws = (0..count).map(|row| {
            let numbers = self.numbers(first + row);
            self.recipe.draw(&numbers, count - 1 - row)
        });
        (logits.collect(), draws.collect())
    }
}

impl Case for Sample {
    fn op(&self) -> &'static str {
        "sample"
    }

    fn name(&self) -> String {
        let Sample {
            rows,
            vocab,
            recipe,
        } = self;
        format!("sample f32, {rows:?}, vocab {vocab}, {recipe:?}")
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
        Box::new(Sample { rows, ..*self })
    }

    fn with_width(&self, n: usize) -> Box<dyn Case> {
        Box::new(Sample { vocab: n, ..*self })
    }

    fn floor_bytes(&self) -> usize {
        self.rows.count * (self.vocab + 1) * 4
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let (count, vocab) = (self.rows.count, self.vocab);
        let (logits, draws) = self.made();
        // One row of the launches is unused, as where fewer sequences run than there is room for.
        let limits = SampleLimits {
            rows: count + 1,
            logit_rows: count,
            vocab,
            changes: 64 * count,
        };
        let refused = |error: qwarp::Error| DriverError::Launch {
            kernel: "sample".to_string(),
            reason: error.to_string(),
        };
        let words = SampleWords::new(&draws, &limits).map_err(refused)?;
        let [_, _, changes_len, state, bins] =
            SampleRows::lengths(limits.rows, vocab, limits.changes);
        let tokens = device.output(limits.rows)?;
        let launch = SampleRows {
            rows: limits.rows,
            logit_rows: count,
            vocab,
            changes_len: limits.changes,
            logits: device.input(&logits.concat())?,
            settings: device.input(&words.settings)?,
            starts: device.input(&words.starts)?,
            changes: device.partly(changes_len, &[(0, words.changes)])?,
            state: device.in_out(&vec![0u64; state])?,
            bins: device.in_out(&vec![0u64; bins])?,
            tokens,
        };
        Ok(Work {
            launches: launch.launches(device.kernels)?.into(),
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || {
                let token = |draw: &SampleRow| match sample(&logits[draw.row], draw) {
                    Ok(token) => f64::from(token),
                    Err(_) => f64::from(NO_TOKEN),
                };
                let expected: Vec<f64> = draws.iter().map(token).collect();
                let unused = vec![f64::from(NO_TOKEN)];
                let output = Output::new::<u32>("tokens", tokens.ptr, expected, Bound::EXACT);
                let last = DevicePtr(tokens.ptr.0 + 4 * count as u64);
                let rest = Output::new::<u32>("unused row", last, unused, Bound::EXACT);
                let zeros = vec![0.0; 2 * bins];
                let zero = Output::new::<u32>("bins", launch.bins.ptr, zeros, Bound::EXACT);
                vec![output.in_rows(count), rest, zero]
            }),
        })
    }
}
