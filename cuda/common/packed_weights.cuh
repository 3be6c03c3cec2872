// Weights as the products read them: tiles of 16 rows by 16 elements of k, each lane's fragment one piece of 16 bytes.
//
// Packed weights, one layout for every kernel: [ceil(N / 16)][ceil(K / 16)][32 lanes][8 elements]. With g = lane / 4 and
// t = lane % 4 a lane's 16 bytes are, two elements each: (row g, k 2t), (row g + 8, k 2t), (row g, k 2t + 8), (row g + 8,
// k 2t + 8). What lies past N or K is zero. The first 8 bytes are the fragment of the first half of k, as `m16n8k8` takes it.
//
// One order of additions for every kernel, whatever the number of tokens: k in chunks of 512, each from zero, its tiles in
// ascending order; the chunks' sums added in ascending order in f32, from zero.
#pragma once

#include <cstdint>

namespace qwarp {

// Rows of a weight tile, and elements of k in one.
constexpr uint32_t TILE = 16;
// Tokens of a product.
constexpr uint32_t TOKENS = 8;
// Elements of a weight tile.
constexpr uint32_t TILE_ELEMENTS = TILE * TILE;
// Weight tiles of a chunk: 512 elements of k.
constexpr uint32_t CHUNK_TILES = 32;

// A lane's part of a weight tile that no other CTA reads: past the first-level cache, where the target has the hint.
__device__ inline uint4 load_once(const void* at) {
  uint4 v;
#if __CUDA_ARCH__ >= 800
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(at));
#else
  asm volatile("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(at));
#endif
  return v;
}

}  // namespace qwarp
