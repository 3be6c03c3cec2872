//! A step's inputs in one buffer on the device, so that one copy brings them there: where each part stands follows from
//! the step's counts alone, and launches of a fixed sequence find them where they were.

use super::launch::{SampleLimits, SampleRows, SampleWords, span_words};
use crate::backend::StepInputs;
use crate::backend::cpu::rope::RopeTable;
use crate::backend::sampling::SampleRow;
use crate::driver::{DevicePtr, In};
use crate::error::Result;

/// Words of a span.
const SPAN: usize = 4;
/// Words to which a part is aligned.
const ALIGN: usize = 4;

/// What a step's launches depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// T.
    pub tokens: usize,
    /// R.
    pub logit_rows: usize,
    /// Sequences.
    pub sequences: usize,
    /// Most tokens of a sequence.
    pub longest: usize,
    /// Most positions of a sequence, its tokens among them.
    pub context: usize,
    /// Entries of all block tables.
    pub table_len: usize,
    /// Tokens that are drawn.
    pub draws: usize,
    /// Whether each is the largest logit of the row of its number.
    pub greedy: bool,
}

impl Extent {
    /// That of a step.
    pub fn of(inputs: &StepInputs) -> Extent {
        let spans = &inputs.sequences;
        let tokens = spans.iter().map(|span| span.tokens);
        let context = spans.iter().map(|span| span.cached + span.tokens);
        Extent {
            tokens: inputs.token_ids.len(),
            logit_rows: inputs.logit_rows.len(),
            sequences: spans.len(),
            longest: tokens.max().unwrap_or(0),
            context: context.max().unwrap_or(0),
            table_len: inputs.block_tables.len(),
            draws: inputs.samples.len(),
            greedy: greedy(inputs),
        }
    }

    /// That of a step in which each of `sequences` sequences decodes a token and sees at most `context` positions.
    pub fn decode(sequences: usize, context: usize, table_len: usize, greedy: bool) -> Extent {
        Extent {
            tokens: sequences,
            logit_rows: sequences,
            sequences,
            longest: 1,
            context,
            table_len,
            draws: sequences,
            greedy,
        }
    }

    /// Whether a step is one that `decode` describes.
    pub fn decodes(&self) -> bool {
        let Extent {
            tokens, longest, ..
        } = *self;
        longest == 1 && self.sequences == tokens && self.logit_rows == tokens
    }
}

fn greedy(inputs: &StepInputs) -> bool {
    let plain = |(row, sample): (usize, &SampleRow)| {
        sample.row == row
            && sample.params.temperature == 0.0
            && !sample.params.penalises()
            && sample.logit_bias.is_empty()
    };
    inputs.samples.len() == inputs.logit_rows.len() && inputs.samples.iter().enumerate().all(plain)
}

/// What a layout depends on besides the step: the model.
#[derive(Debug, Clone, Copy)]
pub struct Widths {
    /// Elements of a head.
    pub dim: usize,
    /// Logits of a row.
    pub vocab: usize,
    /// Logits of all rows that bias and penalties may change.
    pub changes: usize,
}

/// Where the parts stand, in words from the start of the buffer.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    extent: Extent,
    widths: Widths,
    /// Words of the settings and of the starts of the draws.
    sampling: [usize; 2],
    slot_mapping: usize,
    spans: usize,
    logit_rows: usize,
    cos_sin: usize,
    settings: usize,
    starts: usize,
    block_tables: usize,
}

impl Layout {
    /// The parts of a step. The block tables come last: how long they are moves no other part.
    pub fn new(extent: Extent, widths: Widths) -> Layout {
        let draws = if extent.greedy { 0 } else { extent.draws };
        let [settings_len, starts_len, ..] = SampleRows::lengths(draws, widths.vocab, 0);
        let after = |start: usize, words: usize| (start + words).next_multiple_of(ALIGN);
        let slot_mapping = after(0, extent.tokens);
        let spans = after(slot_mapping, extent.tokens);
        let logit_rows = after(spans, extent.sequences * SPAN);
        let cos_sin = after(logit_rows, extent.logit_rows);
        let settings = after(cos_sin, extent.tokens * widths.dim);
        let starts = after(settings, settings_len);
        Layout {
            extent,
            widths,
            sampling: [settings_len, starts_len],
            slot_mapping,
            spans,
            logit_rows,
            cos_sin,
            settings,
            starts,
            block_tables: after(starts, starts_len),
        }
    }

    /// Words of all parts.
    pub fn words(&self) -> usize {
        self.block_tables + self.extent.table_len
    }

    fn part<T: crate::driver::DeviceType>(
        &self,
        buffer: DevicePtr,
        start: usize,
        len: usize,
    ) -> In<T> {
        In::new(DevicePtr(buffer.0 + 4 * start as u64), len)
    }

    /// `(T)`.
    pub fn token_ids(&self, buffer: DevicePtr) -> In<u32> {
        self.part(buffer, 0, self.extent.tokens)
    }

    /// `(T)`.
    pub fn slot_mapping(&self, buffer: DevicePtr) -> In<u32> {
        self.part(buffer, self.slot_mapping, self.extent.tokens)
    }

    /// `(sequences, 4)`.
    pub fn spans(&self, buffer: DevicePtr) -> In<u32> {
        self.part(buffer, self.spans, self.extent.sequences * SPAN)
    }

    /// `(R)`.
    pub fn logit_rows(&self, buffer: DevicePtr) -> In<u32> {
        self.part(buffer, self.logit_rows, self.extent.logit_rows)
    }

    /// `(T, 2, dim / 2)`.
    pub fn cos_sin(&self, buffer: DevicePtr) -> In<f32> {
        self.part(buffer, self.cos_sin, self.extent.tokens * self.widths.dim)
    }

    /// `(draws, 12)`: how each token is drawn; empty in a greedy step.
    pub fn settings(&self, buffer: DevicePtr) -> In<u32> {
        self.part(buffer, self.settings, self.sampling[0])
    }

    /// `(draws, parts + 1)`: where each part's changed logits are; empty in a greedy step.
    pub fn starts(&self, buffer: DevicePtr) -> In<u32> {
        self.part(buffer, self.starts, self.sampling[1])
    }

    /// The block tables of all sequences.
    pub fn block_tables(&self, buffer: DevicePtr) -> In<u32> {
        self.part(buffer, self.block_tables, self.extent.table_len)
    }

    /// The buffer's content for a step; `rope` holds the angles of its positions. What `words` held is gone. Gives the
    /// logits that bias and penalties change, which have a buffer of their own.
    pub fn fill(
        &self,
        inputs: &StepInputs,
        rope: &RopeTable,
        words: &mut Vec<u32>,
    ) -> Result<Vec<u32>> {
        let spans = span_words(&inputs.sequences)?;
        let sampling = self.sampling(inputs)?;
        words.clear();
        let mut put = |start: usize, part: &[u32]| {
            words.resize(start, 0);
            words.extend_from_slice(part);
        };
        put(0, &inputs.token_ids);
        put(self.slot_mapping, &inputs.slot_mapping);
        put(self.spans, &spans);
        put(self.logit_rows, &inputs.logit_rows);
        put(self.settings, &sampling.settings);
        put(self.starts, &sampling.starts);
        put(self.block_tables, &inputs.block_tables);
        let angles = (0..inputs.positions.len()).map(|t| rope.angles(t));
        let angles = angles.flat_map(|(cos, sin)| cos.iter().chain(sin));
        for (word, angle) in words[self.cos_sin..].iter_mut().zip(angles) {
            *word = angle.to_bits();
        }
        Ok(sampling.changes)
    }

    /// What the sampling kernels read; nothing in a greedy step.
    fn sampling(&self, inputs: &StepInputs) -> Result<SampleWords> {
        if self.extent.greedy {
            return Ok(SampleWords {
                settings: Vec::new(),
                starts: Vec::new(),
                changes: Vec::new(),
            });
        }
        let limits = SampleLimits {
            rows: self.extent.draws,
            logit_rows: self.extent.logit_rows,
            vocab: self.widths.vocab,
            changes: self.widths.changes,
        };
        SampleWords::new(&inputs.samples, &limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::SequenceSpan;
    use crate::backend::sampling::SamplingParams;

    const WIDTHS: Widths = Widths {
        dim: 6,
        vocab: 4100,
        changes: 9,
    };

    /// Two sequences, one of three tokens and one of two, whose every word is its own.
    fn inputs() -> StepInputs {
        let span = |tokens, cached, table_start, table_len| SequenceSpan {
            tokens,
            cached,
            table_start,
            table_len,
        };
        StepInputs {
            token_ids: vec![11, 12, 13, 14, 15],
            positions: vec![0, 1, 2, 40, 41],
            slot_mapping: vec![32, 33, 34, 104, 105],
            sequences: vec![span(3, 0, 0, 1), span(2, 40, 1, 3)],
            block_tables: vec![2, 4, 5, 6],
            logit_rows: vec![2, 4],
            samples: vec![SampleRow {
                row: 1,
                params: SamplingParams {
                    temperature: 0.5,
                    ..SamplingParams::GREEDY
                },
                position: 42,
                logit_bias: vec![(3000, 1.5)].into(),
                ..SampleRow::default()
            }],
        }
    }

    #[test]
    fn each_part_is_read_from_where_it_was_put() -> Result<()> {
        let (inputs, dim) = (inputs(), WIDTHS.dim);
        let extent = Extent::of(&inputs);
        assert_eq!((extent.longest, extent.context), (3, 42));
        assert!(!extent.decodes() && Extent::decode(3, 42, 4, true).decodes());
        assert_eq!((extent.draws, extent.greedy), (1, false));
        let layout = Layout::new(extent, WIDTHS);
        let mut rope = RopeTable::new(dim, 10_000.0, 5);
        rope.fill(&inputs.positions);
        let mut words = vec![7; 3];
        let changes = layout.fill(&inputs, &rope, &mut words)?;
        assert_eq!(changes, [3000, 0, 0, 1.5f32.to_bits()]);
        assert_eq!(words.len(), layout.words());
        let base = DevicePtr(1 << 20);
        let read = |part: In<u32>| {
            let start = (part.ptr.0 - base.0) as usize / 4;
            assert_eq!(part.ptr.0 % 16, 0);
            words[start..start + part.len].to_vec()
        };
        assert_eq!(read(layout.token_ids(base)), inputs.token_ids);
        assert_eq!(read(layout.slot_mapping(base)), inputs.slot_mapping);
        assert_eq!(read(layout.logit_rows(base)), inputs.logit_rows);
        assert_eq!(read(layout.block_tables(base)), inputs.block_tables);
        assert_eq!(read(layout.spans(base)), [0, 3, 0, 0, 3, 2, 40, 1]);
        let settings = read(layout.settings(base));
        assert_eq!(settings[..2], [1, 0.5f32.to_bits()]);
        assert_eq!(settings[11..], [42]);
        assert_eq!(read(layout.starts(base)), [0, 0, 1, 1]);
        let angles = layout.cos_sin(base);
        let angles = read(In::new(angles.ptr, angles.len));
        let (cos, sin) = rope.angles(4);
        let last: Vec<u32> = cos.iter().chain(sin).map(|x| x.to_bits()).collect();
        assert_eq!(angles[4 * dim..], last);
        Ok(())
    }

    #[test]
    fn longer_tables_move_nothing() {
        let base = DevicePtr(0);
        let [short, long] =
            [1, 9].map(|len| Layout::new(Extent::decode(3, 16, len, false), WIDTHS));
        assert_eq!(short.block_tables(base).ptr, long.block_tables(base).ptr);
        assert_eq!(short.starts(base).ptr, long.starts(base).ptr);
        assert_eq!(long.words() - short.words(), 8);
    }
}
