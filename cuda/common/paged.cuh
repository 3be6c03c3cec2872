// Where a position's keys and values stand in a layer's cache: (blocks, kv_heads, 16, dim), so that the 16 positions of one
// head are one piece of 16 * dim elements, which attention copies and feeds to `ldmatrix` as rows of `dim`.
#pragma once

#include <cstdint>

namespace qwarp {

constexpr uint32_t BLOCK_SIZE = 16;

// The first element of a slot's row. A slot is block * 16 + position in the block.
__device__ inline size_t cache_row(uint32_t slot, uint32_t kv_head, uint32_t kv_heads, uint32_t dim) {
  const size_t tile = static_cast<size_t>(slot / BLOCK_SIZE) * kv_heads + kv_head;
  return (tile * BLOCK_SIZE + slot % BLOCK_SIZE) * dim;
}

}  // namespace qwarp
