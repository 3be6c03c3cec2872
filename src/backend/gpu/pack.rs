//! Matrices in the order in which tensor cores take them: `cuda/common/packed_weights.cuh` says which. A tile is 16 rows by 16 elements
//! of k; a row of tiles stands in one piece, so that any 16 rows can be packed by themselves.

use std::array;
use std::ops::Range;

use crate::driver::DeviceType;

/// Rows of a tile, and elements of k in one.
pub const TILE: usize = 16;
/// Elements of a tile.
pub const TILE_ELEMENTS: usize = TILE * TILE;
const HALF: usize = TILE / 2;

/// Which rows of a matrix stand together in a row of tiles: how it is multiplied decides that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Sixteen at a time.
    Plain,
    /// Of a matrix whose first half is gate and whose second is up: eight of gate, then the same eight of up. Both sums of
    /// an output column meet in one lane.
    GateUp,
    /// Heads of `dim` rows, a multiple of 16: eight of a head's lower half, then the eight that they are rotated with, `dim /
    /// 2` further on.
    Heads {
        /// Rows of a head.
        dim: usize,
    },
}

/// Rows of tiles of a plain matrix of `n` rows.
pub const fn plain_tiles(n: usize) -> usize {
    n.div_ceil(TILE)
}

/// Rows of tiles of gate and up of `n` rows each.
pub const fn gate_up_tiles(n: usize) -> usize {
    n.div_ceil(HALF)
}

/// Tiles of a row of tiles.
pub const fn depth_tiles(k: usize) -> usize {
    k.div_ceil(TILE)
}

impl Packing {
    /// Rows of tiles of a matrix of `rows` rows.
    pub const fn tiles(self, rows: usize) -> usize {
        match self {
            Packing::Plain | Packing::Heads { .. } => plain_tiles(rows),
            Packing::GateUp => gate_up_tiles(rows / 2),
        }
    }

    /// Which of `rows` rows is row `row` of a row of tiles; `None` past the matrix.
    fn row(self, rows: usize, tile: usize, row: usize) -> Option<usize> {
        let low = row % HALF;
        let (index, end) = match self {
            Packing::Plain => (tile * TILE + row, rows),
            Packing::GateUp if row < HALF => (tile * HALF + low, rows / 2),
            Packing::GateUp => (rows / 2 + tile * HALF + low, rows),
            Packing::Heads { dim } => {
                let tiles = (dim / TILE).max(1);
                let (head, low) = (tile / tiles, tile % tiles * HALF + low);
                (head * dim + low + row / HALF * (dim / 2), rows)
            }
        };
        (index < end).then_some(index)
    }
}

/// A matrix as it stands in a checkpoint, and how it is to be packed.
#[derive(Debug, Clone)]
pub struct Rows<'a, S> {
    packing: Packing,
    /// Elements of a row.
    k: usize,
    parts: Vec<&'a [S]>,
}

impl<'a, S> Rows<'a, S> {
    /// Rows of `k` elements each, in `parts` that follow one another.
    pub fn new(packing: Packing, k: usize, parts: &[&'a [S]]) -> Self {
        let parts = parts.to_vec();
        Rows { packing, k, parts }
    }

    /// Rows of tiles.
    pub fn tiles(&self) -> usize {
        let rows = self.parts.iter().map(|part| self.rows(part));
        self.packing.tiles(rows.sum())
    }

    /// Elements of a row of tiles.
    pub fn tile_elements(&self) -> usize {
        depth_tiles(self.k) * TILE_ELEMENTS
    }

    fn rows(&self, part: &[S]) -> usize {
        part.len() / self.k.max(1)
    }

    /// The sixteen rows of a row of tiles; empty where the matrix has none.
    fn sixteen(&self, tile: usize) -> [&'a [S]; TILE] {
        let rows = self.parts.iter().map(|part| self.rows(part)).sum();
        array::from_fn(|row| -> &'a [S] {
            let Some(mut index) = self.packing.row(rows, tile, row) else {
                return &[];
            };
            for part in &self.parts {
                match index.checked_sub(self.rows(part)) {
                    Some(further) => index = further,
                    None => return &part[index * self.k..(index + 1) * self.k],
                }
            }
            &[]
        })
    }
}

/// The elements of a row that stand in tile `at` of it; zeros past its end.
fn piece<S: Copy, T: DeviceType>(row: &[S], at: usize, convert: impl Fn(S) -> T) -> [T; TILE] {
    let rest = row.get(at * TILE..).unwrap_or(&[]);
    if let Some(whole) = rest.first_chunk::<TILE>() {
        return whole.map(convert);
    }
    let mut piece = [T::zeroed(); TILE];
    for (to, from) in piece.iter_mut().zip(rest) {
        *to = convert(*from);
    }
    piece
}

/// Rows g and g + 8 of a tile: lane 4 g + t has elements 2 t and 2 t + 1 of both, first of the lower half of k, then of the
/// upper. Two elements move as one.
fn interleave<T: Copy>(low: &[T; TILE], high: &[T; TILE], out: &mut [T]) {
    let (low, high) = (low.as_chunks::<2>().0, high.as_chunks::<2>().0);
    let lanes = out.as_chunks_mut::<2>().0.as_chunks_mut::<4>().0;
    for (t, lane) in lanes.iter_mut().enumerate() {
        *lane = [low[t], high[t], low[t + 4], high[t + 4]];
    }
}

/// Packs rows of tiles `tiles` of a matrix into `out`, which is as long as they are; zeros where the matrix has nothing.
pub fn pack_band<S: Copy, T: DeviceType>(
    rows: &Rows<'_, S>,
    tiles: Range<usize>,
    convert: impl Fn(S) -> T,
    out: &mut [T],
) {
    for (tile, out) in tiles.zip(out.chunks_mut(rows.tile_elements().max(1))) {
        let rows = rows.sixteen(tile);
        for (at, out) in out.chunks_exact_mut(TILE_ELEMENTS).enumerate() {
            for (g, out) in out.chunks_exact_mut(2 * TILE).enumerate() {
                let low = piece(rows[g], at, &convert);
                let high = piece(rows[g + HALF], at, &convert);
                interleave(&low, &high, out);
            }
        }
    }
}

/// Packs a whole matrix.
pub fn pack<S: Copy, T: DeviceType>(rows: &Rows<'_, S>, convert: impl Fn(S) -> T) -> Vec<T> {
    let tiles = rows.tiles();
    let mut packed = vec![T::zeroed(); tiles * rows.tile_elements()];
    pack_band(rows, 0..tiles, convert, &mut packed);
    packed
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    /// Element (row, k) of a packed matrix, found as a lane of the tensor core finds it.
    fn fragment<T: Copy>(packed: &[T], depth: usize, row: usize, k: usize) -> T {
        let (g, t) = (row % 16 % 8, k % 16 % 8 / 2);
        let register = usize::from(row % 16 >= 8) + 2 * usize::from(k % 16 >= 8);
        let tile = row / 16 * depth.div_ceil(16) + k / 16;
        packed[tile * 256 + (4 * g + t) * 8 + register * 2 + k % 2]
    }

    #[test]
    fn packing_has_an_inverse() {
        for (n, k) in [(1, 1), (16, 16), (17, 15), (40, 33), (31, 64), (8, 17)] {
            let matrix: Vec<u32> = (1..=(n * k) as u32).collect();
            let packed = pack(&Rows::new(Packing::Plain, k, &[&matrix]), |x| x);
            assert_eq!(packed.len(), n.div_ceil(16) * k.div_ceil(16) * 256);
            let back = (0..n * k).map(|i| fragment(&packed, k, i / k, i % k));
            assert_eq!(back.collect::<Vec<_>>(), matrix, "({n}, {k})");
            // Nothing else: the rest is zeros.
            let other = packed.iter().filter(|x| **x != 0).count();
            assert_eq!(other, n * k, "({n}, {k})");
        }
    }

    #[test]
    fn gate_and_up_alternate_by_eights() {
        let (n, k) = (19, 21);
        let gate: Vec<u32> = (1..=(n * k) as u32).collect();
        let up: Vec<u32> = gate.iter().map(|x| x + 1000).collect();
        let packed = pack(&Rows::new(Packing::GateUp, k, &[&gate, &up]), |x| x);
        assert_eq!(packed.len(), 3 * 2 * 256);
        for i in 0..n * k {
            let (row, at) = (i / k, i % k);
            let tile = row / 8 * 16 + row % 8;
            assert_eq!(fragment(&packed, k, tile, at), gate[i]);
            assert_eq!(fragment(&packed, k, tile + 8, at), up[i]);
        }
        let other = packed.iter().filter(|x| **x != 0).count();
        assert_eq!(other, 2 * n * k);
    }

    #[test]
    fn halves_of_a_head_alternate_by_eights() {
        for (heads, dim, k) in [(3, 64, 5), (2, 128, 17), (5, 32, 16), (4, 16, 3)] {
            let matrix: Vec<u32> = (1..=(heads * dim * k) as u32).collect();
            let packed = pack(&Rows::new(Packing::Heads { dim }, k, &[&matrix]), |x| x);
            assert_eq!(packed.len(), heads * dim / 16 * k.div_ceil(16) * 256);
            for (i, element) in matrix.iter().enumerate() {
                let (row, at) = (i / k, i % k);
                let (head, row) = (row / dim, row % dim);
                let (upper, low) = (row / (dim / 2), row % (dim / 2));
                let place = head * dim + low / 8 * 16 + upper * 8 + low % 8;
                assert_eq!(fragment(&packed, k, place, at), *element, "row {i}");
            }
            let other = packed.iter().filter(|x| **x != 0).count();
            assert_eq!(other, matrix.len());
        }
    }

    #[test]
    fn rows_are_converted_one_by_one() {
        let matrix: Vec<f32> = (0..48).map(|i| i as f32 / 7.0).collect();
        let rows = Rows::new(Packing::Plain, 3, &[&matrix]);
        let packed = pack(&rows, f16::from_f32);
        let rounded: Vec<f16> = pack(&rows, |x| x).into_iter().map(f16::from_f32).collect();
        assert_eq!(packed, rounded);
    }

    /// A matrix in any parts, packed in any bands over what stood there, is the whole matrix packed at once.
    #[test]
    fn bands_and_parts_make_the_same_whole() {
        let packings = [
            (Packing::Plain, 87),
            (Packing::GateUp, 2 * 43),
            (Packing::Heads { dim: 32 }, 96),
        ];
        for ((packing, n), k) in packings.into_iter().zip([17, 33, 16]) {
            let matrix: Vec<u32> = (1..=(n * k) as u32).collect();
            let whole = pack(&Rows::new(packing, k, &[&matrix]), |x| x);
            let (first, rest) = matrix.split_at(5 * k);
            let (second, third) = rest.split_at(40 * k);
            let parts = Rows::new(packing, k, &[first, &[], second, third]);
            assert_eq!(parts.tiles(), 6);
            for band in [1, 2, 4, 6, 7] {
                let mut packed = vec![u32::MAX; whole.len()];
                let length = band * parts.tile_elements();
                for (i, out) in packed.chunks_mut(length).enumerate() {
                    let start = i * band;
                    pack_band(&parts, start..start + band, |x| x, out);
                }
                assert!(packed == whole, "{packing:?} in bands of {band}");
            }
        }
    }
}
