// The parts of RMSNorm, x / sqrt(mean(x^2) + eps) * weight, in one order for every kernel that has it.
//
// A row of n is summed by ceil(n / 4) threads rounded up to whole warps, at most 1024, so n alone decides the order: thread t
// adds the squares of elements 4 t .. 4 t + 4, then those 4 * threads further on, each by a fused multiply-add; then the
// butterflies of reduce.cuh, in each warp and over the warps' sums.
#pragma once

#include "reduce.cuh"
#include "vec.cuh"

namespace qwarp {

constexpr uint32_t NORM_THREADS = 1024;

__device__ inline float square_sum(float4 v, float sum) {
  return fmaf(v.w, v.w, fmaf(v.z, v.z, fmaf(v.y, v.y, fmaf(v.x, v.x, sum))));
}

__device__ inline float norm_scale(float sum, uint32_t n, float eps) {
  return 1.0f / sqrtf(sum / static_cast<float>(n) + eps);
}

__device__ inline float4 scale4(float4 v, float scale, float4 weight) {
  return {v.x * scale * weight.x, v.y * scale * weight.y, v.z * scale * weight.z, v.w * scale * weight.w};
}

}  // namespace qwarp
