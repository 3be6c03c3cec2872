// The matrix product of few tokens behind RMSNorm: each CTA normalises the rows for itself.
//
// The CTA's rows stand in shared memory as the products take them, rounded, each 16 bytes longer than a multiple of 64: 8 rows
// of a matrix touch all 32 banks once. Its warps share the work of the warps that common/rms.cuh has for a row, whose order
// they keep, however many they are. A thread asks for the elements of its first KEPT items at once and keeps them: all that
// one token has, of at most 4096. The first weights are asked for before that, so that the waits overlap.
#pragma once

#include "linear_stream.cuh"
#include "rms.cuh"

namespace qwarp {

// What is normalised: x (tokens, k), weight (k).
struct Norm {
  const float* x;
  const float* weight;
  float eps;
};

template <typename T>
struct Normed {
  static constexpr uint32_t KEPT = 4;

  const Norm norm;
  const uint32_t n, rows;
  const uint32_t stride = (n + 2 * TILE - 1) / (2 * TILE) * (2 * TILE) + VEC8;
  // Threads that a row's sum is for.
  const uint32_t threads = min((n + VEC * WARP - 1) / (VEC * WARP) * WARP, NORM_THREADS);
  const Chunks chunks;
  T* elements;

  __device__ Normed(const Norm& what, const Product<T>& p, unsigned char* shared)
      : norm(what), n(p.k), rows(p.tokens), elements(reinterpret_cast<T*>(shared)) {}

  // The first byte behind the rows.
  __device__ float* behind() const { return reinterpret_cast<float*>(elements + rows * stride); }

  __device__ float4 load(uint32_t row, uint32_t i) const { return load4(norm.x + static_cast<size_t>(row) * n, i, n); }

  // An item is a row and one of the warps that its sum is for; warps take turns.
  __device__ uint32_t item(uint32_t turn) const { return chunks.warp + turn * chunks.warps; }
  __device__ uint32_t row_of(uint32_t item) const { return item / (threads / WARP); }
  __device__ uint32_t first_of(uint32_t item) const { return (item % (threads / WARP) * WARP + chunks.lane) * VEC; }

  // An item's first elements; zeros where there are none.
  __device__ float4 first(uint32_t item) const {
    return row_of(item) < rows && first_of(item) < n ? load(row_of(item), first_of(item)) : float4{};
  }
  __device__ float4 first_weight(uint32_t item) const {
    return first_of(item) < n ? load4(norm.weight, first_of(item), n) : float4{};
  }

  // Adds up an item's squares, those of its first elements `v` first.
  __device__ void add(float* squares, uint32_t item, float4 v) const {
    float sum = square_sum(v, 0.0f);
    for (uint32_t i = first_of(item) + threads * VEC; i < n; i += threads * VEC) sum = square_sum(load(row_of(item), i), sum);
    sum = warp_reduce<Sum>(sum);
    if (chunks.lane == 0) squares[row_of(item) * WARP + item % (threads / WARP)] = sum;
  }

  // Writes an item's elements, `v` with their weights first.
  __device__ void put(const float* squares, uint32_t item, float4 v, float4 weight) {
    const uint32_t row = row_of(item), first = first_of(item);
    const float part = chunks.lane < threads / WARP ? squares[row * WARP + chunks.lane] : Sum::identity();
    const float scale = norm_scale(warp_reduce<Sum>(part), n, norm.eps);
    T* to = elements + row * stride;
    if (first < n) store4(to, first, n, scale4(v, scale, weight));
    for (uint32_t i = first + threads * VEC; i < n; i += threads * VEC) {
      store4(to, i, n, scale4(load(row, i), scale, load4(norm.weight, i, n)));
    }
  }

  __device__ void start() {
    __shared__ float squares[TOKENS * WARP];
    const uint32_t items = rows * (threads / WARP);
    float4 kept[KEPT], weight[KEPT];
#pragma unroll
    for (uint32_t u = 0; u < KEPT; ++u) kept[u] = first(item(u));
#pragma unroll
    for (uint32_t u = 0; u < KEPT; ++u) weight[u] = first_weight(item(u));
#pragma unroll
    for (uint32_t u = 0; u < KEPT; ++u) {
      if (item(u) < items) add(squares, item(u), kept[u]);
    }
    for (uint32_t turn = KEPT; item(turn) < items; ++turn) add(squares, item(turn), first(item(turn)));
    __syncthreads();
#pragma unroll
    for (uint32_t u = 0; u < KEPT; ++u) {
      if (item(u) < items) put(squares, item(u), kept[u], weight[u]);
    }
    for (uint32_t turn = KEPT; item(turn) < items; ++turn) {
      put(squares, item(turn), first(item(turn)), first_weight(item(turn)));
    }
    // The tiles' last elements meet weights of zero, and must be numbers.
    for (uint32_t row = 0; row < rows; ++row) {
      if (n + threadIdx.x < stride - VEC8) elements[row * stride + n + threadIdx.x] = from_float<T>(0.0f);
    }
    __syncthreads();
  }

  __device__ void reach(uint32_t, uint32_t) {}

  // Where a row has tile u of a round's chunk and the next: one of their four vectors.
  __device__ const T* at(uint32_t round, uint32_t u, uint32_t row, uint32_t vector) const {
    return elements + row * stride + (chunks.first(round) + u) * TILE + vector * VEC8;
  }
};

// `p.x` is not read.
template <typename T, typename Out>
__device__ void linear_norm(const Norm& norm, const Product<T>& p, const Out& out) {
  extern __shared__ uint4 shared[];
  Normed<T> x(norm, p, reinterpret_cast<unsigned char*>(shared));
  stream<1>(p, x, x.behind(), out);
}

}  // namespace qwarp
