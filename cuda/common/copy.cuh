// Sixteen bytes from global to shared memory: in the background where the target can, through a register where not. A thread
// commits what it has started as a group, waits for its older groups, and then meets the readers at a barrier.
#pragma once

#include <cstdint>

#include "convert.cuh"
#include "follow.cuh"

namespace qwarp {

// Elements of 16 bytes.
constexpr uint32_t VEC8 = 8;

// Where a row's unit of 16 bytes stands in shared memory, in units, for rows of UNITS: swapped within 128 bytes, so that
// neither one unit of each of 8 rows, which `ldmatrix` reads at once, nor 8 units side by side meet in a bank.
template <uint32_t UNITS>
__device__ inline uint32_t unit_at(uint32_t row, uint32_t unit) {
  static_assert(UNITS == 4 || UNITS % 8 == 0);
  return row * UNITS + (UNITS == 4 ? unit ^ row / 2 % 4 : unit ^ row % 8);
}

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

// The same, or zeros where they are not `there`: then nothing is read. Lines pass by the first-level cache.
__device__ inline void copy16_or_zero(uint32_t to, const void* from, bool there) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
               "r"(there ? 16 : 0)
               : "memory");
#else
  uint4 x = {};
  if (there) x = *static_cast<const uint4*>(from);
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w) : "memory");
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
  uint32_t words[4] = {};
#pragma unroll
  for (uint32_t i = 0; i < VEC8; ++i) {
    const uint32_t bits = k + i < n ? read(reinterpret_cast<const unsigned short*>(row) + k + i) : 0;
    words[i / 2] |= bits << (i % 2 * 16);
  }
  return {words[0], words[1], words[2], words[3]};
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
  if (BACKGROUND_COPY && n % VEC8 == 0) {
    if (k < n) {
      copy16(to, row + k);
    } else {
      *reinterpret_cast<uint4*>(to) = uint4{};
    }
  } else {
    *reinterpret_cast<uint4*>(to) = load8(row, k, n);
  }
}

}  // namespace qwarp
