//! The lanes as two AVX2 registers.

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::{Avx2, Isa, Kernel, LANES};

/// Lanes 0..8 and 8..16.
#[derive(Clone, Copy)]
pub struct Pair(__m256, __m256);

/// Runs `kernel` compiled with these instructions.
#[inline]
pub fn run<K: Kernel>(token: Avx2, kernel: K) {
    #[target_feature(enable = "avx2,fma,f16c")]
    fn enter<K: Kernel>(token: Avx2, kernel: K) {
        kernel.run(token)
    }
    // SAFETY: the token exists only where `Path::available` found these instructions.
    unsafe { enter(token, kernel) }
}

impl Isa for Avx2 {
    type V = Pair;
    const WIDE: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> Pair {
        // SAFETY: the token proves the instructions.
        unsafe { Pair(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Pair {
        // SAFETY: the token proves the instructions; the array reference proves the memory.
        unsafe {
            Pair(
                _mm256_loadu_ps(x.as_ptr()),
                _mm256_loadu_ps(x[8..].as_ptr()),
            )
        }
    }

    #[inline(always)]
    fn store(self, v: Pair, out: &mut [f32; LANES]) {
        // SAFETY: the token proves the instructions; the array reference proves the memory.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), v.0);
            _mm256_storeu_ps(out[8..].as_mut_ptr(), v.1);
        }
    }

    #[inline(always)]
    fn load_bf16_pairs(self, x: &[bf16; 2 * LANES]) -> (Pair, Pair) {
        // SAFETY: the token proves the instructions; the array reference proves the memory.
        unsafe {
            let low = _mm256_loadu_si256(x.as_ptr().cast());
            let high = _mm256_loadu_si256(x[LANES..].as_ptr().cast());
            (
                Pair(odd(low), odd(high)),
                Pair(from_low_half(low), from_low_half(high)),
            )
        }
    }

    #[inline(always)]
    fn load_bf16(self, x: &[bf16; LANES]) -> Pair {
        // SAFETY: the token proves the instructions; the array reference proves the memory.
        unsafe {
            let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().cast()));
            let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(x[8..].as_ptr().cast()));
            Pair(from_low_half(low), from_low_half(high))
        }
    }

    #[inline(always)]
    fn load_f16(self, x: &[f16; LANES]) -> Pair {
        // SAFETY: the token proves the instructions; the array reference proves the memory.
        unsafe {
            Pair(
                _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(x[8..].as_ptr().cast())),
            )
        }
    }

    #[inline(always)]
    fn add(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: the token proves the instructions.
        unsafe { Pair(_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn sub(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: the token proves the instructions.
        unsafe { Pair(_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn mul(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: the token proves the instructions.
        unsafe { Pair(_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn div(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: the token proves the instructions.
        unsafe { Pair(_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn max(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: the token proves the instructions.
        unsafe { Pair(_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn min(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: the token proves the instructions.
        unsafe { Pair(_mm256_min_ps(a.0, b.0), _mm256_min_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn madd_exact(self, a: Pair, b: Pair, c: Pair) -> Pair {
        // SAFETY: the token proves the instructions.
        unsafe {
            Pair(
                _mm256_fmadd_ps(a.0, b.0, c.0),
                _mm256_fmadd_ps(a.1, b.1, c.1),
            )
        }
    }

    #[inline(always)]
    fn scale_exponent(self, p: Pair, t: Pair) -> Pair {
        Pair(scale_exponent(p.0, t.0), scale_exponent(p.1, t.1))
    }

    #[inline(always)]
    fn prefetch<T>(self, at: &T, ahead: usize) {
        // SAFETY: every x86-64 has the instruction, and it reads nothing: an address without memory is ignored.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast::<i8>().wrapping_add(ahead))
        }
    }

    #[inline(always)]
    fn zero_unless_less(self, a: Pair, b: Pair, x: Pair) -> Pair {
        // SAFETY: the token proves the instructions.
        unsafe {
            Pair(
                _mm256_and_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a.0, b.0), x.0),
                _mm256_and_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a.1, b.1), x.1),
            )
        }
    }

    #[inline(always)]
    fn round_bf16(self, v: Pair, flush: f32) -> Pair {
        Pair(round_bf16(v.0, flush), round_bf16(v.1, flush))
    }

    #[inline(always)]
    fn round_f16(self, v: Pair) -> Pair {
        Pair(round_f16(v.0), round_f16(v.1))
    }

    #[inline(always)]
    fn tree_sums(self, v: [Pair; 4]) -> [f32; 4] {
        // SAFETY: the token proves the instructions; the array has room for four floats.
        unsafe {
            // Lane i + 8 to lane i, then + 4: halves are (0, 2) and (1, 3).
            let even = add_lane_4(_mm256_add_ps(v[0].0, v[0].1), _mm256_add_ps(v[2].0, v[2].1));
            let odd = add_lane_4(_mm256_add_ps(v[1].0, v[1].1), _mm256_add_ps(v[3].0, v[3].1));
            let (even, odd) = (_mm256_castps_pd(even), _mm256_castps_pd(odd));
            // Lane + 2: halves are (0, 0, 1, 1) and (2, 2, 3, 3).
            let two = _mm256_add_ps(
                _mm256_castpd_ps(_mm256_unpacklo_pd(even, odd)),
                _mm256_castpd_ps(_mm256_unpackhi_pd(even, odd)),
            );
            let one = _mm256_add_ps(
                _mm256_permute_ps::<0b10_00_10_00>(two),
                _mm256_permute_ps::<0b11_01_11_01>(two),
            );
            let (low, high) = (_mm256_castps256_ps128(one), _mm256_extractf128_ps::<1>(one));
            let mut out = [0.0; 4];
            _mm_storeu_ps(out.as_mut_ptr(), _mm_movelh_ps(low, high));
            out
        }
    }
}

/// The odd bf16 of eight pairs as f32.
#[inline(always)]
fn odd(words: __m256i) -> __m256 {
    // SAFETY: called by methods of `Isa` alone, whose token proves the instructions.
    unsafe {
        let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
        _mm256_castsi256_ps(_mm256_and_si256(words, upper))
    }
}

/// The lower 16 bits of eight words, a bf16 each, as f32.
#[inline(always)]
fn from_low_half(words: __m256i) -> __m256 {
    // SAFETY: as above.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words)) }
}

#[inline(always)]
fn scale_exponent(p: __m256, t: __m256) -> __m256 {
    // SAFETY: as above.
    unsafe {
        let n = _mm256_slli_epi32::<23>(_mm256_castps_si256(t));
        _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), n))
    }
}

/// Lane i + 4 to lane i of both; the halves are then (a, b).
#[inline(always)]
fn add_lane_4(a: __m256, b: __m256) -> __m256 {
    // SAFETY: as above.
    unsafe {
        _mm256_add_ps(
            _mm256_permute2f128_ps::<0x20>(a, b),
            _mm256_permute2f128_ps::<0x31>(a, b),
        )
    }
}

#[inline(always)]
fn round_bf16(v: __m256, flush: f32) -> __m256 {
    // SAFETY: as above.
    unsafe {
        let bits = _mm256_castps_si256(v);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let up = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
        let rounded = _mm256_and_si256(_mm256_add_epi32(bits, up), upper);
        let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), v);
        let large = _mm256_cmp_ps::<_CMP_NLT_UQ>(magnitude, _mm256_set1_ps(flush));
        _mm256_and_ps(large, _mm256_castsi256_ps(rounded))
    }
}

#[inline(always)]
fn round_f16(v: __m256) -> __m256 {
    // SAFETY: as above.
    unsafe { _mm256_cvtph_ps(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v)) }
}
