//! Causal attention over the paged cache, by either kernel.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use half::{bf16, f16};
use qwarp::backend::cpu::reference::{self, Cache, Matrix};
use qwarp::backend::gpu::launch::{self, AttentionType, span_words};
use qwarp::backend::{SequenceSpan, StepInputs};
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::driver::{DriverError, In, InOut, Launch, Out, Target};
use qwarp::dtype::DType;
use qwarp::shape::Heads;

use super::bound::Bound;
use super::number::{Real, values, wide};
use super::{Case, Device, Model, Op, Output, RowRange, Work};

/// Sequences that end in every eighth of a tile of 64 positions, and of every tile of a chunk, where copies of whole rows end;
/// and with a tile and just behind it.
const ENDS: [Shape; 16] = [
    ((1, 1), &[(35, 1), (251, 1)]),
    ((1, 1), &[(43, 1), (243, 1)]),
    ((1, 1), &[(51, 1), (235, 1)]),
    ((1, 1), &[(59, 1), (227, 1)]),
    ((1, 1), &[(67, 1), (219, 1)]),
    ((1, 1), &[(75, 1), (211, 1)]),
    ((1, 1), &[(83, 1), (203, 1)]),
    ((1, 1), &[(91, 1), (195, 1)]),
    ((1, 1), &[(99, 1), (187, 1)]),
    ((1, 1), &[(107, 1), (179, 1)]),
    ((1, 1), &[(115, 1), (171, 1)]),
    ((1, 1), &[(123, 1), (163, 1)]),
    ((1, 1), &[(131, 1), (155, 1)]),
    ((1, 1), &[(139, 1), (147, 1)]),
    ((1, 1), &[(127, 1), (192, 1)]),
    ((1, 1), &[(128, 1), (191, 1)]),
];

/// Query heads, KV heads; (cached positions, tokens) of each sequence.
type Shape = ((usize, usize), &'static [(usize, usize)]);

/// The widths of a head that there are kernels for; each takes every shape.
const DIMS: [usize; 2] = [64, 128];

/// Around blocks of 16, tiles of 64 and chunks of 256 positions, rows (tokens times group) around tiles of 16 and 64.
const SHAPES: [Shape; 49] = [
    ((1, 1), &[(0, 1)]),
    ((1, 1), &[(0, 2)]),
    ((1, 1), &[(14, 1)]),
    ((1, 1), &[(14, 2)]),
    ((1, 1), &[(16, 1)]),
    ((1, 1), &[(62, 1)]),
    ((1, 1), &[(62, 3)]),
    ((1, 1), &[(64, 1)]),
    ((1, 1), &[(254, 1), (255, 1), (256, 1)]),
    ((1, 1), &[(254, 4)]),
    ((1, 1), &[(510, 1), (511, 1), (512, 1)]),
    ((1, 1), &[(0, 15), (0, 16), (0, 17)]),
    ((1, 1), &[(0, 70)]),
    ((1, 1), &[(699, 1)]),
    ((2, 1), &[(0, 8)]),
    ((2, 1), &[(3, 9)]),
    ((2, 2), &[(30, 5), (250, 8)]),
    ((2, 1), &[(0, 33)]),
    ((3, 1), &[(20, 6)]),
    ((5, 1), &[(126, 3), (0, 4)]),
    ((7, 1), &[(0, 1), (1, 1), (2, 1), (17, 1)]),
    ((7, 1), &[(12, 3), (47, 2)]),
    ((7, 1), &[(0, 10)]),
    ((8, 1), &[(63, 2)]),
    ((16, 1), &[(5, 1), (260, 1)]),
    ((17, 1), &[(5, 1), (8, 2)]),
    ((14, 2), &[(0, 4)]),
    ((14, 2), &[(31, 1), (127, 1)]),
    ((14, 2), &[(0, 1), (40, 3), (7, 2)]),
    ((1, 1), &[(15, 1)]),
    ((1, 1), &[(15, 2), (0, 3)]),
    ((1, 1), &[(63, 1), (64, 1)]),
    ((1, 1), &[(255, 2)]),
    ((1, 1), &[(511, 2)]),
    ((1, 1), &[(0, 66)]),
    ((2, 1), &[(0, 9)]),
    ((2, 1), &[(320, 3)]),
    ((3, 3), &[(18, 2), (0, 5)]),
    ((6, 1), &[(0, 1), (33, 1), (130, 1)]),
    ((6, 1), &[(0, 11)]),
    ((6, 1), &[(257, 3)]),
    ((7, 1), &[(9, 2), (15, 3)]),
    ((12, 2), &[(0, 3)]),
    ((12, 2), &[(48, 1), (80, 2)]),
    ((28, 4), &[(0, 2)]),
    ((28, 4), &[(39, 1)]),
    ((40, 8), &[(20, 1), (3, 1)]),
    ((13, 1), &[(470, 1)]),
    ((3, 1), &[(1860, 1)]),
];

/// Positions that all sequences have in common, in the same blocks.
const PREFIX: usize = 2 * BLOCK_SIZE;
/// More positions than a sequence has: tells sequences' values apart.
const APART: usize = 1 << 14;

/// Its cases.
pub const OP: Op = Op { cases, at };

/// Which kernels run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Flash,
    Paged,
}

/// Where a sequence's blocks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    Scattered,
    Contiguous,
}

/// A sequence's tokens in the launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// What its queries, keys and values depend on, with the position.
    pub id: usize,
    pub cached: usize,
    pub tokens: usize,
}

/// Some tokens of some sequences.
pub struct Attention<T> {
    pub heads: Heads,
    pub sequences: Vec<Sequence>,
    /// Tokens of the sequences, one after the other, that are in the launch.
    pub rows: RowRange,
    pub way: Way,
    pub placement: Placement,
    pub matrix: PhantomData<fn() -> T>,
}

/// Every shape with every type, by both ways.
fn cases() -> Vec<Box<dyn Case>> {
    fn of<T: Real + AttentionType>(way: Way) -> impl Iterator<Item = Box<dyn Case>> {
        let shapes = SHAPES.iter().chain(&ENDS);
        let shapes = shapes.flat_map(|shape| DIMS.map(|dim| (dim, shape)));
        shapes.map(move |(dim, &((query, kv), spans))| -> Box<dyn Case> {
            let heads = Heads { query, kv, dim };
            Box::new(Attention::<T>::new(heads, sequences(spans), way))
        })
    }
    let flash = of::<f16>(Way::Flash).chain(of::<bf16>(Way::Flash));
    let paged = of::<f16>(Way::Paged).chain(of::<bf16>(Way::Paged));
    flash.chain(paged).collect()
}

/// At the sizes of a model: sequences of one token each with a context behind them, or the prefill of one.
fn at(model: &Model, rows: usize) -> Vec<Box<dyn Case>> {
    fn of<T: Real + AttentionType>(
        heads: Heads,
        sequences: Vec<Sequence>,
        way: Way,
    ) -> Box<dyn Case> {
        Box::new(Attention::<T>::new(heads, sequences, way))
    }
    let (spans, way) = if rows <= model.sequences {
        (vec![(model.context - 1, 1); rows], Way::Paged)
    } else {
        (vec![(0, rows)], Way::Flash)
    };
    vec![
        of::<f16>(model.heads, sequences(&spans), way),
        of::<bf16>(model.heads, sequences(&spans), way),
    ]
}

/// Sequences of (cached positions, tokens).
fn sequences(spans: &[(usize, usize)]) -> Vec<Sequence> {
    let sequence = |(id, &(cached, tokens))| Sequence { id, cached, tokens };
    spans.iter().enumerate().map(sequence).collect()
}

/// Where everything stands.
#[derive(Default)]
struct Layout {
    spans: Vec<SequenceSpan>,
    tables: Vec<u32>,
    /// Blocks of the cache: those that are used and a few that nobody writes.
    blocks: usize,
    /// What stands in a block: whose positions, from which on, and how many of them.
    used: BTreeMap<usize, (usize, usize, usize)>,
}

/// Keys or values: what is written, by first element, and the same by slot.
struct Cached<T> {
    parts: Vec<(usize, Vec<T>)>,
    by_slot: Matrix,
}

impl<T: Real + AttentionType> Attention<T> {
    /// All tokens of the sequences.
    pub fn new(heads: Heads, sequences: Vec<Sequence>, way: Way) -> Self {
        let tokens = sequences.iter().map(|sequence| sequence.tokens).sum();
        Attention {
            heads,
            sequences,
            rows: RowRange::first(tokens),
            way,
            placement: Placement::Scattered,
            matrix: PhantomData,
        }
    }

    /// The sequences with what the launch has of their tokens.
    fn in_launch(&self) -> Vec<Sequence> {
        let (mut first, rows) = (0, self.rows);
        let mut found = Vec::new();
        for sequence in &self.sequences {
            let from = rows.first.max(first);
            let to = (rows.first + rows.count).min(first + sequence.tokens);
            if from < to {
                found.push(Sequence {
                    cached: sequence.cached + from - first,
                    tokens: to - from,
                    ..*sequence
                });
            }
            first += sequence.tokens;
        }
        found
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        let mut numbers = BTreeMap::new();
        let mut ordered = Vec::new();
        for sequence in self.in_launch() {
            let end = sequence.cached + sequence.tokens;
            let table_start = ordered.len();
            for first in (0..end).step_by(BLOCK_SIZE) {
                let owner = if first < PREFIX { 0 } else { sequence.id };
                let next = numbers.len();
                let number = *numbers.entry((owner, first)).or_insert(next);
                let (_, _, filled) = layout.used.entry(number).or_insert((owner, first, 0));
                *filled = (end - first).min(BLOCK_SIZE).max(*filled);
                ordered.push(number);
            }
            layout.spans.push(SequenceSpan {
                tokens: sequence.tokens,
                cached: sequence.cached,
                table_start,
                table_len: ordered.len() - table_start,
            });
        }
        // Not a multiple of 7, so that steps of 7 reach every block.
        layout.blocks = numbers.len() + 2;
        layout.blocks += usize::from(layout.blocks.is_multiple_of(7));
        let block = |number| match self.placement {
            Placement::Scattered => (number * 7 + 3) % layout.blocks,
            Placement::Contiguous => number,
        };
        layout.tables = ordered.iter().map(|&n| block(n) as u32).collect();
        let used = std::mem::take(&mut layout.used);
        layout.used = used.into_iter().map(|(n, what)| (block(n), what)).collect();
        layout
    }

    /// The queries, twice as large as all else: weights then differ by orders of magnitude.
    fn queries(&self) -> Vec<T> {
        let cols = self.heads.q_dim();
        let of = |sequence: Sequence| {
            let first = sequence.id * APART + sequence.cached;
            values(first * cols..(first + sequence.tokens) * cols, 11)
        };
        let all = self.in_launch().into_iter().flat_map(of);
        all.map(|x| T::round(x * 2.0)).collect()
    }

    fn cached(&self, layout: &Layout, seed: u32) -> Cached<T> {
        let Heads { kv, dim, .. } = self.heads;
        let slots = layout.blocks * BLOCK_SIZE;
        let mut by_slot = vec![f64::NAN; slots * kv * dim];
        let mut parts = Vec::new();
        for (block, &(owner, first, filled)) in &layout.used {
            for head in 0..kv {
                let row = (owner * kv + head) * APART + first;
                let rows = values(row * dim..(row + filled) * dim, seed);
                let rows: Vec<T> = rows.into_iter().map(T::round).collect();
                for (i, row) in rows.chunks(dim).enumerate() {
                    let at = ((block * BLOCK_SIZE + i) * kv + head) * dim;
                    by_slot[at..at + dim].copy_from_slice(&wide(row));
                }
                parts.push(((block * kv + head) * BLOCK_SIZE * dim, rows));
            }
        }
        let by_slot = Matrix {
            cols: kv * dim,
            data: by_slot,
        };
        Cached { parts, by_slot }
    }

    /// The launch, and the counters that it must leave at zero.
    fn launch(
        &self,
        device: &Device<'_>,
        flash: launch::FlashAttention<T>,
    ) -> Result<(Launch, Option<InOut<u32>>), DriverError> {
        if self.way == Way::Flash {
            return Ok((flash.launch(device.kernels)?, None));
        }
        let Heads { query, dim, .. } = self.heads;
        let chunks = launch::PagedAttention::<T>::chunks(flash.context);
        let tiles = launch::PagedAttention::<T>::tiles(self.heads, flash.longest);
        let partial: Out<f32> = device.output(flash.tokens * query * chunks * (dim + 2))?;
        let paged = launch::PagedAttention {
            attention: flash,
            partial: InOut::new(partial.ptr, partial.len),
            arrived: device.in_out(&vec![0; flash.sequences * tiles])?,
        };
        Ok((paged.launch(device.kernels)?, Some(paged.arrived)))
    }

    /// As many rounding errors of weights as there are keys, each of half a unit at most and independent of the others, come
    /// to less than half a unit of the output's own size in the mean, and to eight times that at worst; then one rounding.
    fn bound() -> Bound {
        Bound {
            atol: 8.0 * T::HALF_ULP,
            ..T::rounded_once()
        }
    }
}

impl<T: Real + AttentionType> Case for Attention<T> {
    fn op(&self) -> &'static str {
        match self.way {
            Way::Flash => "flash_attention",
            Way::Paged => "paged_attention",
        }
    }

    fn name(&self) -> String {
        let (op, rows, heads, dtype) = (self.op(), self.rows, self.heads, T::DTYPE);
        // The type behind the comma: it decides no bound of a loop, so widths are gone through with one type.
        format!("{op}, {dtype}, {rows:?} of {:?}, {heads:?}", self.sequences)
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
        Box::new(Attention::<T> {
            rows,
            sequences: self.sequences.clone(),
            ..*self
        })
    }

    /// Two tokens, the first of which sees n positions.
    fn with_width(&self, n: usize) -> Box<dyn Case> {
        let sequences = sequences(&[(n - 1, 2)]);
        Box::new(Attention::<T>::new(self.heads, sequences, self.way))
    }

    fn floor_bytes(&self) -> usize {
        let layout = self.layout();
        let positions: usize = layout.used.values().map(|(_, _, filled)| filled).sum();
        let elements =
            2 * positions * self.heads.kv_dim() + 2 * self.rows.count * self.heads.q_dim();
        elements * size_of::<T>() + 4 * (layout.tables.len() + 4 * layout.spans.len())
    }

    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError> {
        let (tokens, heads) = (self.rows.count, self.heads);
        let layout = self.layout();
        let (keys, values) = (self.cached(&layout, 12), self.cached(&layout, 13));
        let cache_len = layout.blocks * BLOCK_SIZE * heads.kv_dim();
        let queries = self.queries();
        let spans = layout.spans.iter();
        let out = device.output::<T>(tokens * heads.q_dim())?;
        let flash = launch::FlashAttention {
            tokens,
            heads,
            blocks: layout.blocks,
            sequences: layout.spans.len(),
            longest: spans.clone().map(|span| span.tokens).max().unwrap_or(0),
            context: spans.map(|s| s.cached + s.tokens).max().unwrap_or(0),
            q: device.input(&queries)?,
            keys: device.partly(cache_len, &keys.parts)?,
            values: device.partly(cache_len, &values.parts)?,
            block_tables: device.input(&layout.tables)?,
            spans: device.input(&span_words(&layout.spans)?)?,
            out,
        };
        let (launch, arrived) = self.launch(device, flash)?;
        Ok(Work {
            launches: vec![launch],
            floor_bytes: self.floor_bytes(),
            outputs: Box::new(move || {
                let q = Matrix {
                    cols: heads.q_dim(),
                    data: wide(&queries),
                };
                let step = StepInputs {
                    sequences: layout.spans,
                    block_tables: layout.tables,
                    ..StepInputs::default()
                };
                let cache = Cache {
                    keys: keys.by_slot,
                    values: values.by_slot,
                };
                let expected = reference::attention(&q, heads, &step, &cache);
                let out = Output::new::<T>("out", out.ptr, expected.data, Self::bound());
                let zero = |arrived: InOut<u32>| {
                    let zeros = vec![0.0; arrived.len];
                    Output::new::<u32>("arrived", arrived.ptr, zeros, Bound::EXACT)
                };
                let arrived = arrived.map(zero);
                [Some(out.in_rows(tokens)), arrived]
                    .into_iter()
                    .flatten()
                    .collect()
            }),
        })
    }
}
