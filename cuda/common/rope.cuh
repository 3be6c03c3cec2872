// Rotation by position behind a product of q, k and v, and the append of k and v to the paged cache.
#pragma once

#include "linear_out.cuh"
#include "paged.cuh"

namespace qwarp {

// Rows 0 .. 8 of a tile are elements i .. i + 8 of the lower half of a head, rows 8 .. 16 those they are paired with (i + dim
// / 2): a lane has both of a pair. Heads of q, then of k, then of v; each is dim / 16 tiles, so no tile has parts of two.
// + bias where the pointer is not null, then rotation of q and k, each product and sum rounded once; then one rounding.
template <typename T>
struct AsRopeAppend {
  const float* bias;
  const float* cos_sin;
  const uint32_t* slot_mapping;
  T* q;
  T* keys;
  T* values;
  uint32_t q_heads, kv_heads, dim;

  // Where a head of a token goes.
  __device__ T* row(uint32_t head, size_t token) const {
    if (head < q_heads) return q + (token * q_heads + head) * dim;
    const uint32_t kv_head = head - q_heads;
    const bool is_key = kv_head < kv_heads;
    return (is_key ? keys : values) +
           cache_row(slot_mapping[token], is_key ? kv_head : kv_head - kv_heads, kv_heads, dim);
  }

  __device__ void operator()(uint32_t tile, uint32_t g, uint32_t token, float low, float high) const {
    const uint32_t half = dim / 2, tiles = dim / TILE;
    const uint32_t head = tile / tiles, i = tile % tiles * (TILE / 2) + g;
    if (bias != nullptr) {
      low += bias[head * dim + i];
      high += bias[head * dim + half + i];
    }
    if (head < q_heads + kv_heads) {
      const float* angles = cos_sin + static_cast<size_t>(token) * dim + i;
      const float cos = angles[0], sin = angles[half];
      const float turned = low * cos + -high * sin;
      high = high * cos + low * sin;
      low = turned;
    }
    T* to = row(head, token) + i;
    to[0] = from_float<T>(low);
    to[half] = from_float<T>(high);
  }
};

}  // namespace qwarp
