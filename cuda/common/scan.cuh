// Where a running sum reaches a value: exact integers, eight a thread, thread after thread.
#pragma once

#include <cstdint>

#include "mass.cuh"
#include "reduce.cuh"

namespace qwarp {

// Values of a thread: those of thread t are 8 t .. 8 t + 8.
constexpr uint32_t RUN = 8;

// What stands before a thread's values, and in all threads.
struct Scan {
  Wide before;
  Wide all;
};

// The place of the first value with which the sum reaches what was wanted, the sum before it, and the value.
struct Reached {
  uint32_t index;
  Wide before;
  Wide value;
};

__device__ inline Wide shuffled_up(Wide x, uint32_t by) {
  const uint64_t low = __shfl_up_sync(ALL_LANES, static_cast<uint64_t>(x), by);
  const uint64_t high = __shfl_up_sync(ALL_LANES, static_cast<uint64_t>(x >> 64), by);
  return static_cast<Wide>(high) << 64 | low;
}

// Sums over a CTA of whole warps; every thread takes part.
__device__ inline Scan block_scan(const Wide (&values)[RUN]) {
  __shared__ Wide warps[WARP];
  const uint32_t lane = threadIdx.x % WARP;
  const uint32_t warp = threadIdx.x / WARP;
  Wide own = 0;
#pragma unroll
  for (uint32_t k = 0; k < RUN; ++k) own += values[k];
  Wide sum = own;
#pragma unroll
  for (uint32_t apart = 1; apart < WARP; apart *= 2) {
    const Wide other = shuffled_up(sum, apart);
    if (lane >= apart) sum += other;
  }
  if (lane == WARP - 1) warps[warp] = sum;
  __syncthreads();
  Scan scan = {sum - own, 0};
  for (uint32_t w = 0; w < blockDim.x / WARP; ++w) {
    const Wide of_warp = warps[w];
    if (w < warp) scan.before += of_warp;
    scan.all += of_warp;
  }
  // The next scan writes `warps` again.
  __syncthreads();
  return scan;
}

// `wanted` is at least 1 and at most the sum of all, so that one thread has the value; every thread gets the answer.
__device__ inline Reached reached(const Wide (&values)[RUN], const Scan& scan, Wide wanted) {
  __shared__ Reached found;
  Wide before = scan.before;
#pragma unroll
  for (uint32_t k = 0; k < RUN; ++k) {
    const Wide after = before + values[k];
    if (before < wanted && after >= wanted) found = {threadIdx.x * RUN + k, before, values[k]};
    before = after;
  }
  __syncthreads();
  const Reached answer = found;
  __syncthreads();
  return answer;
}

}  // namespace qwarp
