// Four consecutive elements of a row: one access where every row starts aligned, one access an element where not. The row's
// length alone decides, so a row of another length never changes what a thread adds up, and the two ways give the same bits.
// Tensors start at a multiple of 16 bytes; the launch code checks it.
#pragma once

#include <cstdint>

#include "convert.cuh"

namespace qwarp {

// Elements a thread takes at once.
constexpr uint32_t VEC = 4;

// Four elements as they stand in memory: 16 bytes of f32, 8 of f16 and bf16.
template <typename T>
struct alignas(VEC * sizeof(T)) Packed {
  T at[VEC];
};

// Elements i .. i+4 of a row of n, i a multiple of 4; what lies past the end is zero.
template <typename T>
__device__ inline float4 load4(const T* row, uint32_t i, uint32_t n) {
  if (n % VEC == 0) {
    const Packed<T> x = *reinterpret_cast<const Packed<T>*>(row + i);
    return {to_float(x.at[0]), to_float(x.at[1]), to_float(x.at[2]), to_float(x.at[3])};
  }
  float x[VEC] = {};
  for (uint32_t k = 0; k < VEC && i + k < n; ++k) x[k] = to_float(row[i + k]);
  return {x[0], x[1], x[2], x[3]};
}

// Writes elements i .. i+4 of a row of n, rounded to T; those past the end are dropped. Four of 16 bits are stored as one
// word: of a vector nvcc makes several stores where it has unrolled the caller, and their lanes meet in the banks.
template <typename T>
__device__ inline void store4(T* row, uint32_t i, uint32_t n, float4 v) {
  if (n % VEC == 0) {
    if constexpr (sizeof(T) == sizeof(float)) {
      *reinterpret_cast<float4*>(row + i) = v;
    } else {
      const uint64_t high = pair<T>(v.z, v.w);
      *reinterpret_cast<uint64_t*>(row + i) = high << 32 | pair<T>(v.x, v.y);
    }
    return;
  }
  const float x[VEC] = {v.x, v.y, v.z, v.w};
  for (uint32_t k = 0; k < VEC && i + k < n; ++k) row[i + k] = from_float<T>(x[k]);
}

}  // namespace qwarp
