// The matrix product of many tokens, bound by the tensor cores.
//
// A CTA of ROW_WARPS x TOKEN_WARPS warps has 32 ROW_WARPS weight rows by 8 NT TOKEN_WARPS tokens, a warp 32 by 8 NT of them:
// its chunk's sums and its totals stay in registers. Weights (in fragment order) and tokens (as `unit_at` has them) pass
// without bank conflicts through shared memory, in steps of 32 elements of k with one barrier each. From sm_80 on, copies of
// the next STEPS - 1 steps are under way; on sm_75 the next step waits in registers.
#pragma once

#include "linear_out.cuh"
#include "mma.cuh"
#include "reduce.cuh"

namespace qwarp {

template <typename T, uint32_t ROW_WARPS, uint32_t TOKEN_WARPS, uint32_t NT>
struct Tiled {
  static constexpr uint32_t THREADS = ROW_WARPS * TOKEN_WARPS * WARP;
  // Row tiles of a warp and of the CTA.
  static constexpr uint32_t MT = 2;
  static constexpr uint32_t ROW_TILES = ROW_WARPS * MT;
  static constexpr uint32_t COLUMNS = TOKEN_WARPS * NT * TOKENS;
  // Tiles of k of a step.
  static constexpr uint32_t DEEP = 2;
  static constexpr uint32_t STEP = DEEP * TILE;
  static constexpr uint32_t CHUNK_STEPS = CHUNK_TILES / DEEP;
  static constexpr uint32_t STEPS = BACKGROUND_COPY ? 4 : 2;
  // Vectors of 16 bytes: of the weights of a step, of a token's elements of a step, of all tokens'.
  static constexpr uint32_t WEIGHTS = ROW_TILES * DEEP * WARP;
  static constexpr uint32_t VECTORS = STEP / VEC8;
  static constexpr uint32_t XS = COLUMNS * VECTORS;
  static constexpr uint32_t SLOT = (WEIGHTS + XS) * VEC8;
  // Vectors that a thread copies.
  static constexpr uint32_t MY_WEIGHTS = WEIGHTS / THREADS, MY_XS = XS / THREADS;
  static_assert(WEIGHTS % THREADS == 0 && XS % THREADS == 0, "every thread copies as much");

  const Product<T>& p;
  T* slots;
  const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  const uint32_t tiles = (p.k + TILE - 1) / TILE;
  const uint32_t row_tiles = (p.rows + TILE - 1) / TILE;
  // Where the CTA starts, and this warp in it.
  const uint32_t first_tile = blockIdx.y * ROW_TILES, first_token = blockIdx.x * COLUMNS;
  const uint32_t my_tile = warp / TOKEN_WARPS * MT, my_token = warp % TOKEN_WARPS * NT * TOKENS;
  // On sm_75: the next step, on its way from memory.
  uint4 kept[BACKGROUND_COPY ? 1 : MY_WEIGHTS + MY_XS];
  float sum[MT][NT][4], total[MT][NT][4];

  __device__ Tiled(const Product<T>& product, void* shared) : p(product), slots(static_cast<T*>(shared)) {}

  // Asks for a step's weights and elements. Rows and tokens that are not there repeat the last: their sums go nowhere.
  __device__ void fetch(uint32_t step) {
    T* slot = slots + step % STEPS * SLOT;
#pragma unroll
    for (uint32_t i = 0; i < MY_WEIGHTS; ++i) {
      const uint32_t v = threadIdx.x + i * THREADS;
      const uint32_t at = step * DEEP + v / WARP % DEEP;
      const size_t tile = min(first_tile + v / (WARP * DEEP), row_tiles - 1);
      const T* from = p.weights + (tile * tiles + at) * TILE_ELEMENTS + v % WARP * VEC8;
      if (BACKGROUND_COPY && at < tiles) copy16(slot + v * VEC8, from);
      if (!BACKGROUND_COPY) kept[i] = at < tiles ? __ldg(reinterpret_cast<const uint4*>(from)) : uint4{};
    }
#pragma unroll
    for (uint32_t i = 0; i < MY_XS; ++i) {
      const uint32_t v = threadIdx.x + i * THREADS;
      const uint32_t k = step * STEP + v % VECTORS * VEC8;
      const T* row = p.x + static_cast<size_t>(min(first_token + v / VECTORS, p.tokens - 1)) * p.k;
      if (BACKGROUND_COPY) copy8(x_at(slot, v), row, k, p.k);
      if (!BACKGROUND_COPY) kept[MY_WEIGHTS + i] = load8(row, k, p.k);
    }
  }

  __device__ T* x_at(T* slot, uint32_t v) const {
    return slot + (WEIGHTS + unit_at<VECTORS>(v / VECTORS, v % VECTORS)) * VEC8;
  }

  // On sm_75: puts what `fetch` asked for into its slot.
  __device__ void keep(uint32_t step) {
    if (BACKGROUND_COPY) return;
    T* slot = slots + step % STEPS * SLOT;
#pragma unroll
    for (uint32_t i = 0; i < MY_WEIGHTS; ++i) {
      *reinterpret_cast<uint4*>(slot + (threadIdx.x + i * THREADS) * VEC8) = kept[i];
    }
#pragma unroll
    for (uint32_t i = 0; i < MY_XS; ++i) {
      *reinterpret_cast<uint4*>(x_at(slot, threadIdx.x + i * THREADS)) = kept[MY_WEIGHTS + i];
    }
  }

  // Adds the products of the first HERE tiles of a step.
  template <uint32_t HERE>
  __device__ void multiply(uint32_t step) {
    const T* slot = slots + step % STEPS * SLOT;
    uint4 a[MT][HERE];
#pragma unroll
    for (uint32_t i = 0; i < MT * HERE; ++i) {
      const uint32_t v = ((my_tile + i / HERE) * DEEP + i % HERE) * WARP + lane;
      a[i / HERE][i % HERE] = *reinterpret_cast<const uint4*>(slot + v * VEC8);
    }
    const T* x = slot + (WEIGHTS + unit_at<VECTORS>(my_token + lane % TOKENS, lane / TOKENS)) * VEC8;
#pragma unroll
    for (uint32_t j = 0; j < NT; ++j) {
      const uint4 b = load_matrices(shared_address(x + j * TOKENS * STEP));
#pragma unroll
      for (uint32_t i = 0; i < MT; ++i) {
        mma<T>(sum[i][j], a[i][0], b.x, b.y);
        if (HERE == DEEP) mma<T>(sum[i][j], a[i][HERE - 1], b.z, b.w);
      }
    }
  }

  // A chunk is done: its sums go to the totals.
  __device__ void add() {
#pragma unroll
    for (uint32_t i = 0; i < MT * NT * 4; ++i) {
      float& from = sum[i / (NT * 4)][i / 4 % NT][i % 4];
      total[i / (NT * 4)][i / 4 % NT][i % 4] += from;
      from = 0.0f;
    }
  }

  __device__ void run() {
    follow();
#pragma unroll
    for (uint32_t i = 0; i < MT * NT * 4; ++i) {
      sum[i / (NT * 4)][i / 4 % NT][i % 4] = total[i / (NT * 4)][i / 4 % NT][i % 4] = 0.0f;
    }
    const uint32_t steps = (tiles + DEEP - 1) / DEEP;
    for (uint32_t s = 0; s < STEPS - 1; ++s) {
      if (s < steps) {
        fetch(s);
        keep(s);
      }
      commit_copies();
    }
    for (uint32_t s = 0; s < steps; ++s) {
      wait_copies<STEPS - 2>();
      // The step has come for every thread, and every thread is done with the slot that is filled next.
      __syncthreads();
      const uint32_t next = s + STEPS - 1;
      if (next < steps) fetch(next);
      commit_copies();
      if (tiles - s * DEEP >= DEEP) {
        multiply<DEEP>(s);
      } else {
        multiply<1>(s);
      }
      if (next < steps) keep(next);
      if ((s + 1) % CHUNK_STEPS == 0 || s + 1 == steps) add();
    }
  }
};

template <typename T, uint32_t ROW_WARPS, uint32_t TOKEN_WARPS, uint32_t NT, typename Out>
__device__ void linear_tile(const Product<T>& p, const Out& out) {
  extern __shared__ uint4 shared[];
  using S = Tiled<T, ROW_WARPS, TOKEN_WARPS, NT>;
  S s(p, shared);
  s.run();
#pragma unroll
  for (uint32_t i = 0; i < S::MT; ++i) {
    const uint32_t tile = s.first_tile + s.my_tile + i;
    if (tile >= s.row_tiles) break;
#pragma unroll
    for (uint32_t j = 0; j < NT * 2; ++j) {
      const uint32_t token = s.first_token + s.my_token + j / 2 * TOKENS + s.lane % 4 * 2 + j % 2;
      if (token < p.tokens) out(tile, s.lane / 4, token, s.total[i][j / 2][j % 2], s.total[i][j / 2][j % 2 + 2]);
    }
  }
}

}  // namespace qwarp
