// The matrix product of few tokens, bound by the weights' bytes: each is read once, from memory straight into registers.
//
// A CTA has one row tile and up to 8 NT tokens. Warp w takes chunks w, w + warps, ... of k: it streams their fragments with
// 16-byte loads, DEPTH of them always under way; `X` has the tokens' elements in shared memory. After each round the warps'
// sums meet in shared memory and are added in ascending order.
#pragma once

#include "linear_out.cuh"
#include "mma.cuh"
#include "reduce.cuh"

namespace qwarp {

// Which chunks of k a warp takes.
struct Chunks {
  const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;

  // The first tile of this warp's chunk of a round.
  __device__ uint32_t first(uint32_t round) const { return (round * warps + warp) * CHUNK_TILES; }
};

// The tokens' elements as they pass through a ring of each warp: SLOTS pieces of PIECE elements a token.
template <typename T, uint32_t NT>
struct Ring {
  // Elements of k of a piece, and tiles.
  static constexpr uint32_t PIECE = 128 / NT;
  static constexpr uint32_t PIECE_TILES = PIECE / TILE;
  static constexpr uint32_t PIECES = CHUNK_TILES / PIECE_TILES;
  static constexpr uint32_t SLOTS = 4;
  static constexpr uint32_t SLOT = NT * TOKENS * PIECE;
  // Vectors of a row of a piece, rows that a warp copies at once, and how often it does.
  static constexpr uint32_t VECTORS = PIECE / VEC8;
  static constexpr uint32_t ROWS = WARP / VECTORS;
  static constexpr uint32_t COPIES = NT * TOKENS / ROWS;
  // Bytes of shared memory of a warp.
  static constexpr uint32_t BYTES = SLOTS * SLOT * sizeof(T);

  const Product<T>& p;
  const Chunks chunks;
  const uint32_t token = blockIdx.x * (NT * TOKENS), rows = min(p.tokens - token, NT * TOKENS);
  T* slots;

  __device__ Ring(const Product<T>& product, unsigned char* shared)
      : p(product), slots(reinterpret_cast<T*>(shared + threadIdx.x / WARP * BYTES)) {}

  // Starts copying piece q of this warp's chunks.
  __device__ void stage(uint32_t q) {
    const uint32_t k = (chunks.first(q / PIECES) + q % PIECES * PIECE_TILES) * TILE;
    if (k < p.k) {
      T* slot = slots + q % SLOTS * SLOT;
      const uint32_t vector = chunks.lane % VECTORS;
#pragma unroll
      for (uint32_t i = 0; i < COPIES; ++i) {
        const uint32_t row = chunks.lane / VECTORS + i * ROWS;
        if (row >= rows) break;
        const T* from = p.x + static_cast<size_t>(token + row) * p.k;
        copy8(slot + unit_at<VECTORS>(row, vector) * VEC8, from, k + vector * VEC8, p.k);
      }
    }
    commit_copies();
  }

  __device__ void start() {
    for (uint32_t q = 0; q < SLOTS - 1; ++q) stage(q);
  }

  // Before tile u of a round's chunk: its piece has come, and the one after the next is asked for.
  __device__ void reach(uint32_t round, uint32_t u) {
    if (u % PIECE_TILES != 0) return;
    wait_copies<SLOTS - 2>();
    __syncwarp();
    stage(round * PIECES + u / PIECE_TILES + SLOTS - 1);
  }

  // Where a row has tile u of a round's chunk and the next: one of their four vectors.
  __device__ const T* at(uint32_t round, uint32_t u, uint32_t row, uint32_t vector) const {
    const uint32_t q = round * PIECES + u / PIECE_TILES;
    return slots + q % SLOTS * SLOT + unit_at<VECTORS>(row, u % PIECE_TILES * (TILE / VEC8) + vector) * VEC8;
  }
};

template <typename T, uint32_t NT, typename X>
struct Stream {
  // Tiles of k whose loads are under way.
  static constexpr uint32_t DEPTH = NT == 4 ? 8 : 16;

  const Product<T>& p;
  X& x;
  const Chunks chunks;
  const uint32_t token = blockIdx.x * (NT * TOKENS), tile = blockIdx.y;
  const uint32_t tiles = (p.k + TILE - 1) / TILE;
  const uint32_t rows = min(p.tokens - token, NT * TOKENS);
  const T* weights = p.weights + static_cast<size_t>(tile) * tiles * TILE_ELEMENTS + chunks.lane * VEC8;
  uint4 a[DEPTH];
  float sum[NT][4];

  __device__ Stream(const Product<T>& product, X& elements) : p(product), x(elements) {}

  __device__ uint4 fragment(uint32_t at) const { return load_once(weights + static_cast<size_t>(at) * TILE_ELEMENTS); }

  // Before the first: what needs no other kernel's results comes first.
  __device__ void start() {
#pragma unroll
    for (uint32_t u = 0; u < DEPTH; ++u) {
      if (chunks.first(0) + u < tiles) a[u] = fragment(chunks.first(0) + u);
    }
    follow();
    x.start();
  }

  // The sums of this warp's chunk of a round.
  __device__ void run(uint32_t round) {
#pragma unroll
    for (uint32_t j = 0; j < NT; ++j) sum[j][0] = sum[j][1] = sum[j][2] = sum[j][3] = 0.0f;
    uint4 b[NT];
    for (uint32_t from = 0; from < CHUNK_TILES; from += DEPTH) {
      const uint32_t first = chunks.first(round) + from;
      // Where the loads that are started here continue: in this chunk, or in the warp's next.
      const uint32_t next = from + DEPTH < CHUNK_TILES ? first + DEPTH : chunks.first(round + 1);
      if (first >= tiles) return;
#pragma unroll
      for (uint32_t u = 0; u < DEPTH; ++u) {
        if (first + u < tiles) {
          x.reach(round, from + u);
          if (u % 2 == 0) {
#pragma unroll
            for (uint32_t j = 0; j < NT; ++j) {
              // Tokens that are not there repeat the last: their sums go nowhere.
              const uint32_t row = min(j * TOKENS + chunks.lane % TOKENS, rows - 1);
              b[j] = load_matrices(shared_address(x.at(round, from + u, row, chunks.lane / TOKENS)));
            }
          }
#pragma unroll
          for (uint32_t j = 0; j < NT; ++j) mma<T>(sum[j], a[u], u % 2 ? b[j].z : b[j].x, u % 2 ? b[j].w : b[j].y);
          if (next + u < tiles) a[u] = fragment(next + u);
        }
      }
    }
  }
};

// `sums` has a place for each warp: [warp][token tile][sum of a lane][lane].
template <uint32_t NT, typename T, typename X, typename Out>
__device__ void stream(const Product<T>& p, X& x, float* sums, const Out& out) {
  Stream<T, NT, X> s(p, x);
  const uint32_t lane = s.chunks.lane, warp = s.chunks.warp, warps = s.chunks.warps;
  const uint32_t chunks = (s.tiles + CHUNK_TILES - 1) / CHUNK_TILES;
  // Item i of 2 NT is tokens 2t + i % 2 of token tile i / 2; warps take turns.
  float total[2 * NT][2] = {};
  s.start();
  for (uint32_t round = 0; round * warps < chunks; ++round) {
    s.run(round);
#pragma unroll
    for (uint32_t i = 0; i < 4 * NT; ++i) sums[(warp * 4 * NT + i) * WARP + lane] = s.sum[i / 4][i % 4];
    __syncthreads();
#pragma unroll
    for (uint32_t i = 0; i < 2 * NT; ++i) {
      if (i % warps == warp) {
        // In the last round some may have had no chunk: theirs are zeros.
        for (uint32_t w = 0; w < warps; ++w) {
          const float* from = sums + (w * 4 * NT + i / 2 * 4 + i % 2) * WARP + lane;
          total[i][0] += from[0];
          total[i][1] += from[2 * WARP];
        }
      }
    }
    if ((round + 1) * warps < chunks) __syncthreads();
  }
#pragma unroll
  for (uint32_t i = 0; i < 2 * NT; ++i) {
    const uint32_t token = i / 2 * TOKENS + lane % 4 * 2 + i % 2;
    if (i % warps == warp && token < s.rows) out(s.tile, lane / 4, s.token + token, total[i][0], total[i][1]);
  }
}

template <typename T, uint32_t NT, typename Out>
__device__ void linear_stream(const Product<T>& p, const Out& out) {
  extern __shared__ uint4 shared[];
  unsigned char* bytes = reinterpret_cast<unsigned char*>(shared);
  Ring<T, NT> x(p, bytes);
  stream<NT>(p, x, reinterpret_cast<float*>(bytes + blockDim.x / WARP * Ring<T, NT>::BYTES), out);
}

}  // namespace qwarp
