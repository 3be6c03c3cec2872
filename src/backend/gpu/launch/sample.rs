//! A token for each row of logits, greedy or drawn: `cuda/sample.cu`.

use super::check::Check;
use super::sample_words::{CHANGE, SETTINGS};
use crate::backend::gpu::kernels::Kernels;
use crate::driver::{DriverError, Geometry, In, InOut, Launch, Out};

/// Threads of a CTA, and what each takes of a part (`SAMPLE_THREADS` of `cuda/common/sample_row.cuh`, `RUN` of `scan.cuh`).
const THREADS: u32 = 256;
const RUN: u32 = 8;
/// Sums of a row, each of two words (`BINS`).
const BINS: usize = 2048;
const BIN: usize = 2;
/// Words that a launch leaves for the next (`STATE`).
const STATE: usize = 8;
/// Most logits of a row: a part has a bin of its own.
const MOST: usize = BINS * (THREADS * RUN) as usize;

/// `tokens = sample(logits)` by row, as [`crate::backend::sampling::sample`] gives them; a row that it refuses gives
/// [`super::NO_TOKEN`], and so does an unused one.
///
/// Grids depend on `rows` and `vocab` alone, so the launches can be fixed once; rows that are drawn and rows that are not go
/// through the same.
#[derive(Debug, Clone, Copy)]
pub struct SampleRows {
    /// Rows that a token is wanted for.
    pub rows: usize,
    /// Rows of the logits; several draws may take the same one.
    pub logit_rows: usize,
    /// Logits of a row.
    pub vocab: usize,
    /// Changed logits of all rows that there is room for, at least one.
    pub changes_len: usize,
    /// `(logit_rows, vocab)`.
    pub logits: In<f32>,
    /// `(rows, 12)`, as [`super::SampleWords`] has them.
    pub settings: In<u32>,
    /// `(rows, SampleRows::parts(vocab) + 1)`, likewise.
    pub starts: In<u32>,
    /// `(changes_len, 4)`, likewise; what no row has need not be written.
    pub changes: In<u32>,
    /// `(rows, 8)`: zero at the first launch. The last one leaves it so that the next step can begin.
    pub state: InOut<u64>,
    /// `(rows, 2048, 2)`: zero at the first launch, and zero again after the last.
    pub bins: InOut<u64>,
    /// `(rows)`.
    pub tokens: Out<u32>,
}

impl SampleRows {
    /// Parts that a row of `vocab` logits is split into.
    pub fn parts(vocab: usize) -> usize {
        vocab.div_ceil((THREADS * RUN) as usize)
    }

    /// Elements of `settings`, `starts`, `changes`, `state` and `bins` for so many rows and changed logits.
    pub fn lengths(rows: usize, vocab: usize, changes: usize) -> [usize; 5] {
        let starts = Self::parts(vocab).saturating_add(1);
        [
            (rows, SETTINGS),
            (rows, starts),
            (changes, CHANGE),
            (rows, STATE),
            (rows, BINS * BIN),
        ]
        .map(|(count, each)| count.saturating_mul(each))
    }

    /// The seven launches, in order.
    pub fn launches(&self, kernels: &Kernels) -> Result<[Launch; 7], DriverError> {
        let wide = self.check()?;
        let SampleRows {
            logits,
            settings,
            starts,
            changes,
            state,
            bins,
            tokens,
            ..
        } = *self;
        // At most `MOST`, which `check` has seen to.
        let vocab = self.vocab as u32;
        // Rows that are not drawn keep what the first launch has written.
        let drawn = InOut::new(tokens.ptr, tokens.len);
        let top_k = |digit| {
            kernels.sample_f32_top_k(
                wide, logits, settings, starts, changes, state, bins, vocab, digit,
            )
        };
        let top_p = |digit| {
            kernels.sample_f32_top_p(
                wide, logits, settings, starts, changes, state, bins, vocab, digit,
            )
        };
        Ok([
            kernels.sample_f32_max(
                wide, logits, settings, starts, changes, state, bins, tokens, vocab,
            )?,
            top_k(1)?,
            top_k(2)?,
            top_p(0)?,
            top_p(1)?,
            top_p(2)?,
            kernels.sample_f32_draw(
                wide, logits, settings, starts, changes, state, bins, drawn, vocab,
            )?,
        ])
    }

    /// Holds every length against the shape; the grid.
    fn check(&self) -> Result<Geometry, DriverError> {
        let check = Check { kernel: "sample" };
        let (rows, vocab) = (("rows", self.rows), ("vocab", self.vocab));
        let logits = [("logit rows", self.logit_rows), vocab];
        check.slice("logits", self.logits.ptr, self.logits.len, &logits)?;
        let settings = [rows, ("settings", SETTINGS)];
        check.slice("settings", self.settings.ptr, self.settings.len, &settings)?;
        let starts = [rows, ("parts and their end", Self::parts(self.vocab) + 1)];
        check.slice("starts", self.starts.ptr, self.starts.len, &starts)?;
        let changes = [("changes", self.changes_len), ("words", CHANGE)];
        check.slice("changes", self.changes.ptr, self.changes.len, &changes)?;
        let state = [rows, ("words", STATE)];
        check.slice("state", self.state.ptr, self.state.len, &state)?;
        let bins = [rows, ("bins", BINS), ("words", BIN)];
        check.slice("bins", self.bins.ptr, self.bins.len, &bins)?;
        check.slice("tokens", self.tokens.ptr, self.tokens.len, &[rows])?;
        check.count("logit rows", self.logit_rows)?;
        check.count("changes", self.changes_len)?;
        let rows = check.count("rows", self.rows)?;
        let vocab = check.count_to("vocab", self.vocab, MOST)?;
        check.rows(rows, vocab, THREADS, RUN)
    }
}
