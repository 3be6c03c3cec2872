//! The lanes as one AVX-512 register.

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::{Avx512, Isa, Kernel, LANES};

/// Runs `kernel` compiled with these instructions.
#[inline]
pub fn run<K: Kernel>(token: Avx512, kernel: K) {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    fn enter<K: Kernel>(token: Avx512, kernel: K) {
        kernel.run(token)
    }
    // SAFETY: the token exists only where `Path::available` found these instructions.
    unsafe { enter(token, kernel) }
}

impl Isa for Avx512 {
    type V = __m512;
    const WIDE: bool = true;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> __m512 {
        // SAFETY: the token proves the instructions; the array reference proves the memory.
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, v: __m512, out: &mut [f32; LANES]) {
        // SAFETY: the token proves the instructions; the array reference proves the memory.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn load_bf16_pairs(self, x: &[bf16; 2 * LANES]) -> (__m512, __m512) {
        // SAFETY: the token proves the instructions; the array reference proves the memory.
        unsafe {
            let words = _mm512_loadu_si512(x.as_ptr().cast());
            let odd = _mm512_and_si512(words, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            (
                _mm512_castsi512_ps(odd),
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)),
            )
        }
    }

    #[inline(always)]
    fn load_bf16(self, x: &[bf16; LANES]) -> __m512 {
        // SAFETY: the token proves the instructions; the array reference proves the memory.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    fn load_f16(self, x: &[f16; LANES]) -> __m512 {
        // SAFETY: the token proves the instructions; the array reference proves the memory.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast())) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn madd_exact(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn scale_exponent(self, p: __m512, t: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe {
            let n = _mm512_slli_epi32::<23>(_mm512_castps_si512(t));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), n))
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, at: &T, ahead: usize) {
        // SAFETY: every x86-64 has the instruction, and it reads nothing: an address without memory is ignored.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast::<i8>().wrapping_add(ahead))
        }
    }

    #[inline(always)]
    fn zero_unless_less(self, a: __m512, b: __m512, x: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), x) }
    }

    #[inline(always)]
    fn round_bf16(self, v: __m512, flush: f32) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe {
            let bits = _mm512_castps_si512(v);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let up = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
            let rounded = _mm512_add_epi32(bits, up);
            let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            let large = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(_mm512_abs_ps(v), _mm512_set1_ps(flush));
            _mm512_castsi512_ps(_mm512_maskz_and_epi32(large, rounded, upper))
        }
    }

    #[inline(always)]
    fn round_f16(self, v: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_cvtph_ps(_mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v)) }
    }

    #[inline(always)]
    fn tree_sums(self, v: [__m512; 4]) -> [f32; 4] {
        // SAFETY: the token proves the instructions; the array has room for four floats.
        unsafe {
            let eight = [add_lane_8(v[0], v[1]), add_lane_8(v[2], v[3])];
            // Lane i + 4: quarter j is now vector j.
            let four = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0b10_00_10_00>(eight[0], eight[1]),
                _mm512_shuffle_f32x4::<0b11_01_11_01>(eight[0], eight[1]),
            );
            let two = _mm512_add_ps(four, _mm512_permute_ps::<0b11_10_11_10>(four));
            let one = _mm512_add_ps(two, _mm512_permute_ps::<0b01_01_01_01>(two));
            let firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
            let mut out = [0.0; 4];
            let sums = _mm512_permutexvar_ps(firsts, one);
            _mm_storeu_ps(out.as_mut_ptr(), _mm512_castps512_ps128(sums));
            out
        }
    }
}

/// Lane i + 8 to lane i of both; the quarters are then (a, a, b, b).
#[inline(always)]
fn add_lane_8(a: __m512, b: __m512) -> __m512 {
    // SAFETY: called from `tree_sums` alone, whose token proves the instructions.
    unsafe {
        _mm512_add_ps(
            _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b),
            _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b),
        )
    }
}
