// Fragments of the tensor core's products: 16 weight rows by 8 tokens, 16 elements of k at a time, sums in f32.
//
// Packed weights, one layout for every kernel: [ceil(N / 16)][ceil(K / 16)][32 lanes][8 elements]. With g = lane / 4 and
// t = lane % 4 a lane's 16 bytes are, two elements each: (row g, k 2t), (row g + 8, k 2t), (row g, k 2t + 8), (row g + 8,
// k 2t + 8). What lies past N or K is zero. The first 8 bytes are the fragment of the first half of k, as `m16n8k8` takes it.
//
// One order of additions for every kernel, whatever the number of tokens: k in chunks of 512, each from zero, its tiles in
// ascending order; the chunks' sums added in ascending order in f32, from zero.
#pragma once

#include <cstdint>

#include "copy.cuh"

namespace qwarp {

// Rows of a weight tile, and elements of k in one.
constexpr uint32_t TILE = 16;
// Tokens of a product.
constexpr uint32_t TOKENS = 8;
// Elements of a weight tile.
constexpr uint32_t TILE_ELEMENTS = TILE * TILE;
// Weight tiles of a chunk: 512 elements of k.
constexpr uint32_t CHUNK_TILES = 32;

// sum += a * b; b0 is the first half of k, b1 the second. A lane's sums: (row g, token 2t), (g, 2t + 1), (g + 8, 2t),
// (g + 8, 2t + 1).
template <typename T>
__device__ void mma(float (&sum)[4], uint4 a, uint32_t b0, uint32_t b1);

template <>
__device__ inline void mma<__half>(float (&sum)[4], uint4 a, uint32_t b0, uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
               : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
               : "r"(a.x), "r"(a.y), "r"(b0));
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
               : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
               : "r"(a.z), "r"(a.w), "r"(b1));
#endif
}

#if __CUDA_ARCH__ >= 800
template <>
__device__ inline void mma<__nv_bfloat16>(float (&sum)[4], uint4 a, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}
#endif

// Four 8 x 8 matrices; lane i gives the address of row i % 8 of matrix i / 8, and gets elements 2t, 2t + 1 of row g of each.
// With tokens as rows, that is the fragment of two tiles of k.
__device__ inline uint4 load_matrices(const void* row) {
  uint4 m;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(m.x), "=r"(m.y), "=r"(m.z), "=r"(m.w)
               : "r"(shared_address(row))
               : "memory");
  return m;
}

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
