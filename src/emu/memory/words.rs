//! Memory as 32-bit words: shared by host threads for global memory, owned by one for the rest.
//!
//! Kernels with a race on global memory must not make one of ours: every access to global memory is a relaxed atomic of
//! one and the same width, so that a racing kernel reads one value or the other and the host's behaviour stays defined.
//! Narrower stores change their bits of a word in one step.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

/// Words that can be read.
pub trait Words: Copy {
    /// The words `from..from + count`, so that loops behind it need no checks of their own.
    fn part(self, from: usize, count: usize) -> Self;
    /// Word `index`.
    fn word(self, index: usize) -> u32;
}

/// Words that can be changed, through a shared reference.
pub trait WordsMut: Words {
    /// Replaces word `index`.
    fn set_word(self, index: usize, value: u32);
    /// Replaces the bits of `bits` in word `index`.
    fn set_bits(self, index: usize, bits: u32, value: u32);
}

impl Words for &[u32] {
    #[inline(always)]
    fn part(self, from: usize, count: usize) -> Self {
        &self[from..from + count]
    }

    #[inline(always)]
    fn word(self, index: usize) -> u32 {
        self[index]
    }
}

impl Words for &[AtomicU32] {
    #[inline(always)]
    fn part(self, from: usize, count: usize) -> Self {
        &self[from..from + count]
    }

    #[inline(always)]
    fn word(self, index: usize) -> u32 {
        self[index].load(Ordering::Relaxed)
    }
}

impl WordsMut for &[AtomicU32] {
    #[inline(always)]
    fn set_word(self, index: usize, value: u32) {
        self[index].store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    fn set_bits(self, index: usize, bits: u32, value: u32) {
        let word = &self[index];
        let mut old = word.load(Ordering::Relaxed);
        loop {
            let new = (old & !bits) | (value & bits);
            match word.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }
}

impl Words for &[Cell<u32>] {
    #[inline(always)]
    fn part(self, from: usize, count: usize) -> Self {
        &self[from..from + count]
    }

    #[inline(always)]
    fn word(self, index: usize) -> u32 {
        self[index].get()
    }
}

impl WordsMut for &[Cell<u32>] {
    #[inline(always)]
    fn set_word(self, index: usize, value: u32) {
        self[index].set(value);
    }

    #[inline(always)]
    fn set_bits(self, index: usize, bits: u32, value: u32) {
        let word = &self[index];
        word.set((word.get() & !bits) | (value & bits));
    }
}

/// Copies bytes in.
pub fn write<W: WordsMut>(words: W, offset: usize, bytes: &[u8]) {
    each_word(offset, bytes.len(), |index, bits| {
        let mut value = [0; 4];
        for (byte, slot) in value.iter_mut().enumerate() {
            if let Some(from) = (4 * index + byte).checked_sub(offset) {
                *slot = bytes.get(from).copied().unwrap_or(0);
            }
        }
        let value = u32::from_le_bytes(value);
        match bits {
            u32::MAX => words.set_word(index, value),
            _ => words.set_bits(index, bits, value),
        }
    });
}

/// Sets `len` bytes to `byte`.
pub fn fill<W: WordsMut>(words: W, offset: usize, len: usize, byte: u8) {
    let value = u32::from_le_bytes([byte; 4]);
    each_word(offset, len, |index, bits| match bits {
        u32::MAX => words.set_word(index, value),
        _ => words.set_bits(index, bits, value),
    });
}

/// Copies bytes out.
pub fn read<W: Words>(words: W, offset: usize, bytes: &mut [u8]) {
    let mut at = offset;
    let mut rest = bytes;
    while !rest.is_empty() {
        let within = at % 4;
        let count = (4 - within).min(rest.len());
        let word = words.word(at / 4).to_le_bytes();
        let (now, later) = rest.split_at_mut(count);
        now.copy_from_slice(&word[within..within + count]);
        rest = later;
        at += count;
    }
}

/// Calls `f` for each word that `offset..offset + len` touches, with the bits that it touches.
fn each_word(offset: usize, len: usize, mut f: impl FnMut(usize, u32)) {
    if len == 0 {
        return;
    }
    let end = offset + len;
    for index in offset / 4..end.div_ceil(4) {
        let mut bits = u32::MAX;
        if 4 * index < offset {
            bits &= u32::MAX << (8 * (offset - 4 * index));
        }
        if 4 * index + 4 > end {
            bits &= u32::MAX >> (8 * (4 * index + 4 - end));
        }
        f(index, bits);
    }
}
