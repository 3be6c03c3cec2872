// Sums and maxima over a warp and over a CTA, in an order that the number of threads fixes. Every thread gets the result.
#pragma once

#include <cstdint>

namespace qwarp {

constexpr uint32_t WARP = 32;
constexpr uint32_t ALL_LANES = 0xffffffffu;

struct Sum {
  __device__ static float identity() { return 0.0f; }
  __device__ static float combine(float a, float b) { return a + b; }
};

struct Max {
  __device__ static uint64_t identity() { return 0; }
  __device__ static uint64_t combine(uint64_t a, uint64_t b) { return a > b ? a : b; }
};

// A butterfly: lane pairs 16 apart first, neighbours last. Both of a pair compute the same, since `combine` commutes.
template <typename Op, typename T>
__device__ inline T warp_reduce(T x) {
#pragma unroll
  for (uint32_t apart = WARP / 2; apart > 0; apart /= 2) {
    x = Op::combine(x, __shfl_xor_sync(ALL_LANES, x, apart));
  }
  return x;
}

// Over a CTA of whole warps, at most 32: each warp by itself, then the warps' results in the same butterfly. Once a kernel:
// a second use would need a barrier before it, because `warps` may still be read.
template <typename Op, typename T>
__device__ inline T block_reduce(T x) {
  __shared__ T warps[WARP];
  const uint32_t lane = threadIdx.x % WARP;
  x = warp_reduce<Op>(x);
  if (lane == 0) warps[threadIdx.x / WARP] = x;
  __syncthreads();
  return warp_reduce<Op>(lane < blockDim.x / WARP ? warps[lane] : Op::identity());
}

}  // namespace qwarp
