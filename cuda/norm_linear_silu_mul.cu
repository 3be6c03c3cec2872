// RMSNorm of x, then linear_silu_mul of it, for at most 8 tokens: from the residual to down's product in a decode step.
//
// Shapes: those of linear_silu_mul.cu, but x (T, k) in f32 and norm (k), the norm's weight.
// Grid: (1, row tiles); CTA of w warps, w at most ceil(k / 512) and 10. T (2 ceil(k / 32) 32 + 16) + 512 w bytes of shared
// memory and 1024 fixed: the launch code refuses what does not fit the target.
// Numerics: rms_norm.cu's and linear_silu_mul.cu's, one after the other: the same bits as those two kernels.
// Bound and tried: those of norm_linear_rope_append.cu.

#include "common/linear_norm.cuh"

extern "C" __global__ void __launch_bounds__(320) norm_linear_silu_mul_f16_t8(
    const float* BY_SEQUENCE x,          // (T, k)
    const float* __restrict__ norm,      // (k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __half* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    float eps) {
  const qwarp::Product<__half> p{nullptr, weights, tokens, (n + 7) / 8 * qwarp::TILE, k};
  qwarp::linear_norm<__half>({x, norm, eps}, p, qwarp::AsSiluMul<__half>{out, n});
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(320) norm_linear_silu_mul_bf16_t8(
    const float* BY_SEQUENCE x,                 // (T, k)
    const float* __restrict__ norm,             // (k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __nv_bfloat16* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    float eps) {
  const qwarp::Product<__nv_bfloat16> p{nullptr, weights, tokens, (n + 7) / 8 * qwarp::TILE, k};
  qwarp::linear_norm<__nv_bfloat16>({x, norm, eps}, p, qwarp::AsSiluMul<__nv_bfloat16>{out, n});
}
#endif
