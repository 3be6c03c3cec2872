// The matrix product of q, k and v with its bias, rotation by position and the append to the paged cache behind it.
//
// Shapes: weights packed as common/packed_weights.cuh says from (q + 2 kv, k), the rows of a tile as common/rope.cuh has
// them; x (T, k), bias (q + 2 kv) or null, cos_sin (T, 2, dim / 2) with the cosines first, slot_mapping (T), q (T, q), keys
// and values (blocks, kv_heads, 16, dim) of one layer. q = q_heads * dim, kv = kv_heads * dim, dim a multiple of 16. Slots
// are distinct and inside the cache: the host made them. Other slots keep their values.
// Grids, shared memory, order of sums and bounds: those of linear.cu, with q + 2 kv rows.
// Numerics: the sums are linear.cu's; + bias and the rotation in f32, each product and sum rounded once as on the CPU, then one
// rounding. The angles come from the host, rounded as the model was trained with.
// Tried: a kernel of its own behind the product was dropped: qkv went to memory in f32 and came back, and a launch a layer
// was gone with that.

#include "common/linear_stream.cuh"
#include "common/linear_tile.cuh"
#include "common/rope.cuh"

extern "C" __global__ void __launch_bounds__(320) linear_rope_append_f16_t8(
    const __half* BY_SEQUENCE x,                // (T, k)
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
    uint32_t dim) {
  const qwarp::AsRopeAppend<__half> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_stream<__half, 1>({x, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}

extern "C" __global__ void __launch_bounds__(320) linear_rope_append_f16_t16(
    const __half* BY_SEQUENCE x,                // (T, k)
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
    uint32_t dim) {
  const qwarp::AsRopeAppend<__half> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_stream<__half, 2>({x, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}

extern "C" __global__ void __launch_bounds__(320) linear_rope_append_f16_t32(
    const __half* BY_SEQUENCE x,                // (T, k)
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
    uint32_t dim) {
  const qwarp::AsRopeAppend<__half> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_stream<__half, 4>({x, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}

extern "C" __global__ void __launch_bounds__(128) linear_rope_append_f16_t64(
    const __half* BY_SEQUENCE x,                // (T, k)
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
    uint32_t dim) {
  const qwarp::AsRopeAppend<__half> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_tile<__half, 2, 2, 4>({x, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}

extern "C" __global__ void __launch_bounds__(256) linear_rope_append_f16_t128(
    const __half* BY_SEQUENCE x,                // (T, k)
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
    uint32_t dim) {
  const qwarp::AsRopeAppend<__half> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_tile<__half, 4, 2, 8>({x, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(320) linear_rope_append_bf16_t8(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
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
    uint32_t dim) {
  const qwarp::AsRopeAppend<__nv_bfloat16> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_stream<__nv_bfloat16, 1>({x, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}

extern "C" __global__ void __launch_bounds__(320) linear_rope_append_bf16_t16(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
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
    uint32_t dim) {
  const qwarp::AsRopeAppend<__nv_bfloat16> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_stream<__nv_bfloat16, 2>({x, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}

extern "C" __global__ void __launch_bounds__(320) linear_rope_append_bf16_t32(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
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
    uint32_t dim) {
  const qwarp::AsRopeAppend<__nv_bfloat16> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_stream<__nv_bfloat16, 4>({x, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}

extern "C" __global__ void __launch_bounds__(128) linear_rope_append_bf16_t64(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
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
    uint32_t dim) {
  const qwarp::AsRopeAppend<__nv_bfloat16> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_tile<__nv_bfloat16, 2, 2, 4>({x, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}

extern "C" __global__ void __launch_bounds__(256) linear_rope_append_bf16_t128(
    const __nv_bfloat16* BY_SEQUENCE x,         // (T, k)
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
    uint32_t dim) {
  const qwarp::AsRopeAppend<__nv_bfloat16> out{bias, cos_sin, slot_mapping, q, keys, values, q_heads, kv_heads, dim};
  qwarp::linear_tile<__nv_bfloat16, 4, 2, 8>({x, weights, tokens, (q_heads + 2 * kv_heads) * dim, k}, out);
}
#endif
