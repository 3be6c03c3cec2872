// Rotates q and k by position and appends k and v to the paged cache; with a bias, adds it to q, k and v first.
//
// Shapes: qkv (T, q + 2 kv), bias (q + 2 kv), cos_sin (T, 2, dim / 2) with the cosines first, slot_mapping (T), q (T, q), keys
// and values (blocks, kv_heads, 16, dim) of one layer. q = q_heads * dim, kv = kv_heads * dim. Slots are distinct and inside
// the cache: the host made them. Other slots keep their values.
// Grid: (T, work items over 128); CTA of 128 threads. A work item is four elements of the lower half of a head and the four
// that they are paired with (element i with i + dim / 2). No shared memory.
// Numerics: f32, each product and sum rounded once as on the CPU, then one rounding to the matrix type: the bits equal the
// CPU backend's. The angles come from the host, rounded as the model was trained with.
// Bound: memory. qkv is read once and written once in 2 bytes; cosines and sines are read once a head, from the cache.

#include "common/paged.cuh"
#include "common/vec.cuh"

namespace {

struct Shape {
  uint32_t q_heads, kv_heads, dim;
};

// a * cos + b * sin.
__device__ float4 turned(float4 a, float4 cos, float4 b, float4 sin) {
  return {a.x * cos.x + b.x * sin.x, a.y * cos.y + b.y * sin.y, a.z * cos.z + b.z * sin.z, a.w * cos.w + b.w * sin.w};
}

__device__ float4 negated(float4 v) { return {-v.x, -v.y, -v.z, -v.w}; }

template <typename T, bool BIAS>
__device__ void rope_append(const float* qkv, const float* bias, const float* cos_sin, const uint32_t* slot_mapping, T* q,
                            T* keys, T* values, Shape shape) {
  const uint32_t half = shape.dim / 2, heads = shape.q_heads + 2 * shape.kv_heads;
  const uint32_t items = (half + qwarp::VEC - 1) / qwarp::VEC;
  const size_t token = blockIdx.x;
  const uint32_t item = blockIdx.y * blockDim.x + threadIdx.x;
  if (item >= items * heads) return;
  const uint32_t head = item / items, i = item % items * qwarp::VEC;

  const float* x = qkv + (token * heads + head) * shape.dim;
  float4 low = qwarp::load4(x, i, half), high = qwarp::load4(x + half, i, half);
  if (BIAS) {
    const float* b = bias + head * shape.dim;
    low = qwarp::sum4(low, qwarp::load4(b, i, half));
    high = qwarp::sum4(high, qwarp::load4(b + half, i, half));
  }
  if (head < shape.q_heads + shape.kv_heads) {
    const float* angles = cos_sin + token * shape.dim;
    const float4 cos = qwarp::load4(angles, i, half), sin = qwarp::load4(angles + half, i, half);
    const float4 turned_low = turned(low, cos, negated(high), sin);
    high = turned(high, cos, low, sin);
    low = turned_low;
  }

  T* out = q + (token * shape.q_heads + head) * shape.dim;
  if (head >= shape.q_heads) {
    const uint32_t kv_head = head - shape.q_heads;
    const bool is_key = kv_head < shape.kv_heads;
    out = (is_key ? keys : values) + qwarp::cache_row(slot_mapping[token], is_key ? kv_head : kv_head - shape.kv_heads,
                                                      shape.kv_heads, shape.dim);
  }
  qwarp::store4(out, i, half, low);
  qwarp::store4(out + half, i, half, high);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128) rope_append_f16(
    const float* __restrict__ qkv,              // (T, q + 2 kv)
    const float* __restrict__ cos_sin,          // (T, 2, dim / 2)
    const uint32_t* __restrict__ slot_mapping,  // (T)
    __half* __restrict__ q,                     // (T, q)
    __half* __restrict__ keys,                  // inout (blocks, kv_heads, 16, dim)
    __half* __restrict__ values,                // inout (blocks, kv_heads, 16, dim)
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t dim) {
  rope_append<__half, false>(qkv, nullptr, cos_sin, slot_mapping, q, keys, values, {q_heads, kv_heads, dim});
}

extern "C" __global__ void __launch_bounds__(128) bias_rope_append_f16(
    const float* __restrict__ qkv,              // (T, q + 2 kv)
    const float* __restrict__ bias,             // (q + 2 kv)
    const float* __restrict__ cos_sin,          // (T, 2, dim / 2)
    const uint32_t* __restrict__ slot_mapping,  // (T)
    __half* __restrict__ q,                     // (T, q)
    __half* __restrict__ keys,                  // inout (blocks, kv_heads, 16, dim)
    __half* __restrict__ values,                // inout (blocks, kv_heads, 16, dim)
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t dim) {
  rope_append<__half, true>(qkv, bias, cos_sin, slot_mapping, q, keys, values, {q_heads, kv_heads, dim});
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(128) rope_append_bf16(
    const float* __restrict__ qkv,              // (T, q + 2 kv)
    const float* __restrict__ cos_sin,          // (T, 2, dim / 2)
    const uint32_t* __restrict__ slot_mapping,  // (T)
    __nv_bfloat16* __restrict__ q,              // (T, q)
    __nv_bfloat16* __restrict__ keys,           // inout (blocks, kv_heads, 16, dim)
    __nv_bfloat16* __restrict__ values,         // inout (blocks, kv_heads, 16, dim)
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t dim) {
  rope_append<__nv_bfloat16, false>(qkv, nullptr, cos_sin, slot_mapping, q, keys, values, {q_heads, kv_heads, dim});
}

extern "C" __global__ void __launch_bounds__(128) bias_rope_append_bf16(
    const float* __restrict__ qkv,              // (T, q + 2 kv)
    const float* __restrict__ bias,             // (q + 2 kv)
    const float* __restrict__ cos_sin,          // (T, 2, dim / 2)
    const uint32_t* __restrict__ slot_mapping,  // (T)
    __nv_bfloat16* __restrict__ q,              // (T, q)
    __nv_bfloat16* __restrict__ keys,           // inout (blocks, kv_heads, 16, dim)
    __nv_bfloat16* __restrict__ values,         // inout (blocks, kv_heads, 16, dim)
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t dim) {
  rope_append<__nv_bfloat16, true>(qkv, bias, cos_sin, slot_mapping, q, keys, values, {q_heads, kv_heads, dim});
}
#endif
