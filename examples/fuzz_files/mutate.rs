//! The mutator: edits of the parts that a format names, then edits of bytes.

use std::ops::Range;

use crate::rng::Rng;

/// What a part of a seed is, and so what may stand in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something that can be there twice or not at all: a member with its comma, an entry, a statement.
    Unit,
    /// A name.
    Key,
    /// A value: a JSON value, a GGUF value with its type, an expression.
    Value,
    /// A little-endian integer of 4 or 8 bytes.
    Integer,
}

/// A part of a seed.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its bytes.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
    /// Where a u64 stands that counts the bytes around it.
    pub length_at: Option<usize>,
    /// Where a u64 stands that counts units like it.
    pub count_at: Option<usize>,
}

/// A valid input and its parts.
pub struct Seed {
    /// The input.
    pub bytes: Vec<u8>,
    /// Its parts; they may nest.
    pub parts: Vec<Part>,
}

impl Seed {
    fn slice(&self, part: &Part) -> &[u8] {
        self.bytes.get(part.range.clone()).unwrap_or_default()
    }
}

/// What a format puts in place of parts.
pub struct Words {
    /// Texts that take the place of a value or a key, or stand between units.
    pub values: &'static [&'static str],
    /// What a value is nested in, many times over.
    pub nests: &'static [(&'static str, &'static str)],
}

/// One replacement of bytes of the seed.
struct Edit {
    part: Part,
    new: Vec<u8>,
    units: i64,
}

/// Integers at which parsers break: zero, ends of ranges, products that wrap.
const INTEGERS: [u64; 18] = [
    0,
    1,
    2,
    3,
    0x7f,
    0xff,
    0xffff,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 40,
    1 << 61,
    (1 << 62) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// The mutated input of `rng`'s stream.
pub fn mutate(seeds: &[Seed], words: &Words, rng: &mut Rng) -> Vec<u8> {
    let Some(seed) = rng.pick(seeds) else {
        return Vec::new();
    };
    // One in 16 keeps its structure, so that bytes alone are tried too.
    let mut bytes = if rng.one_in(16) {
        seed.bytes.clone()
    } else {
        edit_parts(seed, seeds, words, rng)
    };
    // Most inputs keep their bytes: two errors in one file hide what comes after the first.
    if rng.one_in(3) {
        for _ in 0..=rng.below(3) {
            edit_bytes(&mut bytes, seeds, rng);
        }
    }
    bytes
}

fn edit_parts(seed: &Seed, seeds: &[Seed], words: &Words, rng: &mut Rng) -> Vec<u8> {
    let mut edits = Vec::new();
    for _ in 0..=rng.below(3) {
        if let Some(part) = rng.pick(&seed.parts) {
            plan_edit(seed, part, seeds, words, rng, &mut edits);
        }
    }
    // From the end to the start, so that places in front of an edit stay where they are.
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.part.range.start));
    let mut bytes = seed.bytes.clone();
    let mut untouched = bytes.len();
    for edit in edits {
        let Range { start, end } = edit.part.range;
        if end > untouched || start > end {
            continue;
        }
        untouched = start;
        let grown = edit.new.len() as i64 - (end - start) as i64;
        bytes.splice(start..end, edit.new);
        // Now and then a length or a count stays what it was, which makes it wrong.
        if let Some(at) = edit.part.length_at.filter(|_| !rng.one_in(8)) {
            add(&mut bytes, at, grown);
        }
        if let Some(at) = edit.part.count_at.filter(|_| !rng.one_in(8)) {
            add(&mut bytes, at, edit.units);
        }
    }
    bytes
}

/// Adds to the u64 at `at`.
fn add(bytes: &mut [u8], at: usize, delta: i64) {
    if let Some(word) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *word = u64::from_le_bytes(*word)
            .wrapping_add_signed(delta)
            .to_le_bytes();
    }
}

fn plan_edit(
    seed: &Seed,
    part: &Part,
    seeds: &[Seed],
    words: &Words,
    rng: &mut Rng,
    edits: &mut Vec<Edit>,
) {
    let old = seed.slice(part);
    let mut put = |part: &Part, new: Vec<u8>, units: i64| {
        edits.push(Edit {
            part: part.clone(),
            new,
            units,
        });
    };
    if part.kind == Kind::Integer {
        return put(part, integer(old, rng), 0);
    }
    match rng.below(if part.kind == Kind::Unit { 5 } else { 8 }) {
        0 => put(part, Vec::new(), -1),
        1 | 2 if part.kind == Kind::Unit => put(part, [old, old].concat(), 1),
        // Two parts of a kind change places.
        1 | 3 => {
            if let Some(other) = same_kind(seed, part.kind, rng) {
                put(part, seed.slice(other).to_vec(), 0);
                put(other, old.to_vec(), 0);
            }
        }
        // A part of another seed.
        2 | 4 => {
            let other = rng.pick(seeds).unwrap_or(seed);
            if let Some(found) = same_kind(other, part.kind, rng) {
                put(part, other.slice(found).to_vec(), 0);
            }
        }
        5 => {
            if let Some((open, close)) = rng.pick(words.nests) {
                let depth = [1, 2, 3, 20, 200, 2_000][rng.below(6)];
                let (open, close) = (open.repeat(depth), close.repeat(depth));
                let new = [open.as_bytes(), old, close.as_bytes()];
                put(part, new.concat(), 0);
            }
        }
        6 => put(part, digits(old, rng), 0),
        _ => {
            if let Some(word) = rng.pick(words.values) {
                put(part, word.as_bytes().to_vec(), 0);
            }
        }
    }
}

fn same_kind<'a>(seed: &'a Seed, kind: Kind, rng: &mut Rng) -> Option<&'a Part> {
    let first = rng.below(seed.parts.len());
    let mut turned = seed.parts.iter().cycle().skip(first).take(seed.parts.len());
    turned.find(|part| part.kind == kind)
}

fn integer(old: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut word = [0; 8];
    word.iter_mut().zip(old).for_each(|(to, from)| *to = *from);
    let old_value = u64::from_le_bytes(word);
    let new = match rng.below(4) {
        0 => old_value.wrapping_add(1),
        1 => old_value.wrapping_sub(1),
        2 => old_value ^ (1 << rng.below(64)),
        _ => rng.pick(&INTEGERS).copied().unwrap_or(0),
    };
    new.to_le_bytes()[..old.len().min(8)].to_vec()
}

/// One digit changed, put in or taken out, or the number replaced by one at the end of a range.
fn digits(old: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut new = old.to_vec();
    let places: Vec<usize> = (0..old.len())
        .filter(|&at| old[at].is_ascii_digit())
        .collect();
    let Some(&at) = rng.pick(&places) else {
        return new;
    };
    let digit = b'0' + rng.below(10) as u8;
    match rng.below(4) {
        0 => new[at] = digit,
        1 => new.insert(at, digit),
        2 => drop(new.remove(at)),
        _ => {
            let number = rng.pick(&INTEGERS).copied().unwrap_or(0).to_string();
            new.splice(at..=at, number.into_bytes());
        }
    }
    new
}

fn edit_bytes(bytes: &mut Vec<u8>, seeds: &[Seed], rng: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.below(bytes.len());
    let end = (at + rng.below(16)).min(bytes.len());
    match rng.below(7) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = [0, 0xff, 0x80, b'"', b'{', b'[', b'\\'][rng.below(7)],
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        5 => bytes.insert(at, rng.next() as u8),
        // The start of this input and the end of another.
        _ => {
            if let Some(other) = rng.pick(seeds) {
                let from = rng.below(other.bytes.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other.bytes[from..]);
            }
        }
    }
}
