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

// Writes elements i .. i+4 of a row of n, rounded to T; those past the end are dropped.
template <typename T>
__device__ inline void store4(T* row, uint32_t i, uint32_t n, float4 v) {
  const Packed<T> x = {from_float<T>(v.x), from_float<T>(v.y), from_float<T>(v.z), from_float<T>(v.w)};
  if (n % VEC == 0) {
    *reinterpret_cast<Packed<T>*>(row + i) = x;
    return;
  }
  for (uint32_t k = 0; k < VEC && i + k < n; ++k) row[i + k] = x.at[k];
}

__device__ inline float4 sum4(float4 a, float4 b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w}; }

}  // namespace qwarp
