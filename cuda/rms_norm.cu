// RMSNorm, alone or with the residual sum before it: x += delta; out = x / sqrt(mean(x^2) + eps) * weight.
//
// Shapes: x, delta (rows, n), weight (n), out (rows, n).
// Grid: (rows); CTA of as many threads as common/rms.cuh says for n. 128 bytes of shared memory.
// Numerics: f32, in the order of common/rms.cuh, which depends on n alone. Square root and division are correctly rounded, so
// the bits are the same on every card.
// Bound: memory. x and weight are read once and out is written once (the sum also reads delta and writes x). A thread keeps
// its first four elements; what a row has beyond 4096 is read a second time, from the first-level cache.

#include "common/follow.cuh"
#include "common/rms.cuh"

namespace {

// Normalises one row. `load(i)` gives its elements i .. i+4 in the first pass, once for each i; `again(i)` those that the
// thread has not kept, in the second.
template <typename T, typename Load, typename Again>
__device__ void rms_norm(Load load, Again again, const float* weight, T* out, uint32_t n, float eps) {
  const uint32_t start = threadIdx.x * qwarp::VEC, stride = blockDim.x * qwarp::VEC;
  float4 first = {}, first_weight = {};
  qwarp::follow();
  if (start < n) {
    first = load(start);
    // Asked for before the barrier, so that both waits overlap.
    first_weight = qwarp::load4(weight, start, n);
  }
  float sum = qwarp::square_sum(first, 0.0f);
  for (uint32_t i = start + stride; i < n; i += stride) sum = qwarp::square_sum(load(i), sum);
  const float scale = qwarp::norm_scale(qwarp::block_reduce<qwarp::Sum>(sum), n, eps);
  if (start < n) qwarp::store4(out, start, n, qwarp::scale4(first, scale, first_weight));
  for (uint32_t i = start + stride; i < n; i += stride) {
    qwarp::store4(out, i, n, qwarp::scale4(again(i), scale, qwarp::load4(weight, i, n)));
  }
}

template <typename T>
__device__ void norm_row(const float* x, const float* weight, T* out, uint32_t n, float eps) {
  const size_t row = static_cast<size_t>(blockIdx.x) * n;
  const auto load = [&](uint32_t i) { return qwarp::load4(x + row, i, n); };
  rms_norm(load, load, weight, out + row, n, eps);
}

template <typename T>
__device__ void add_norm_row(float* x, const float* delta, const float* weight, T* out, uint32_t n, float eps) {
  const size_t row = static_cast<size_t>(blockIdx.x) * n;
  const auto again = [&](uint32_t i) { return qwarp::load4(x + row, i, n); };
  const auto load = [&](uint32_t i) {
    const float4 v = qwarp::sum4(again(i), qwarp::load4(delta + row, i, n));
    qwarp::store4(x + row, i, n, v);
    return v;
  };
  rms_norm(load, again, weight, out + row, n, eps);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(1024) rms_norm_f16(
    const float* BY_SEQUENCE x,        // (rows, n)
    const float* __restrict__ weight,  // (n)
    __half* __restrict__ out,          // (rows, n)
    uint32_t n,
    float eps) {
  norm_row(x, weight, out, n, eps);
}

extern "C" __global__ void __launch_bounds__(1024) add_rms_norm_f16(
    float* __restrict__ x,             // inout (rows, n)
    const float* BY_SEQUENCE delta,    // (rows, n)
    const float* __restrict__ weight,  // (n)
    __half* __restrict__ out,          // (rows, n)
    uint32_t n,
    float eps) {
  add_norm_row(x, delta, weight, out, n, eps);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(1024) rms_norm_bf16(
    const float* BY_SEQUENCE x,        // (rows, n)
    const float* __restrict__ weight,  // (n)
    __nv_bfloat16* __restrict__ out,   // (rows, n)
    uint32_t n,
    float eps) {
  norm_row(x, weight, out, n, eps);
}

extern "C" __global__ void __launch_bounds__(1024) add_rms_norm_bf16(
    float* __restrict__ x,             // inout (rows, n)
    const float* BY_SEQUENCE delta,    // (rows, n)
    const float* __restrict__ weight,  // (n)
    __nv_bfloat16* __restrict__ out,   // (rows, n)
    uint32_t n,
    float eps) {
  add_norm_row(x, delta, weight, out, n, eps);
}
#endif
