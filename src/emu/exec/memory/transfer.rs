//! Bytes between memory and registers. Inside bounds by now: nothing here can fail.

use crate::emu::check::{Lanes, Pattern};
use crate::emu::memory::{Words, WordsMut};
use crate::emu::op::{Span, Widen};
use crate::emu::rows::{LANES, Row, Rows, Slot, WideRow};

/// `BYTES` bytes at an aligned offset.
#[inline(always)]
pub fn fetch<W: Words, const BYTES: usize>(words: W, offset: usize) -> u64 {
    let index = offset / 4;
    match BYTES {
        8 => u64::from(words.word(index)) | u64::from(words.word(index + 1)) << 32,
        4 => u64::from(words.word(index)),
        2 => u64::from(words.word(index) >> (8 * (offset & 2)) & 0xffff),
        _ => u64::from(words.word(index) >> (8 * (offset & 3)) & 0xff),
    }
}

/// Replaces `BYTES` bytes at an aligned offset.
#[inline(always)]
pub fn put<W: WordsMut, const BYTES: usize>(words: W, offset: usize, value: u64) {
    let index = offset / 4;
    match BYTES {
        8 => {
            words.set_word(index, value as u32);
            words.set_word(index + 1, (value >> 32) as u32);
        }
        4 => words.set_word(index, value as u32),
        2 => {
            let shift = 8 * (offset & 2);
            words.set_bits(index, 0xffff << shift, (value as u32) << shift);
        }
        _ => {
            let shift = 8 * (offset & 3);
            words.set_bits(index, 0xff << shift, (value as u32) << shift);
        }
    }
}

/// Loads the elements of `lanes` to registers. `base` is what the first word's address is.
#[inline(always)]
pub fn load<W: Words>(
    words: W,
    base: u64,
    lanes: &Lanes<'_>,
    span: Span,
    widen: Widen,
    rows: &mut Rows<'_>,
    dests: &[Slot],
) {
    if let (4, Widen::Zero, u32::MAX, Pattern::Run(first)) =
        (span.bytes, widen, lanes.mask, lanes.at)
    {
        let first = (first - base) as usize / 4;
        match dests {
            [dest] => return load_run::<W, 1>(words, first, rows, &[*dest]),
            [d, e] => return load_run::<W, 2>(words, first, rows, &[*d, *e]),
            [d, e, f, g] => return load_run::<W, 4>(words, first, rows, &[*d, *e, *f, *g]),
            _ => {}
        }
    }
    match span.bytes {
        8 => load_wide(words, base, lanes, rows, dests),
        4 => load_narrow::<W, 4>(words, base, lanes, widen, rows, dests),
        2 => load_narrow::<W, 2>(words, base, lanes, widen, rows, dests),
        _ => load_narrow::<W, 1>(words, base, lanes, widen, rows, dests),
    }
}

/// `COUNT` words of each lane, all side by side: the common load.
#[inline(never)]
fn load_run<W: Words, const COUNT: usize>(
    words: W,
    first: usize,
    rows: &mut Rows<'_>,
    dests: &[Slot; COUNT],
) {
    let part = words.part(first, LANES * COUNT);
    let mut found = [Row::splat(0); COUNT];
    for lane in 0..LANES {
        for element in 0..COUNT {
            found[element].0[lane] = part.word(lane * COUNT + element);
        }
    }
    for (dest, row) in dests.iter().zip(&found) {
        rows.set(*dest, row, u32::MAX);
    }
}

fn load_wide<W: Words>(
    words: W,
    base: u64,
    lanes: &Lanes<'_>,
    rows: &mut Rows<'_>,
    dests: &[Slot],
) {
    for (element, dest) in dests.iter().enumerate() {
        let row = match lanes.at {
            Pattern::Same(address) => {
                let offset = (address - base) as usize + 8 * element;
                WideRow::splat(fetch::<W, 8>(words, offset))
            }
            _ => {
                let mut row = WideRow::splat(0);
                for lane in lanes.active() {
                    let offset = (lanes.address(lane) - base) as usize + 8 * element;
                    row.0[lane as usize % LANES] = fetch::<W, 8>(words, offset);
                }
                row
            }
        };
        rows.set_wide(*dest, &row, lanes.mask);
    }
}

#[inline(never)]
fn load_narrow<W: Words, const BYTES: usize>(
    words: W,
    base: u64,
    lanes: &Lanes<'_>,
    widen: Widen,
    rows: &mut Rows<'_>,
    dests: &[Slot],
) {
    for (element, dest) in dests.iter().enumerate() {
        let row = gather::<W, BYTES>(words, base, lanes, BYTES * element, dests.len());
        match widen {
            Widen::Zero => rows.set(*dest, &row, lanes.mask),
            Widen::Sign16 => {
                let row = Row(row.0.map(|bits| sign::<BYTES>(bits) & 0xffff));
                rows.set(*dest, &row, lanes.mask);
            }
            Widen::Sign32 => rows.set(*dest, &Row(row.0.map(sign::<BYTES>)), lanes.mask),
            Widen::ZeroWide => {
                rows.set_wide(*dest, &WideRow(row.0.map(u64::from)), lanes.mask);
            }
            Widen::SignWide => {
                let row = WideRow(row.0.map(|bits| sign::<BYTES>(bits) as i32 as i64 as u64));
                rows.set_wide(*dest, &row, lanes.mask);
            }
        }
    }
}

/// Sign-extends an element to 32 bits.
#[inline(always)]
fn sign<const BYTES: usize>(bits: u32) -> u32 {
    match BYTES {
        1 => bits as u8 as i8 as u32,
        2 => bits as u16 as i16 as u32,
        _ => bits,
    }
}

/// One element of each lane, `at` bytes behind the lane's address; a lane has `count` elements.
#[inline(always)]
fn gather<W: Words, const BYTES: usize>(
    words: W,
    base: u64,
    lanes: &Lanes<'_>,
    at: usize,
    count: usize,
) -> Row {
    let mut row = Row::splat(0);
    match lanes.at {
        Pattern::Run(first) if lanes.mask == u32::MAX && is_pairs::<BYTES>(first - base, count) => {
            let part = words.part((first - base) as usize / 4, LANES / 2);
            for pair in 0..LANES / 2 {
                let word = part.word(pair);
                row.0[2 * pair] = word & 0xffff;
                row.0[2 * pair + 1] = word >> 16;
            }
        }
        Pattern::Same(address) => {
            let offset = (address - base) as usize + at;
            row = Row::splat(fetch::<W, BYTES>(words, offset) as u32);
        }
        _ => {
            for lane in lanes.active() {
                let offset = (lanes.address(lane) - base) as usize + at;
                row.0[lane as usize % LANES] = fetch::<W, BYTES>(words, offset) as u32;
            }
        }
    }
    row
}

/// Whether a run of 16-bit elements, one a lane, fills whole words.
#[inline(always)]
fn is_pairs<const BYTES: usize>(offset: u64, count: usize) -> bool {
    BYTES == 2 && count == 1 && offset.is_multiple_of(4)
}

/// Stores the elements of `lanes` from registers, in ascending order of lanes.
#[inline(always)]
pub fn store<W: WordsMut>(
    words: W,
    base: u64,
    lanes: &Lanes<'_>,
    span: Span,
    wide_values: bool,
    rows: &Rows<'_>,
    values: &[Slot],
) {
    if let (4, false, u32::MAX, Pattern::Run(first)) =
        (span.bytes, wide_values, lanes.mask, lanes.at)
    {
        let first = (first - base) as usize / 4;
        match values {
            [value] => return store_run::<W, 1>(words, first, rows, &[*value]),
            [v, w] => return store_run::<W, 2>(words, first, rows, &[*v, *w]),
            [v, w, x, y] => return store_run::<W, 4>(words, first, rows, &[*v, *w, *x, *y]),
            _ => {}
        }
    }
    match (span.bytes, wide_values) {
        (1 | 2, false) if span.total() >= 4 => {
            store_packed(words, base, lanes, u32::from(span.bytes), rows, values);
        }
        (8, _) => store_wide::<W, 8>(words, base, lanes, rows, values),
        (4, true) => store_wide::<W, 4>(words, base, lanes, rows, values),
        (2, true) => store_wide::<W, 2>(words, base, lanes, rows, values),
        (1, true) => store_wide::<W, 1>(words, base, lanes, rows, values),
        (4, false) => store_narrow::<W, 4>(words, base, lanes, rows, values),
        (2, false) => store_narrow::<W, 2>(words, base, lanes, rows, values),
        _ => store_narrow::<W, 1>(words, base, lanes, rows, values),
    }
}

/// `COUNT` words of each lane, all side by side: the common store.
#[inline(never)]
fn store_run<W: WordsMut, const COUNT: usize>(
    words: W,
    first: usize,
    rows: &Rows<'_>,
    values: &[Slot; COUNT],
) {
    let part = words.part(first, LANES * COUNT);
    let values = values.map(|value| rows.get(value));
    for lane in 0..LANES {
        for element in 0..COUNT {
            part.set_word(lane * COUNT + element, values[element].0[lane]);
        }
    }
}

/// Elements below 32 bits that fill whole words in each lane.
fn store_packed<W: WordsMut>(
    words: W,
    base: u64,
    lanes: &Lanes<'_>,
    bytes: u32,
    rows: &Rows<'_>,
    values: &[Slot],
) {
    let (kept, shift) = (u32::MAX >> (32 - 8 * bytes), 8 * bytes);
    let per_word = (4 / bytes) as usize;
    for (word, values) in values.chunks_exact(per_word).enumerate() {
        let mut packed = Row::splat(0);
        for value in values.iter().rev() {
            let row = rows.get(*value);
            for lane in 0..LANES {
                packed.0[lane] = packed.0[lane] << shift | (row.0[lane] & kept);
            }
        }
        match lanes.at {
            Pattern::Run(first) if lanes.mask == u32::MAX => {
                let count = lanes.bytes as usize / 4;
                let part = words.part((first - base) as usize / 4, LANES * count);
                for lane in 0..LANES {
                    part.set_word(lane * count + word, packed.0[lane]);
                }
            }
            _ => {
                for lane in lanes.active() {
                    let offset = (lanes.address(lane) - base) as usize;
                    words.set_word(offset / 4 + word, packed.0[lane as usize % LANES]);
                }
            }
        }
    }
}

fn store_wide<W: WordsMut, const BYTES: usize>(
    words: W,
    base: u64,
    lanes: &Lanes<'_>,
    rows: &Rows<'_>,
    values: &[Slot],
) {
    for lane in lanes.active() {
        let offset = (lanes.address(lane) - base) as usize;
        for (element, value) in values.iter().enumerate() {
            let value = rows.get_wide(*value).0[lane as usize % LANES];
            put::<W, BYTES>(words, offset + BYTES * element, value);
        }
    }
}

#[inline(never)]
fn store_narrow<W: WordsMut, const BYTES: usize>(
    words: W,
    base: u64,
    lanes: &Lanes<'_>,
    rows: &Rows<'_>,
    values: &[Slot],
) {
    match lanes.at {
        Pattern::Run(first)
            if lanes.mask == u32::MAX && is_pairs::<BYTES>(first - base, values.len()) =>
        {
            let part = words.part((first - base) as usize / 4, LANES / 2);
            let row = rows.get(values[0]);
            for pair in 0..LANES / 2 {
                part.set_word(pair, row.0[2 * pair] & 0xffff | row.0[2 * pair + 1] << 16);
            }
        }
        _ => {
            for lane in lanes.active() {
                let offset = (lanes.address(lane) - base) as usize;
                for (element, value) in values.iter().enumerate() {
                    let value = u64::from(rows.get(*value).0[lane as usize % LANES]);
                    put::<W, BYTES>(words, offset + BYTES * element, value);
                }
            }
        }
    }
}
