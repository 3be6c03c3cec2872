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
pub fn a_words(a: &[Row]) -> [[u32; WORDS]; M] {
    let mut words = [[0; WORDS]; M];
    for (r, row) in a.iter().enumerate() {
        for (lane, &word) in row.0.iter().enumerate() {
            words[lane / 4 + 8 * (r % 2)][lane % 4 + 4 * (r / 2)] = word;
        }
    }
    words
}

/// B's words by place along k.
pub fn b_words(b: &[Row]) -> [[u32; N]; WORDS] {
    let mut words = [[0; N]; WORDS];
    for (r, row) in b.iter().enumerate() {
        for (lane, &word) in row.0.iter().enumerate() {
            words[lane % 4 + 4 * r][lane / 4] = word;
        }
    }
    words
}

/// C's elements of 32 bits by row.
pub fn c_words(c: &[Row]) -> [[u32; N]; M] {
    let mut matrix = [[0; N]; M];
    for (r, row) in c.iter().enumerate() {
        for (lane, &word) in row.0.iter().enumerate() {
            matrix[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2] = word;
        }
    }
    matrix
}

/// C's elements of 16 bits by row: a register holds two neighbours of a row.
pub fn c_halves(c: &[Row]) -> [[u32; N]; M] {
    let mut matrix = [[0; N]; M];
    for (r, row) in c.iter().enumerate() {
        for (lane, &word) in row.0.iter().enumerate() {
            let (row, column) = (lane / 4 + 8 * r, 2 * (lane % 4));
            matrix[row][column] = word & 0xffff;
            matrix[row][column + 1] = word >> 16;
        }
    }
    matrix
}

/// The inverse of [`c_words`].
pub fn d_from_words(matrix: &[[u32; N]; M], d: &mut [Row]) {
    for (r, row) in d.iter_mut().enumerate() {
        for (lane, word) in row.0.iter_mut().enumerate() {
            *word = matrix[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2];
        }
    }
}

/// The inverse of [`c_halves`].
pub fn d_from_halves(matrix: &[[u32; N]; M], d: &mut [Row]) {
    for (r, row) in d.iter_mut().enumerate() {
        for (lane, word) in row.0.iter_mut().enumerate() {
            let (row, column) = (lane / 4 + 8 * r, 2 * (lane % 4));
            *word = matrix[row][column] | matrix[row][column + 1] << 16;
        }
    }
}
