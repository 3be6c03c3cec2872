// The matrix product of gate and up with SiLU times up behind it: out = silu(x G^T) * (x U^T), rounded once.
//
// Shapes: weights packed as common/packed_weights.cuh says from 2 * 8 * ceil(n / 8) rows: eight of gate, the same eight of
// up, and so on, zeros past n, so that one lane has both of a column. x (T, k), out (T, n).
// Grids, shared memory, order of sums and bounds: those of linear.cu, with two rows for a column: (.., 2 n over 16, 64 or 128).
// Numerics: the sums are linear.cu's; gate / (1 + exp(-gate)) * up of them in f32 as in silu_mul.cu, one rounding.
// Tried: gate and up in tiles of their own, one after the other in a warp, was dropped: it doubles what a warp holds.

#include "common/linear_stream.cuh"
#include "common/linear_tile.cuh"

extern "C" __global__ void __launch_bounds__(320) linear_silu_mul_f16_t8(
    const __half* BY_SEQUENCE x,         // (T, k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __half* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k) {
  qwarp::linear_stream<__half, 1>({x, weights, tokens, (n + 7) / 8 * qwarp::TILE, k}, qwarp::AsSiluMul<__half>{out, n});
}

extern "C" __global__ void __launch_bounds__(320) linear_silu_mul_f16_t16(
    const __half* BY_SEQUENCE x,         // (T, k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __half* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k) {
  qwarp::linear_stream<__half, 2>({x, weights, tokens, (n + 7) / 8 * qwarp::TILE, k}, qwarp::AsSiluMul<__half>{out, n});
}

extern "C" __global__ void __launch_bounds__(320) linear_silu_mul_f16_t32(
    const __half* BY_SEQUENCE x,         // (T, k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __half* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k) {
  qwarp::linear_stream<__half, 4>({x, weights, tokens, (n + 7) / 8 * qwarp::TILE, k}, qwarp::AsSiluMul<__half>{out, n});
}

extern "C" __global__ void __launch_bounds__(128) linear_silu_mul_f16_t64(
    const __half* BY_SEQUENCE x,         // (T, k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __half* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k) {
  qwarp::linear_tile<__half, 2, 2, 4>({x, weights, tokens, (n + 7) / 8 * qwarp::TILE, k}, qwarp::AsSiluMul<__half>{out, n});
}

extern "C" __global__ void __launch_bounds__(256) linear_silu_mul_f16_t128(
    const __half* BY_SEQUENCE x,         // (T, k)
    const __half* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __half* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k) {
  qwarp::linear_tile<__half, 4, 2, 8>({x, weights, tokens, (n + 7) / 8 * qwarp::TILE, k}, qwarp::AsSiluMul<__half>{out, n});
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(320) linear_silu_mul_bf16_t8(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __nv_bfloat16* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k) {
  qwarp::linear_stream<__nv_bfloat16, 1>({x, weights, tokens, (n + 7) / 8 * qwarp::TILE, k}, qwarp::AsSiluMul<__nv_bfloat16>{out, n});
}

extern "C" __global__ void __launch_bounds__(320) linear_silu_mul_bf16_t16(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __nv_bfloat16* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k) {
  qwarp::linear_stream<__nv_bfloat16, 2>({x, weights, tokens, (n + 7) / 8 * qwarp::TILE, k}, qwarp::AsSiluMul<__nv_bfloat16>{out, n});
}

extern "C" __global__ void __launch_bounds__(320) linear_silu_mul_bf16_t32(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __nv_bfloat16* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k) {
  qwarp::linear_stream<__nv_bfloat16, 4>({x, weights, tokens, (n + 7) / 8 * qwarp::TILE, k}, qwarp::AsSiluMul<__nv_bfloat16>{out, n});
}

extern "C" __global__ void __launch_bounds__(128) linear_silu_mul_bf16_t64(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __nv_bfloat16* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k) {
  qwarp::linear_tile<__nv_bfloat16, 2, 2, 4>({x, weights, tokens, (n + 7) / 8 * qwarp::TILE, k}, qwarp::AsSiluMul<__nv_bfloat16>{out, n});
}

extern "C" __global__ void __launch_bounds__(256) linear_silu_mul_bf16_t128(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
    const __nv_bfloat16* __restrict__ weights,  // (row tiles, k tiles, 32, 8)
    __nv_bfloat16* __restrict__ out,            // (T, n)
    uint32_t tokens,
    uint32_t n,
    uint32_t k) {
  qwarp::linear_tile<__nv_bfloat16, 4, 2, 8>({x, weights, tokens, (n + 7) / 8 * qwarp::TILE, k}, qwarp::AsSiluMul<__nv_bfloat16>{out, n});
}
#endif
