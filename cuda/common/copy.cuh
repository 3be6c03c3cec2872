// Sixteen bytes from global to shared memory: in the background where the target can, through a register where not. A thread
// commits what it has started as a group, waits for its older groups, and then meets the readers at a barrier.
#pragma once

#include <cstdint>

#include "convert.cuh"
#include "follow.cuh"

namespace qwarp {

// Elements of 16 bytes.
constexpr uint32_t VEC8 = 8;

#if __CUDA_ARCH__ >= 800
constexpr bool BACKGROUND_COPY = true;
#else
constexpr bool BACKGROUND_COPY = false;
#endif

__device__ inline uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

// `to` is in shared memory; both at multiples of 16 bytes. Lines stay in the first-level cache, for the CTAs that read the same.
__device__ inline void copy16(void* to, const void* from) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
#else
  *static_cast<uint4*>(to) = __ldg(static_cast<const uint4*>(from));
#endif
}

__device__ inline void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most GROUPS of this thread's groups are under way.
template <uint32_t GROUPS>
__device__ inline void wait_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
#endif
}

// Elements k .. k + 8 of a row of n whose accesses cannot be wider than an element; zeros past its end.
template <typename T>
__device__ inline uint4 gather8(const T* row, uint32_t k, uint32_t n) {
  static_assert(sizeof(T) == 2, "two elements a register");
  uint32_t pair[4] = {};
#pragma unroll
  for (uint32_t i = 0; i < VEC8; ++i) {
    const uint32_t bits = k + i < n ? read(reinterpret_cast<const unsigned short*>(row) + k + i) : 0;
    pair[i / 2] |= bits << (i % 2 * 16);
  }
  return {pair[0], pair[1], pair[2], pair[3]};
}

// The same of a row of any length: at once where every row starts at a multiple of 16 bytes. The row's length alone decides.
template <typename T>
__device__ inline uint4 load8(const T* row, uint32_t k, uint32_t n) {
  if (n % VEC8 != 0) return gather8(row, k, n);
  return k < n ? read(reinterpret_cast<const uint4*>(row + k)) : uint4{};
}

// The same into shared memory, in the background where it can be.
template <typename T>
__device__ inline void copy8(T* to, const T* row, uint32_t k, uint32_t n) {
  if (BACKGROUND_COPY && n % VEC8 == 0 && k < n) {
    copy16(to, row + k);
  } else {
    *reinterpret_cast<uint4*>(to) = load8(row, k, n);
  }
}

}  // namespace qwarp
