// RMSNorm of x, then linear_rope_append of it, for at most 8 tokens: from the residual to attention in a decode step.
//
// Shapes: those of linear_rope_append.cu, but x (T, k) in f32 and norm (k), the norm's weight.
// Grid: (1, row tiles); CTA of w warps, w at most ceil(k / 512) and 10. T (2 ceil(k / 32) 32 + 16) + 512 w bytes of shared
// memory and 1024 fixed: the launch code refuses what does not fit the target.
// Numerics: rms_norm.cu's and linear_rope_append.cu's, one after the other: the same bits as those two kernels.
// Bound: memory, as linear.cu's t8. A CTA reads T k + k floats beside 16 k weights: by the counters, which know no cache, 1.25
// times the floor's bytes for one token. All CTAs of a multiprocessor read the same, so all but the first find it in the
// first-level cache, which the weights pass by.
// Tried: reading x twice, for the sum and to normalise it: 1.4 times the floor, and four waits one after the other. Not yet
// measured on a card.

#include "common/linear_norm.cuh"
#include "common/rope.cuh"

extern "C" __global__ void __launch_bounds__(320) norm_linear_rope_append_f16_t8(
    const float* BY_SEQUENCE x,                 // (T, k)
    const float* __restrict__ norm,             // (k)
    const __half* __restrict__ weights,         // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,             // (q + 2 kv), or null
    const float* __restrict__ cos_sin,          // (T, 2, dim / 2)
    const uint32_t* __restrict__ slot_mapping,  // (T)
    __half* __restrict__ q,                     // (T, q)
    __half* __restrict__ keys,                  // inout (blocks, kv_heads, 16, dim)
    __half* __restrict__ values,                // inout (blocks, kv_heads, 16, dim)
    uint32_t tokens,
    uint32_t k,
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t dim,
    float eps) {
  const qwarp::AsRopeAppend<__half> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_norm<__half>({x, norm, eps}, {nullptr, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(320) norm_linear_rope_append_bf16_t8(
    const float* BY_SEQUENCE x,                 // (T, k)
    const float* __restrict__ norm,             // (k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,             // (q + 2 kv), or null
    const float* __restrict__ cos_sin,          // (T, 2, dim / 2)
    const uint32_t* __restrict__ slot_mapping,  // (T)
    __nv_bfloat16* __restrict__ q,              // (T, q)
    __nv_bfloat16* __restrict__ keys,           // inout (blocks, kv_heads, 16, dim)
    __nv_bfloat16* __restrict__ values,         // inout (blocks, kv_heads, 16, dim)
    uint32_t tokens,
    uint32_t k,
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t dim,
    float eps) {
  const qwarp::AsRopeAppend<__nv_bfloat16> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_norm<__nv_bfloat16>({x, norm, eps}, {nullptr, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}
#endif
