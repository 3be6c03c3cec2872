// The matrix product of every linear layer: out = x W^T, with a bias and onto what stands in out where asked.
//
// Shapes: weights packed as common/packed_weights.cuh says from (n, k); x (T, k), out (T, n), bias (n) or null. With `add`,
// out is read and added to; without, it is only written. Any n, k and T; x has no padding: rows whose length is a multiple of
// 8 are read 16 bytes at once, others an element at a time.
// Grid, streaming (t8, t16, t32): (T over 8, 16 or 32, n over 16); CTA of w warps, w at most ceil(k / 512) and 10: the launch
// code chooses w by k and the shared memory, and no bit depends on it. 8704, 9216 or 10240 bytes of shared memory a warp.
// Grid, tiled (t64, t128): (T over 64 or 128, n over 64 or 128); CTA of 128 or 256 threads. STEPS of 8192 or 16384 bytes of
// shared memory: four from sm_80 on, two on sm_75.
// Numerics: one order for every variant and T (common/packed_weights.cuh), then + bias, then + out, each rounded to f32. So a
// row's bits depend on that row alone. On sm_75 a product of 16 is two of 8, so its bits are not sm_80's; nor are sm_90's.
// Bound: t8, t16, t32 memory: 2 n k bytes, each weight read once while T fits one CTA. t64, t128 the tensor cores: by shared
// memory a warp of 32 x 64 needs 24 of 32 cycles of an A100's products (weights 8, tokens 16), one of 32 x 32 all of 16.
// Tried: not yet measured on a card. A direct load of the tokens' fragments from global memory was dropped on paper: at 32
// tokens its 4-byte loads of 8 rows take more cycles than the weights'; steps of 64 elements do not fit an A10G's 99 KB thrice.

#include "common/linear_stream.cuh"
#include "common/linear_tile.cuh"

extern "C" __global__ void __launch_bounds__(320) linear_f16_t8(
    const __half* BY_SEQUENCE x,         // (T, k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,      // (n), or null
    float* __restrict__ out,             // inout (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    uint32_t add) {
  qwarp::linear_stream<__half, 1>({x, weights, tokens, n, k}, qwarp::AsRows{bias, out, n, add != 0});
}

extern "C" __global__ void __launch_bounds__(320) linear_f16_t16(
    const __half* BY_SEQUENCE x,         // (T, k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,      // (n), or null
    float* __restrict__ out,             // inout (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    uint32_t add) {
  qwarp::linear_stream<__half, 2>({x, weights, tokens, n, k}, qwarp::AsRows{bias, out, n, add != 0});
}

extern "C" __global__ void __launch_bounds__(320) linear_f16_t32(
    const __half* BY_SEQUENCE x,         // (T, k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,      // (n), or null
    float* __restrict__ out,             // inout (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    uint32_t add) {
  qwarp::linear_stream<__half, 4>({x, weights, tokens, n, k}, qwarp::AsRows{bias, out, n, add != 0});
}

extern "C" __global__ void __launch_bounds__(128) linear_f16_t64(
    const __half* BY_SEQUENCE x,         // (T, k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,      // (n), or null
    float* __restrict__ out,             // inout (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    uint32_t add) {
  qwarp::linear_tile<__half, 2, 2, 4>({x, weights, tokens, n, k}, qwarp::AsRows{bias, out, n, add != 0});
}

extern "C" __global__ void __launch_bounds__(256) linear_f16_t128(
    const __half* BY_SEQUENCE x,         // (T, k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,      // (n), or null
    float* __restrict__ out,             // inout (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    uint32_t add) {
  qwarp::linear_tile<__half, 4, 2, 8>({x, weights, tokens, n, k}, qwarp::AsRows{bias, out, n, add != 0});
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(320) linear_bf16_t8(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,             // (n), or null
    float* __restrict__ out,                    // inout (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    uint32_t add) {
  qwarp::linear_stream<__nv_bfloat16, 1>({x, weights, tokens, n, k}, qwarp::AsRows{bias, out, n, add != 0});
}

extern "C" __global__ void __launch_bounds__(320) linear_bf16_t16(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,             // (n), or null
    float* __restrict__ out,                    // inout (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    uint32_t add) {
  qwarp::linear_stream<__nv_bfloat16, 2>({x, weights, tokens, n, k}, qwarp::AsRows{bias, out, n, add != 0});
}

extern "C" __global__ void __launch_bounds__(320) linear_bf16_t32(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,             // (n), or null
    float* __restrict__ out,                    // inout (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    uint32_t add) {
  qwarp::linear_stream<__nv_bfloat16, 4>({x, weights, tokens, n, k}, qwarp::AsRows{bias, out, n, add != 0});
}

extern "C" __global__ void __launch_bounds__(128) linear_bf16_t64(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,             // (n), or null
    float* __restrict__ out,                    // inout (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    uint32_t add) {
  qwarp::linear_tile<__nv_bfloat16, 2, 2, 4>({x, weights, tokens, n, k}, qwarp::AsRows{bias, out, n, add != 0});
}

extern "C" __global__ void __launch_bounds__(256) linear_bf16_t128(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    const float* __restrict__ bias,             // (n), or null
    float* __restrict__ out,                    // inout (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k,
    uint32_t add) {
  qwarp::linear_tile<__nv_bfloat16, 4, 2, 8>({x, weights, tokens, n, k}, qwarp::AsRows{bias, out, n, add != 0});
}
#endif
