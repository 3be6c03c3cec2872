// RMSNorm: out = x / sqrt(mean(x^2) + eps) * weight.
//
// Shapes: x (rows, n), weight (n), out (rows, n).
// Grid: (rows); CTA of as many threads as common/rms.cuh says for n. 128 bytes of shared memory.
// Numerics: f32, in the order of common/rms.cuh, which depends on n alone. Square root and division are correctly rounded, so
// the bits are the same on every card.
// Bound: memory. x and weight are read once and out is written once. A thread keeps its first four elements; what a row has
// beyond 4096 is read a second time, from the first-level cache.

#include "common/follow.cuh"
#include "common/rms.cuh"

namespace {

template <typename T>
__device__ void rms_norm(const float* x, const float* weight, T* out, uint32_t n, float eps) {
  const uint32_t start = threadIdx.x * qwarp::VEC, stride = blockDim.x * qwarp::VEC;
  x += static_cast<size_t>(blockIdx.x) * n;
  out += static_cast<size_t>(blockIdx.x) * n;
  float4 first = {}, first_weight = {};
  qwarp::follow();
  if (start < n) {
    first = qwarp::load4(x, start, n);
    // Asked for before the barrier, so that both waits overlap.
    first_weight = qwarp::load4(weight, start, n);
  }
  float sum = qwarp::square_sum(first, 0.0f);
  for (uint32_t i = start + stride; i < n; i += stride) sum = qwarp::square_sum(qwarp::load4(x, i, n), sum);
  const float scale = qwarp::norm_scale(qwarp::block_reduce<qwarp::Sum>(sum), n, eps);
  if (start < n) qwarp::store4(out, start, n, qwarp::scale4(first, scale, first_weight));
  for (uint32_t i = start + stride; i < n; i += stride) {
    qwarp::store4(out, i, n, qwarp::scale4(qwarp::load4(x, i, n), scale, qwarp::load4(weight, i, n)));
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(1024) rms_norm_f16(
    const float* BY_SEQUENCE x,        // (rows, n)
    const float* __restrict__ weight,  // (n)
    __half* __restrict__ out,          // (rows, n)
    uint32_t n,
    float eps) {
  rms_norm(x, weight, out, n, eps);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(1024) rms_norm_bf16(
    const float* BY_SEQUENCE x,        // (rows, n)
    const float* __restrict__ weight,  // (n)
    __nv_bfloat16* __restrict__ out,   // (rows, n)
    uint32_t n,
    float eps) {
  rms_norm(x, weight, out, n, eps);
}
#endif
