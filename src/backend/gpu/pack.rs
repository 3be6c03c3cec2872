//! Matrices in the order in which tensor cores take them: `cuda/common/mma.cuh` says which. A tile is 16 rows by 16 elements
//! of k; a row of tiles stands in one piece, so that any 16 rows can be packed by themselves.

use crate::driver::DeviceType;

/// Rows of a tile, and elements of k in one.
pub const TILE: usize = 16;
/// Elements of a tile.
pub const TILE_ELEMENTS: usize = TILE * TILE;
const HALF: usize = TILE / 2;

/// Rows of `k` elements each, as they stand in a checkpoint, in the order in which tiles take them.
#[derive(Debug, Clone, Copy)]
pub enum Rows<'a, S> {
    /// Sixteen at a time.
    Plain(&'a [S]),
    /// Eight of gate, then the same eight of up: both sums of an output column meet in one lane.
    GateUp {
        /// `(n, k)`.
        gate: &'a [S],
        /// `(n, k)`.
        up: &'a [S],
    },
    /// Heads of `dim` rows, a multiple of 16: eight of a head's lower half, then the eight that they are rotated with, `dim /
    /// 2` further on.
    Heads {
        /// `(heads * dim, k)`.
        matrix: &'a [S],
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

impl<'a, S> Rows<'a, S> {
    /// Rows of tiles.
    pub fn tiles(&self, k: usize) -> usize {
        let rows = |matrix: &[S]| matrix.len() / k.max(1);
        match self {
            Rows::Plain(matrix) | Rows::Heads { matrix, .. } => plain_tiles(rows(matrix)),
            Rows::GateUp { gate, up } => gate_up_tiles(rows(gate).max(rows(up))),
        }
    }

    /// Row `row` of a row of tiles; `None` past the matrix.
    fn row(&self, tile: usize, row: usize, k: usize) -> Option<&'a [S]> {
        let (matrix, index) = match *self {
            Rows::Plain(matrix) => (matrix, tile * TILE + row),
            Rows::GateUp { gate, .. } if row < HALF => (gate, tile * HALF + row),
            Rows::GateUp { up, .. } => (up, tile * HALF + row - HALF),
            Rows::Heads { matrix, dim } => {
                let tiles = (dim / TILE).max(1);
                let (head, low) = (tile / tiles, tile % tiles * HALF + row % HALF);
                (matrix, head * dim + low + row / HALF * (dim / 2))
            }
        };
        matrix.get(index * k..(index + 1) * k)
    }
}

/// Where element (row, k) of a tile stands in it: lane 4 g + t has elements 2t and 2t + 1 of rows g and g + 8, first of the
/// lower half of k, then of the upper.
const fn place(row: usize, k: usize) -> usize {
    let lane = row % HALF * 4 + k % HALF / 2;
    lane * 8 + k / HALF * 4 + row / HALF * 2 + k % 2
}

/// Packs one row of tiles into `out`, `depth_tiles(k)` tiles long; zeros where the matrix has nothing.
pub fn pack_tiles<S: Copy, T: DeviceType>(
    rows: &Rows<'_, S>,
    k: usize,
    tile: usize,
    convert: impl Fn(S) -> T,
    out: &mut [T],
) {
    out.fill(T::zeroed());
    for row in 0..TILE {
        let Some(elements) = rows.row(tile, row, k) else {
            continue;
        };
        let tiles = out.chunks_exact_mut(TILE_ELEMENTS);
        for (tile, elements) in tiles.zip(elements.chunks(TILE)) {
            for (at, element) in elements.iter().enumerate() {
                tile[place(row, at)] = convert(*element);
            }
        }
    }
}

/// Packs a whole matrix whose rows have `k` elements.
pub fn pack<S: Copy, T: DeviceType>(
    rows: &Rows<'_, S>,
    k: usize,
    convert: impl Fn(S) -> T,
) -> Vec<T> {
    let length = depth_tiles(k) * TILE_ELEMENTS;
    let mut packed = vec![T::zeroed(); rows.tiles(k) * length];
    for (tile, out) in packed.chunks_mut(length.max(1)).enumerate() {
        pack_tiles(rows, k, tile, &convert, out);
    }
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
            let packed = pack(&Rows::Plain(&matrix), k, |x| x);
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
        let packed = pack(
            &Rows::GateUp {
                gate: &gate,
                up: &up,
            },
            k,
            |x| x,
        );
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
            let rows = Rows::Heads {
                matrix: &matrix,
                dim,
            };
            let packed = pack(&rows, k, |x| x);
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
        let packed = pack(&Rows::Plain(&matrix), 3, f16::from_f32);
        let whole = pack(&Rows::Plain(&matrix), 3, |x| x);
        let rounded: Vec<f16> = whole.into_iter().map(f16::from_f32).collect();
        assert_eq!(packed, rounded);
        let mut alone = vec![f16::ONE; 256];
        pack_tiles(&Rows::Plain(&matrix), 3, 0, f16::from_f32, &mut alone);
        assert_eq!(packed, alone);
    }
}
