//! Where a matrix's elements lie in the registers of a warp.
//!
//! All modelled shapes share one layout, written in 32-bit words (two halves or four bytes, neighbours along k): lane `l`
//! is in group `l / 4` and is that group's thread `l % 4`. A's register `r` is row `group + 8 (r % 2)`, word
//! `thread + 4 (r / 2)`; B's is word `thread + 4 r` of column `group`. A 32-bit C or D register is row
//! `group + 8 (r / 2)`, column `2 thread + r % 2`.

use crate::emu::Row;

/// The largest number of rows.
pub const M: usize = 16;
/// The number of columns of B, C and D.
pub const N: usize = 8;
/// Words along k of the longest form: 16 halves or 32 bytes.
pub const WORDS: usize = 8;

/// A's words by row.
#[inline(always)]
pub fn a_words(a: &[Row]) -> [[u32; WORDS]; M] {
    let mut words = [[0; WORDS]; M];
    for (r, row) in a.iter().enumerate() {
        for group in 0..8 {
            for thread in 0..4 {
                words[group + 8 * (r % 2)][thread + 4 * (r / 2)] = row.0[4 * group + thread];
            }
        }
    }
    words
}

/// B's words by place along k.
#[inline(always)]
pub fn b_words(b: &[Row]) -> [[u32; N]; WORDS] {
    let mut words = [[0; N]; WORDS];
    for (r, row) in b.iter().enumerate() {
        for group in 0..8 {
            for thread in 0..4 {
                words[thread + 4 * r][group] = row.0[4 * group + thread];
            }
        }
    }
    words
}

/// C's elements of 32 bits by row.
#[inline(always)]
pub fn c_words(c: &[Row]) -> [[u32; N]; M] {
    let mut matrix = [[0; N]; M];
    for (half, pair) in c.chunks_exact(2).enumerate() {
        for group in 0..8 {
            for thread in 0..4 {
                let row = &mut matrix[group + 8 * half];
                row[2 * thread] = pair[0].0[4 * group + thread];
                row[2 * thread + 1] = pair[1].0[4 * group + thread];
            }
        }
    }
    matrix
}

/// C's elements of 16 bits by row: a register holds two neighbours of a row.
#[inline(always)]
pub fn c_halves(c: &[Row]) -> [[u32; N]; M] {
    let mut matrix = [[0; N]; M];
    for (half, register) in c.iter().enumerate() {
        for group in 0..8 {
            for thread in 0..4 {
                let (row, word) = (
                    &mut matrix[group + 8 * half],
                    register.0[4 * group + thread],
                );
                row[2 * thread] = word & 0xffff;
                row[2 * thread + 1] = word >> 16;
            }
        }
    }
    matrix
}

/// The inverse of [`c_words`].
#[inline(always)]
pub fn d_from_words(matrix: &[[u32; N]; M], d: &mut [Row]) {
    for (half, pair) in d.chunks_exact_mut(2).enumerate() {
        for group in 0..8 {
            for thread in 0..4 {
                let row = &matrix[group + 8 * half];
                pair[0].0[4 * group + thread] = row[2 * thread];
                pair[1].0[4 * group + thread] = row[2 * thread + 1];
            }
        }
    }
}

/// The inverse of [`c_halves`].
#[inline(always)]
pub fn d_from_halves(matrix: &[[u32; N]; M], d: &mut [Row]) {
    for (half, register) in d.iter_mut().enumerate() {
        for group in 0..8 {
            for thread in 0..4 {
                let row = &matrix[group + 8 * half];
                register.0[4 * group + thread] = row[2 * thread] | row[2 * thread + 1] << 16;
            }
        }
    }
}
