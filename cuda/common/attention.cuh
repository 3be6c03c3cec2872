// A tile of attention: 16 query rows against 64 positions, as both kernels compute it and so with the same bits.
//
// Rows of a span are (token, query head of the group) pairs, tokens first, so all of a token's heads that share a KV head
// read its keys and values together. Row r belongs to token r / group and sees `cached + r / group + 1` positions.
//
// Definition, for one row and one chunk of 256 positions, from a fresh state (m = -inf, l = 0, O = 0), tile by tile of 64:
//   score s = (q k^T as one chain of `mma` in ascending dim) * 1 / sqrt(dim), f32;
//   m' = max(m, highest s); a = exp(m - m'); p = exp(s - m') rounded to the matrix type, zero where the row does not see;
//   O = O * a + p V and l = l * a + p 1, each one chain of `mma` in ascending position: l is the product with a column of
//   ones, so it sums what V is weighted with, in the same order.
// Chunks merge by softmax.cuh, and the output is O * (1 / l).
//
// What a row does not see has weight zero. A product with a zero factor adds nothing and takes no part in the alignment of
// a tensor core's sum (see src/emu/exec/mma), so whatever finite values stand there, other rows' or zeros past the end, the
// bits are the same; a tile in which a row sees nothing multiplies its state by one and adds zero, which can only change the
// sign of a zero, and `merged` drops that. An infinite value gives NaN to all rows of its tile, whether they see it or not.
//
// In shared memory a row of `dim` elements is dim / 8 units of 16 bytes, each where `unit_at` (copy.cuh) says.
#pragma once

#include "mma.cuh"
#include "paged.cuh"
#include "reduce.cuh"
#include "softmax.cuh"

namespace qwarp::attention {

// Rows of a warp's tile.
constexpr uint32_t ROWS = 16;
// Positions of a tile, and of a chunk.
constexpr uint32_t TILE = 64;
constexpr uint32_t CHUNK = 256;
constexpr uint32_t WARPS = 4;
constexpr uint32_t THREADS = WARPS * WARP;
// Positions of one `mma` along k, and of the two along n that one `ldmatrix` feeds.
constexpr uint32_t STEP = 16;

// A sequence's tokens in this launch.
struct Span {
  // Its first token in q.
  uint32_t first;
  uint32_t tokens;
  // Positions before its first token.
  uint32_t cached;
  // Where its block table starts.
  uint32_t table;
};

__device__ inline Span span_at(const uint32_t* spans, uint32_t index) {
  const uint4 words = reinterpret_cast<const uint4*>(spans)[index];
  return {words.x, words.y, words.z, words.w};
}

// The rows of one span and one KV head.
struct RowsOf {
  Span span;
  uint32_t group, kv_head, q_heads;

  __device__ uint32_t count() const { return span.tokens * group; }
  __device__ uint32_t visible(uint32_t row) const { return span.cached + row / group + 1; }
  // Its number among the rows (T, q_heads) of q and out.
  __device__ size_t place(uint32_t row) const {
    return static_cast<size_t>(span.first + row / group) * q_heads + kv_head * group + row % group;
  }
};

__device__ inline uint32_t lane() { return threadIdx.x % WARP; }
__device__ inline uint32_t warp() { return threadIdx.x / WARP; }

// Byte offset of a unit in a tile of rows.
template <uint32_t DIM>
__device__ inline uint32_t byte_at(uint32_t row, uint32_t unit) {
  return unit_at<DIM / VEC8>(row, unit) * 16;
}

// Query rows first .. first + COUNT, the last row again where there are no more.
template <uint32_t DIM, uint32_t COUNT, typename T>
__device__ inline void load_queries(uint32_t to, const T* q, const RowsOf& rows, uint32_t first) {
  constexpr uint32_t UNITS = DIM / VEC8;
#pragma unroll
  for (uint32_t i = threadIdx.x; i < COUNT * UNITS; i += THREADS) {
    const uint32_t row = min(first + i / UNITS, rows.count() - 1);
    copy16_or_zero(to + byte_at<DIM>(i / UNITS, i % UNITS), q + rows.place(row) * DIM + i % UNITS * VEC8, true);
  }
}

// Keys or values of positions first .. first + 64 of one KV head; zeros from position `end` on. Block by block: a thread's
// place in a block is the same in each, so that a block costs one lookup and one product.
template <uint32_t DIM, typename T>
__device__ inline void load_tile(uint32_t to, const T* cache, const uint32_t* table, uint32_t kv_head, uint32_t kv_heads,
                                 uint32_t first, uint32_t end) {
  constexpr uint32_t UNITS = DIM / VEC8, PASS = THREADS / UNITS;
  static_assert(PASS % 8 == 0 && BLOCK_SIZE % PASS == 0, "a thread's swizzle is the same in every pass");
  const uint32_t row = threadIdx.x / UNITS, unit = threadIdx.x % UNITS;
  to += byte_at<DIM>(row, unit);
#pragma unroll
  for (uint32_t start = 0; start < TILE; start += BLOCK_SIZE) {
    const uint32_t position = first + start;
    const uint32_t block = position < end ? table[position / BLOCK_SIZE] : 0;
    const T* from = cache + cache_row(block * BLOCK_SIZE, kv_head, kv_heads, DIM) + row * DIM + unit * VEC8;
#pragma unroll
    for (uint32_t pass = 0; pass < BLOCK_SIZE; pass += PASS) {
      copy16_or_zero(to + (start + pass) * DIM * sizeof(T), from + pass * DIM, position + pass + row < end);
    }
  }
}

// Returns when tile `tile` of `tiles` stands in its stage, and starts a later one's copy. `load(i)` copies tile i to stage
// i % STAGES; the first STAGES - 1 tiles have been started and committed one by one.
template <uint32_t STAGES, typename Load>
__device__ inline void await_tile(uint32_t tile, uint32_t tiles, Load load) {
  if constexpr (STAGES == 1) {
    __syncthreads();
    load(tile);
    __syncthreads();
  } else {
    wait_copies<STAGES - 2>();
    __syncthreads();
    if (tile + STAGES - 1 < tiles) load(tile + STAGES - 1);
    commit_copies();
  }
}

// 1 / sqrt(DIM), rounded to f32.
template <uint32_t DIM>
__device__ inline float scale() {
  static_assert(DIM == 64 || DIM == 128);
  return DIM == 64 ? 0.125f : 0.088388346f;
}

// A thread's part of 16 rows by 8 columns: rows lane / 4 and 8 below, columns lane % 4 * 2 and the next.
using Fragment = float[4];

// Scores, not yet scaled, of the 16 rows from `row` of the tile `queries` for the 8 N positions from `first` of the tile
// `keys`. Queries are read again for each tile: kept in registers, they are 32 too many for dim 128.
template <typename T, uint32_t DIM, uint32_t N>
__device__ inline void multiply_keys(Fragment (&s)[N], uint32_t queries, uint32_t row, uint32_t keys, uint32_t first) {
#pragma unroll
  for (uint32_t n = 0; n < N; ++n) {
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) s[n][i] = 0.0f;
  }
#pragma unroll
  for (uint32_t k = 0; k < DIM / STEP; ++k) {
    const uint4 q = load_matrices(queries + byte_at<DIM>(row + lane() % 16, 2 * k + lane() / 16));
#pragma unroll
    for (uint32_t n = 0; n < N; n += 2) {
      const uint4 b = load_matrices(keys + byte_at<DIM>(first + 8 * n + lane() / 16 * 8 + lane() % 8, 2 * k + lane() / 8 % 2));
      mma<T>(s[n], q, b.x, b.y);
      mma<T>(s[n + 1], q, b.z, b.w);
    }
  }
}

// Scales scores of positions `first` on, puts `UNSEEN` where a row does not see, and gives the highest of each of the
// thread's two rows.
template <uint32_t DIM, uint32_t N>
__device__ inline void mask(Fragment (&s)[N], uint32_t first, const uint32_t (&visible)[2], float (&highest)[2]) {
#pragma unroll
  for (uint32_t half = 0; half < 2; ++half) {
    float max = -INFINITY;
#pragma unroll
    for (uint32_t n = 0; n < N; ++n) {
#pragma unroll
      for (uint32_t i = 0; i < 2; ++i) {
        const uint32_t position = first + 8 * n + lane() % 4 * 2 + i;
        float& x = s[n][2 * half + i];
        x = position < visible[half] ? x * scale<DIM>() : UNSEEN;
        max = fmaxf(max, x);
      }
    }
    max = fmaxf(max, __shfl_xor_sync(ALL_LANES, max, 1));
    highest[half] = fmaxf(max, __shfl_xor_sync(ALL_LANES, max, 2));
  }
}

// Weights of N = 2 K blocks of scores, packed as the left factor of the product with K times 16 values.
template <typename T, uint32_t N>
__device__ inline void weights_of(uint4 (&p)[N / 2], const Fragment (&s)[N], const float (&max)[2]) {
  const auto both = [&](uint32_t n, uint32_t half) {
    return pair<T>(weight(s[n][2 * half] - max[half]), weight(s[n][2 * half + 1] - max[half]));
  };
#pragma unroll
  for (uint32_t k = 0; k < N / 2; ++k) p[k] = {both(2 * k, 0), both(2 * k, 1), both(2 * k + 1, 0), both(2 * k + 1, 1)};
}

// Outputs of 8 N dims and, in `sums`, the sum of the weights in each column.
template <uint32_t N>
struct Partial {
  Fragment out[N];
  Fragment sums;
  float max[2];

  __device__ void reset() {
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) sums[i] = 0.0f;
#pragma unroll
    for (uint32_t n = 0; n < N; ++n) {
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) out[n][i] = 0.0f;
    }
    max[0] = max[1] = -INFINITY;
  }

  // Goes over to the highest scores with a new tile's.
  __device__ void raise(const float (&highest)[2]) {
    float by[2];
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      const float old_max = max[half];
      max[half] = fmaxf(old_max, highest[half]);
      by[half] = exp_exact(old_max - max[half]);
    }
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) sums[i] *= by[i / 2];
#pragma unroll
    for (uint32_t n = 0; n < N; ++n) {
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) out[n][i] *= by[i / 2];
    }
  }

  // Adds a tile's values by weight, dims from unit `first` on.
  template <typename T, uint32_t DIM>
  __device__ void add(const uint4 (&p)[TILE / STEP], uint32_t values, uint32_t first) {
    const uint32_t one = pair<T>(1.0f, 1.0f);
#pragma unroll
    for (uint32_t k = 0; k < TILE / STEP; ++k) {
      mma<T>(sums, p[k], one, one);
#pragma unroll
      for (uint32_t n = 0; n < N; n += 2) {
        const uint4 b = load_transposed(values + byte_at<DIM>(STEP * k + lane() % 16, first + n + lane() / 16));
        mma<T>(out[n], p[k], b.x, b.y);
        mma<T>(out[n + 1], p[k], b.z, b.w);
      }
    }
  }

  __device__ Softmax softmax(uint32_t half) const { return {max[half], sums[2 * half]}; }
};

}  // namespace qwarp::attention
