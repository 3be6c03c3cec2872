//! Which lane `ldmatrix` gives which element.

use crate::driver::Target;
use crate::emu::Row;
use crate::emu::rows::LANES;

/// The lanes whose addresses an `ldmatrix` of `count` matrices needs: eight a matrix, but on sm_75 all must give a valid
/// one.
pub fn ldmatrix_lanes(target: Target, count: usize) -> u32 {
    match target {
        Target::Sm75 => u32::MAX,
        _ => u32::MAX >> (LANES - 8 * count.clamp(1, 4)),
    }
}

/// Spreads 8 x 8 matrices of 16-bit elements over the lanes: `rows[8 m + r]` is row `r` of matrix `m`, as fetched from the
/// address that lane `8 m + r` gave, and `d[m]` is matrix `m`'s register.
///
/// Lane `l` gets elements `2 (l % 4)` and the one after it of row `l / 4`; with `transpose`, of column `l / 4`. The bytes may
/// be of any meaning: a mask of the bytes that were written goes through the same way as the bytes themselves.
pub fn ldmatrix(rows: &[[u8; 16]], transpose: bool, d: &mut [Row]) {
    for (matrix, destination) in rows.chunks_exact(8).zip(d) {
        for (lane, word) in destination.0.iter_mut().enumerate() {
            let (group, pair) = (lane / 4, 2 * (lane % 4));
            let element = |row: usize, column: usize| {
                u32::from(u16::from_le_bytes([
                    matrix[row][2 * column],
                    matrix[row][2 * column + 1],
                ]))
            };
            let (low, high) = match transpose {
                false => (element(group, pair), element(group, pair + 1)),
                true => (element(pair, group), element(pair + 1, group)),
            };
            *word = low | high << 16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Element (row, column) of matrix m is 0x1000 m + 16 row + column, so that each is distinct.
    fn matrices(count: usize) -> Vec<[u8; 16]> {
        (0..8 * count)
            .map(|r| {
                let mut row = [0; 16];
                for column in 0..8 {
                    let value = (0x1000 * (r / 8) + 16 * (r % 8) + column) as u16;
                    row[2 * column..2 * column + 2].copy_from_slice(&value.to_le_bytes());
                }
                row
            })
            .collect()
    }

    #[test]
    fn every_element_reaches_its_lane() {
        for count in [1, 2, 4] {
            for transpose in [false, true] {
                let mut d = vec![Row::splat(0); count];
                ldmatrix(&matrices(count), transpose, &mut d);
                for (m, row) in d.iter().enumerate() {
                    for (lane, &word) in row.0.iter().enumerate() {
                        // The manual's table: thread 4 i + j holds row i, columns 2 j and 2 j + 1.
                        let (i, j) = (lane / 4, lane % 4);
                        let expect = |column: usize| {
                            let (row, column) = if transpose { (column, i) } else { (i, column) };
                            (0x1000 * m + 16 * row + column) as u32
                        };
                        assert_eq!(word & 0xffff, expect(2 * j), "{count} {transpose} {lane}");
                        assert_eq!(word >> 16, expect(2 * j + 1), "{count} {transpose} {lane}");
                    }
                }
            }
        }
    }
}
