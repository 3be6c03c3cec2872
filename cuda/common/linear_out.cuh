// What becomes of a finished sum of products. A lane has both rows of its tile, g and g + 8, for one token.
#pragma once

#include "convert.cuh"
#include "follow.cuh"
#include "packed_weights.cuh"
#include "silu.cuh"

namespace qwarp {

// What a matrix product is asked for: x (tokens, k) by packed weights of `rows` rows.
template <typename T>
struct Product {
  const T* x;
  const T* weights;
  uint32_t tokens, rows, k;
};

// out = (sum + bias) + out: without a bias where the pointer is null, without the last where `add` is not set.
struct AsRows {
  const float* bias;
  float* out;
  uint32_t n;
  bool add;

  __device__ void one(uint32_t column, size_t token, float sum) const {
    if (column >= n) return;
    float* to = out + token * n + column;
    if (bias != nullptr) sum += bias[column];
    *to = add ? sum + *to : sum;
  }

  __device__ void operator()(uint32_t tile, uint32_t g, uint32_t token, float low, float high) const {
    one(tile * TILE + g, token, low);
    one(tile * TILE + g + TILE / 2, token, high);
  }
};

// out = silu(gate) * up: rows 0 .. 8 of a tile are gates, rows 8 .. 16 the ups of the same columns.
template <typename T>
struct AsSiluMul {
  T* out;
  uint32_t n;

  __device__ void operator()(uint32_t tile, uint32_t g, uint32_t token, float gate, float up) const {
    const uint32_t column = tile * (TILE / 2) + g;
    if (column < n) out[static_cast<size_t>(token) * n + column] = from_float<T>(silu(gate) * up);
  }
};

}  // namespace qwarp
