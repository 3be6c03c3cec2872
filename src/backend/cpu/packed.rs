//! Activations as the matrix product reads them: widened to f32, scaled, each group of 32 in the order of the passes.
//!
//! Four tokens stand together, group by group, so that a register tile walks one stream of memory. Tokens left over at
//! the end stand alone.

use super::element::{Element, GROUP};

/// Tokens that stand together.
pub const TILE: usize = 4;

/// Floats of one packed token of `k` elements.
pub fn packed_len(k: usize) -> usize {
    k.next_multiple_of(GROUP)
}

/// Packs tokens of `k` elements into `out`, which has `packed_len(k)` floats for each of them.
pub fn pack<'a, C: Element>(
    tokens: impl ExactSizeIterator<Item = &'a [C]>,
    k: usize,
    out: &mut [f32],
) {
    let whole = tokens.len() / TILE * TILE;
    for (t, row) in tokens.enumerate() {
        let (start, stride) = if t < whole {
            (t / TILE * TILE * packed_len(k) + t % TILE * GROUP, TILE)
        } else {
            (t * packed_len(k), 1)
        };
        let groups = out[start..].chunks_mut(stride * GROUP);
        for (chunk, out) in row.chunks(GROUP).zip(groups) {
            if let Some(out) = out.first_chunk_mut() {
                pack_group(chunk, out);
            }
        }
    }
}

/// Up to 32 elements; the rest is filled up with zeros.
#[inline(always)]
fn pack_group<C: Element>(chunk: &[C], out: &mut [f32; GROUP]) {
    if let Ok(chunk) = <&[C; GROUP]>::try_from(chunk) {
        for e in 0..GROUP {
            out[C::plane(e)] = chunk[e].widen() * C::SCALE;
        }
    } else {
        *out = [0.0; GROUP];
        for (e, value) in chunk.iter().enumerate() {
            out[C::plane(e)] = value.widen() * C::SCALE;
        }
    }
}

/// The groups of the T tokens from `token` on, of `x` with `k` elements a token; T is `TILE` where tokens stand together,
/// else 1.
#[inline(always)]
pub fn groups<const T: usize>(x: &[f32], k: usize, token: usize) -> &[[[f32; GROUP]; T]] {
    let packed = packed_len(k);
    let floats = &x[token * packed..(token + T) * packed];
    floats.as_chunks::<GROUP>().0.as_chunks::<T>().0
}
