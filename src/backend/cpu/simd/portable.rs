//! The lanes in plain Rust: the compiler vectorises the loops with whatever its baseline has.

use half::{bf16, f16};

use super::{Isa, LANES, Portable, tree_sum};

type V = [f32; LANES];

#[inline(always)]
fn map2(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    let mut out = [0.0; LANES];
    for i in 0..LANES {
        out[i] = f(a[i], b[i]);
    }
    out
}

impl Isa for Portable {
    type V = V;
    const WIDE: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> V {
        *x
    }

    #[inline(always)]
    fn store(self, v: V, out: &mut [f32; LANES]) {
        *out = v;
    }

    #[inline(always)]
    fn load_bf16_pairs(self, x: &[bf16; 2 * LANES]) -> (V, V) {
        // Pairs are read as one little-endian word: the odd element is its upper half, which is an f32 already.
        let words: [[u8; 4]; LANES] = bytemuck::cast(*x);
        let (mut odd, mut even) = ([0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            let word = u32::from_le_bytes(words[i]);
            odd[i] = f32::from_bits(word & 0xffff_0000);
            even[i] = f32::from_bits(word << 16);
        }
        (odd, even)
    }

    #[inline(always)]
    fn load_bf16(self, x: &[bf16; LANES]) -> V {
        x.map(|value| f32::from_bits(u32::from(value.to_bits()) << 16))
    }

    #[inline(always)]
    fn load_f16(self, x: &[f16; LANES]) -> V {
        // 2^112 moves the exponent from f16's bias to f32's; exact for every finite f16, denormals included.
        let rebias = f32::from_bits((127 + 112) << 23);
        x.map(|value| {
            let bits = u32::from(value.to_bits());
            let magnitude = f32::from_bits((bits & 0x7fff) << 13) * rebias;
            f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
        })
    }

    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        map2(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        map2(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        map2(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        map2(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        map2(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        map2(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn madd_exact(self, a: V, b: V, c: V) -> V {
        let mut out = [0.0; LANES];
        for i in 0..LANES {
            out[i] = a[i] * b[i] + c[i];
        }
        out
    }

    #[inline(always)]
    fn scale_exponent(self, p: V, t: V) -> V {
        map2(p, t, |p, t| {
            f32::from_bits(p.to_bits().wrapping_add(t.to_bits() << 23))
        })
    }

    #[inline(always)]
    fn prefetch<T>(self, _at: &T, _ahead: usize) {}

    #[inline(always)]
    fn zero_unless_less(self, a: V, b: V, x: V) -> V {
        let mut out = [0.0; LANES];
        for i in 0..LANES {
            out[i] = if a[i] < b[i] { x[i] } else { 0.0 };
        }
        out
    }

    #[inline(always)]
    fn round_bf16(self, v: V, flush: f32) -> V {
        v.map(|x| {
            let bits = x.to_bits();
            let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
            f32::from_bits(if x.abs() < flush { 0 } else { rounded })
        })
    }

    #[inline(always)]
    fn round_f16(self, v: V) -> V {
        v.map(|x| f16::from_f32(x).to_f32())
    }

    #[inline(always)]
    fn tree_sums(self, v: [V; 4]) -> [f32; 4] {
        v.map(|v| tree_sum(self, v))
    }
}
