//! The types of matrix inputs, and the order in which the dot product visits their elements.
//!
//! # The dot product, as it is defined
//!
//! Sixteen lanes, each an f32 sum that starts at zero. The row is taken 32 elements at a time, in two passes over
//! the lanes; a last, shorter group is filled up with zeros:
//!
//! - bf16: lane i first adds the product of elements 2i + 1, then that of elements 2i ("odd, then even");
//! - f16 and f32: lane i first adds the product of elements i, then that of elements 16 + i.
//!
//! The lanes are summed by one tree: i + 8, then + 4, + 2, + 1.
//!
//! For bf16 this is what `vdpbf16ps` computes (Intel SDM: odd element, then even, each a fused multiply-add with
//! denormals taken and left as zero). It must not matter whether a machine fuses, or flushes denormals; so the
//! operands are kept where neither happens. The activation is multiplied by 2^54 and set to zero below
//! 2^-40 (unscaled), a bf16 weight has no denormals: every product is then an integer multiple of
//! 2^14 * 2^-7 * 2^-126 * 2^-7 = 2^-126, and so is every sum, rounded or not; no result can be denormal. A product of
//! two bf16 has 16 significant bits, which f32 holds, so fused and unfused agree. The sum is multiplied by 2^-54 at
//! the end. Activations and weights are limited to 2^26, checked, and rows to 2^20 elements: no partial sum exceeds
//! 2^(54 + 26 + 26 + 20) = 2^126, so nothing overflows on the way.
//! f16: 22-bit products between 2^-48 and 2^32, exact for the same reason, no scale needed.
//! f32: products are rounded, so the multiplication and the addition are two operations on every machine.

use bytemuck::Pod;
use half::{bf16, f16};

use super::simd::{Isa, LANES};
use crate::DType;

/// Elements of one group of the dot product, visited in two passes of sixteen.
pub const GROUP: usize = 2 * LANES;

/// A matrix-input type.
pub trait Element: Pod + Send + Sync + PartialEq + std::fmt::Debug {
    /// Its name.
    const DTYPE: DType;
    /// Activations up to this magnitude may be rounded to it.
    const LIMIT: f32;
    /// Factor applied to activations before the dot product; a power of two.
    const SCALE: f32;
    /// `1 / SCALE`.
    const UNSCALE: f32;
    /// Which element of a pair the first and the second pass take, where pairs are interleaved.
    const PASS: [usize; 2];

    /// Rounds to nearest even; `|x| <= LIMIT`.
    fn round(x: f32) -> Self;
    /// `round` and `widen` of every lane.
    fn round_lanes<I: Isa>(isa: I, v: I::V) -> I::V;
    /// The exact value.
    fn widen(self) -> f32;
    /// Where element `which` of pair `lane` stands among 32 interleaved elements, so that a group loads as
    /// (pass 0, pass 1) of the lanes.
    fn slot(lane: usize, which: usize) -> usize;
    /// Where element `e` of a group stands when the group is unpacked to f32 pass by pass.
    fn plane(e: usize) -> usize;
    /// `w * x + acc` by this type's rule.
    fn madd<I: Isa>(isa: I, w: I::V, x: I::V, acc: I::V) -> I::V;
}

/// A stored weight type that the dot product of `C` can read.
pub trait StoredFor<C: Element>: Pod + Send + Sync {
    /// The lanes of pass 0 and pass 1.
    fn load_group<I: Isa>(isa: I, group: &[Self; GROUP]) -> (I::V, I::V);
}

/// Activations below this magnitude are zero in a bf16 run.
const BF16_FLUSH: f32 = f32::from_bits((127 - 40) << 23);

impl Element for bf16 {
    const DTYPE: DType = DType::Bf16;
    const LIMIT: f32 = f32::from_bits((127 + 26) << 23);
    const SCALE: f32 = f32::from_bits((127 + 54) << 23);
    const UNSCALE: f32 = f32::from_bits((127 - 54) << 23);
    const PASS: [usize; 2] = [1, 0];

    #[inline(always)]
    fn round(x: f32) -> Self {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        bf16::from_bits(if x.abs() < BF16_FLUSH {
            0
        } else {
            rounded as u16
        })
    }

    #[inline(always)]
    fn round_lanes<I: Isa>(isa: I, v: I::V) -> I::V {
        isa.round_bf16(v, BF16_FLUSH)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn slot(lane: usize, which: usize) -> usize {
        2 * lane + which
    }

    #[inline(always)]
    fn plane(e: usize) -> usize {
        if e % 2 == 1 { e / 2 } else { LANES + e / 2 }
    }

    #[inline(always)]
    fn madd<I: Isa>(isa: I, w: I::V, x: I::V, acc: I::V) -> I::V {
        isa.madd_exact(w, x, acc)
    }
}

impl Element for f16 {
    const DTYPE: DType = DType::F16;
    const LIMIT: f32 = 65504.0;
    const SCALE: f32 = 1.0;
    const UNSCALE: f32 = 1.0;
    const PASS: [usize; 2] = [0, 1];

    #[inline(always)]
    fn round(x: f32) -> Self {
        f16::from_f32(x)
    }

    #[inline(always)]
    fn round_lanes<I: Isa>(isa: I, v: I::V) -> I::V {
        isa.round_f16(v)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn slot(lane: usize, which: usize) -> usize {
        which * LANES + lane
    }

    #[inline(always)]
    fn plane(e: usize) -> usize {
        e
    }

    #[inline(always)]
    fn madd<I: Isa>(isa: I, w: I::V, x: I::V, acc: I::V) -> I::V {
        isa.madd_exact(w, x, acc)
    }
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
    const LIMIT: f32 = f32::MAX;
    const SCALE: f32 = 1.0;
    const UNSCALE: f32 = 1.0;
    const PASS: [usize; 2] = [0, 1];

    #[inline(always)]
    fn round(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn round_lanes<I: Isa>(_: I, v: I::V) -> I::V {
        v
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn slot(lane: usize, which: usize) -> usize {
        which * LANES + lane
    }

    #[inline(always)]
    fn plane(e: usize) -> usize {
        e
    }

    #[inline(always)]
    fn madd<I: Isa>(isa: I, w: I::V, x: I::V, acc: I::V) -> I::V {
        isa.add(isa.mul(w, x), acc)
    }
}

impl StoredFor<bf16> for bf16 {
    #[inline(always)]
    fn load_group<I: Isa>(isa: I, group: &[bf16; GROUP]) -> (I::V, I::V) {
        isa.load_bf16_pairs(group)
    }
}

impl StoredFor<f32> for bf16 {
    #[inline(always)]
    fn load_group<I: Isa>(isa: I, group: &[bf16; GROUP]) -> (I::V, I::V) {
        let (first, second) = passes(group);
        (isa.load_bf16(first), isa.load_bf16(second))
    }
}

impl StoredFor<f16> for f16 {
    #[inline(always)]
    fn load_group<I: Isa>(isa: I, group: &[f16; GROUP]) -> (I::V, I::V) {
        let (first, second) = passes(group);
        (isa.load_f16(first), isa.load_f16(second))
    }
}

impl StoredFor<f32> for f16 {
    #[inline(always)]
    fn load_group<I: Isa>(isa: I, group: &[f16; GROUP]) -> (I::V, I::V) {
        let (first, second) = passes(group);
        (isa.load_f16(first), isa.load_f16(second))
    }
}

impl StoredFor<f32> for f32 {
    #[inline(always)]
    fn load_group<I: Isa>(isa: I, group: &[f32; GROUP]) -> (I::V, I::V) {
        let (first, second) = passes(group);
        (isa.load(first), isa.load(second))
    }
}

/// The two passes of a group that is stored pass by pass.
#[inline(always)]
pub fn passes<T>(group: &[T; GROUP]) -> (&[T; LANES], &[T; LANES]) {
    // Infallible: 32 elements are two chunks of 16. The compiler removes the fallback.
    match group.as_chunks::<LANES>().0 {
        [first, second] => (first, second),
        _ => unreachable!("a group is two halves"),
    }
}
