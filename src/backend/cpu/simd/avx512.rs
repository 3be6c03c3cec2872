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
}
