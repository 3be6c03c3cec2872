// Causal attention over the paged cache for few tokens of a sequence: decode. Chunks of 256 positions by themselves; the CTA
// that is done last with a tile of rows merges their chunks in ascending order. The definition, and with it every bit, is that
// of common/attention.cuh; flash_attention.cu gives the same.
//
// Shapes: as in flash_attention.cu; partial (T, q_heads, chunks, dim + 2), chunks enough for the longest sequence. What a row
// does not see is neither written there nor read. arrived (spans, kv_heads * tiles): how many CTAs are done with a tile, zero
// before the first launch and zero again after each.
// Grid: (chunks, kv_heads * tiles of 16 rows of the longest span, spans); CTA of 128 threads for 16 rows (token, query head of
// the group) and one chunk, so that all query heads of a KV head read its keys and values once. CTAs past a span's rows or
// positions end at once. In a merge, a warp has a row.
// In a CTA, a warp scores 16 positions of each of the four tiles; the highest scores and the weights go round by shared
// memory, the weights as left factors of the next product; then a warp has a quarter of the dims for all positions. The
// tiles' scores do not wait for each other, and a chunk has one exchange of each.
// Shared memory: 16 queries, then tiles of 64 keys or values: all eight of a chunk on sm_90 and for dim 64 (132 KiB for dim
// 128, 66 for 64), four for dim 128 on sm_80 (68 KiB), one on sm_75; and 9 KiB for the exchanges. Swizzled: no bank conflicts.
// Accumulators: f32 in registers, dim / 32 + 1 tiles of 16 x 8 a warp. 95 to 122 registers a thread, nothing is spilled.
// Bound: memory. 512 dim bytes of keys and as many of values a chunk and KV head, for up to 16 rows; a row's partial results
// are dim * 4 + 8 bytes, written and read once, which is 4.8 % of that for six heads of 128 and stays in the second-level
// cache. Not yet measured on a card.
// Tried: a launch of its own for the merge, one more a layer. Tile after tile, with both exchanges in each: twelve barriers a
// chunk that wait for arithmetic, and four chains of exponentials one after the other.

#include "common/attention.cuh"

namespace {

using namespace qwarp::attention;
using qwarp::VEC8;

// Positions of a tile that a warp scores.
constexpr uint32_t WARP_POSITIONS = TILE / WARPS;
static_assert(WARP_POSITIONS == STEP, "a warp's weights are one left factor");

constexpr uint32_t TILES = CHUNK / TILE;

// Tiles of keys or values in shared memory at once: the whole chunk where there is room.
template <uint32_t DIM>
__host__ __device__ constexpr uint32_t stages_for() {
#if __CUDA_ARCH__ >= 900
  return 2 * TILES;
#elif __CUDA_ARCH__ >= 800
  return DIM == 64 ? 2 * TILES : TILES;
#else
  return 1;
#endif
}

template <typename T>
struct Arguments {
  const T *q, *keys, *values;
  const uint32_t *block_tables, *spans;
  float* partial;
  uint32_t* arrived;
  T* out;
  uint32_t q_heads, kv_heads, chunks;
};

// The highest scores of the rows in each tile, from those in each warp's positions.
__device__ void share_highest(float (&highest)[TILES][2]) {
  __shared__ float shared[TILES][WARPS][ROWS];
  const uint32_t row = lane() / 4;
#pragma unroll
  for (uint32_t tile = 0; tile < TILES; ++tile) {
    if (lane() % 4 != 0) continue;
    shared[tile][warp()][row] = highest[tile][0];
    shared[tile][warp()][row + 8] = highest[tile][1];
  }
  __syncthreads();
#pragma unroll
  for (uint32_t tile = 0; tile < TILES; ++tile) {
#pragma unroll
    for (uint32_t w = 0; w < WARPS; ++w) {
      highest[tile][0] = fmaxf(highest[tile][0], shared[tile][w][row]);
      highest[tile][1] = fmaxf(highest[tile][1], shared[tile][w][row + 8]);
    }
  }
}

using Weights = uint4[TILES][WARPS][qwarp::WARP];

// Each warp's part of the tiles' weights, which a barrier must follow.
template <typename T>
__device__ void share_weights(Weights& shared, const Fragment (&s)[TILES][WARP_POSITIONS / 8], const float (&highest)[TILES][2],
                              uint32_t tiles) {
  float max[2] = {-INFINITY, -INFINITY};
#pragma unroll
  for (uint32_t tile = 0; tile < TILES; ++tile) {
    if (tile >= tiles) continue;
    max[0] = fmaxf(max[0], highest[tile][0]);
    max[1] = fmaxf(max[1], highest[tile][1]);
    uint4 p[1];
    weights_of<T>(p, s[tile], max);
    shared[tile][warp()][lane()] = p[0];
  }
}

// The warp's dims of one row's partial result; the first warp's state with them.
template <uint32_t N>
__device__ void store_partial(float* to, const Partial<N>& chunk, uint32_t half) {
#pragma unroll
  for (uint32_t n = 0; n < N; ++n) {
    const uint32_t dim = (warp() * N + n) * VEC8 + lane() % 4 * 2;
    *reinterpret_cast<float2*>(to + dim) = {chunk.out[n][2 * half], chunk.out[n][2 * half + 1]};
  }
  if (warp() == 0 && lane() % 4 == 0) {
    const qwarp::Softmax softmax = chunk.softmax(half);
    *reinterpret_cast<float2*>(to + WARPS * N * VEC8) = {softmax.max, softmax.sum};
  }
}

// Whether all of the `count` CTAs with this counter are done, this one included: then what they wrote can be read. The counter
// wraps to zero, for the next launch.
__device__ bool last_of(uint32_t count, uint32_t* arrived) {
  __shared__ bool last;
  __syncthreads();
  if (count == 1) return true;
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicInc(arrived, count - 1) == count - 1;
    __threadfence();
  }
  __syncthreads();
  return last;
}

// Merges the chunks of rows first .. last, both included.
template <typename T, uint32_t DIM>
__device__ void merge_chunks(const Arguments<T>& a, const RowsOf& rows, uint32_t first, uint32_t last) {
  // Pairs of dims that a lane has.
  constexpr uint32_t PAIRS = DIM / 2 / qwarp::WARP;
  for (uint32_t row = first + warp(); row <= last; row += WARPS) {
    const uint32_t seen = (rows.visible(row) + CHUNK - 1) / CHUNK;
    const float* part = a.partial + rows.place(row) * a.chunks * (DIM + 2);
    qwarp::Softmax state = qwarp::no_scores();
    float2 x[PAIRS] = {};
    for (uint32_t chunk = 0; chunk < seen; ++chunk, part += DIM + 2) {
      const float2 softmax = *reinterpret_cast<const float2*>(part + DIM);
      const qwarp::Scales by = merge(state, {softmax.x, softmax.y});
#pragma unroll
      for (uint32_t i = 0; i < PAIRS; ++i) {
        const float2 y = reinterpret_cast<const float2*>(part)[i * qwarp::WARP + lane()];
        x[i] = {qwarp::merged(by, x[i].x, y.x), qwarp::merged(by, x[i].y, y.y)};
      }
    }
    const float scale = 1.0f / state.sum;
    uint32_t* out = reinterpret_cast<uint32_t*>(a.out + rows.place(row) * DIM);
#pragma unroll
    for (uint32_t i = 0; i < PAIRS; ++i) {
      out[i * qwarp::WARP + lane()] = qwarp::pair<T>(x[i].x * scale, x[i].y * scale);
    }
  }
}

template <typename T, uint32_t DIM>
__device__ void chunk_attention(const Arguments<T>& a) {
  qwarp::follow();
  constexpr uint32_t TILE_BYTES = TILE * DIM * sizeof(T), STAGES = stages_for<DIM>();
  // Blocks of eight dims that a warp weighs.
  constexpr uint32_t BLOCKS = DIM / VEC8 / WARPS;
  // Queries, then a tile of keys or of values a stage.
  extern __shared__ uint4 shared[];
  const RowsOf rows = {span_at(a.spans, blockIdx.z), a.q_heads / a.kv_heads, blockIdx.y % a.kv_heads, a.q_heads};
  const uint32_t first = blockIdx.y / a.kv_heads * ROWS;
  if (first >= rows.count()) return;
  const uint32_t last = min(first + ROWS, rows.count()) - 1;
  const uint32_t begin = blockIdx.x * CHUNK, end = min(begin + CHUNK, rows.visible(last));
  if (begin >= end) return;
  const uint32_t tiles = (end - begin + TILE - 1) / TILE;
  const uint32_t queries = qwarp::shared_address(shared), stages = queries + ROWS * DIM * sizeof(T);
  // The tiles of keys, then those of values.
  const auto load = [&](uint32_t item) {
    const uint32_t to = stages + item % STAGES * TILE_BYTES;
    const T* cache = item < tiles ? a.keys : a.values;
    const uint32_t position = begin + (item < tiles ? item : item - tiles) * TILE;
    load_tile<DIM>(to, cache, a.block_tables + rows.span.table, rows.kv_head, a.kv_heads, position, end);
  };
  load_queries<DIM, ROWS>(queries, a.q, rows, first);
#pragma unroll
  for (uint32_t item = 0; item + 1 < STAGES; ++item) {
    if (item < 2 * tiles) load(item);
    qwarp::commit_copies();
  }

  const uint32_t row = first + lane() / 4;
  const uint32_t visible[2] = {rows.visible(min(row, last)), rows.visible(min(row + 8, last))};
  const uint32_t own = warp() * WARP_POSITIONS;
  Fragment s[TILES][WARP_POSITIONS / 8];
  float highest[TILES][2];
#pragma unroll
  for (uint32_t tile = 0; tile < TILES; ++tile) {
    highest[tile][0] = highest[tile][1] = -INFINITY;
    if (tile >= tiles) continue;
    await_tile<STAGES>(tile, 2 * tiles, load);
    multiply_keys<T, DIM>(s[tile], queries, 0, stages + tile % STAGES * TILE_BYTES, own);
    mask<DIM>(s[tile], begin + tile * TILE + own, visible, highest[tile]);
  }
  share_highest(highest);

  __shared__ Weights weights;
  share_weights<T>(weights, s, highest, tiles);
  Partial<BLOCKS> chunk;
  chunk.reset();
#pragma unroll
  for (uint32_t tile = 0; tile < TILES; ++tile) {
    if (tile >= tiles) continue;
    // Its barrier is the one that the weights need too.
    await_tile<STAGES>(tiles + tile, 2 * tiles, load);
    uint4 p[WARPS];
#pragma unroll
    for (uint32_t w = 0; w < WARPS; ++w) p[w] = weights[tile][w][lane()];
    chunk.raise(highest[tile]);
    chunk.template add<T, DIM>(p, stages + (tiles + tile) % STAGES * TILE_BYTES, warp() * BLOCKS);
  }

#pragma unroll
  for (uint32_t half = 0; half < 2; ++half) {
    const uint32_t at = row + 8 * half;
    if (at > last || visible[half] <= begin) continue;
    store_partial(a.partial + (rows.place(at) * a.chunks + blockIdx.x) * (DIM + 2), chunk, half);
  }
  const uint32_t count = (rows.visible(last) + CHUNK - 1) / CHUNK;
  if (last_of(count, a.arrived + blockIdx.z * gridDim.y + blockIdx.y)) merge_chunks<T, DIM>(a, rows, first, last);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128, 4) paged_attention_f16_d64(
    const __half* BY_SEQUENCE q,               // (T, q_heads, 64)
    const __half* BY_SEQUENCE keys,            // (blocks, kv_heads, 16, 64)
    const __half* BY_SEQUENCE values,          // (blocks, kv_heads, 16, 64)
    const uint32_t* __restrict__ block_tables, // of all sequences, one after the other
    const uint32_t* __restrict__ spans,        // (sequences, 4): first token, tokens, cached, start of its block table
    float* __restrict__ partial,               // inout (T, q_heads, chunks, 64 + 2): outputs, highest score, sum
    uint32_t* __restrict__ arrived,            // inout (spans, kv_heads * tiles)
    __half* __restrict__ out,                  // (T, q_heads, 64)
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t chunks) {
  chunk_attention<__half, 64>({q, keys, values, block_tables, spans, partial, arrived, out, q_heads, kv_heads, chunks});
}

extern "C" __global__ void __launch_bounds__(128, 4) paged_attention_f16_d128(
    const __half* BY_SEQUENCE q,               // (T, q_heads, 128)
    const __half* BY_SEQUENCE keys,            // (blocks, kv_heads, 16, 128)
    const __half* BY_SEQUENCE values,          // (blocks, kv_heads, 16, 128)
    const uint32_t* __restrict__ block_tables, // of all sequences, one after the other
    const uint32_t* __restrict__ spans,        // (sequences, 4): first token, tokens, cached, start of its block table
    float* __restrict__ partial,               // inout (T, q_heads, chunks, 128 + 2): outputs, highest score, sum
    uint32_t* __restrict__ arrived,            // inout (spans, kv_heads * tiles)
    __half* __restrict__ out,                  // (T, q_heads, 128)
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t chunks) {
  chunk_attention<__half, 128>({q, keys, values, block_tables, spans, partial, arrived, out, q_heads, kv_heads, chunks});
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(128, 4) paged_attention_bf16_d64(
    const __nv_bfloat16* BY_SEQUENCE q,        // (T, q_heads, 64)
    const __nv_bfloat16* BY_SEQUENCE keys,     // (blocks, kv_heads, 16, 64)
    const __nv_bfloat16* BY_SEQUENCE values,   // (blocks, kv_heads, 16, 64)
    const uint32_t* __restrict__ block_tables, // of all sequences, one after the other
    const uint32_t* __restrict__ spans,        // (sequences, 4): first token, tokens, cached, start of its block table
    float* __restrict__ partial,               // inout (T, q_heads, chunks, 64 + 2): outputs, highest score, sum
    uint32_t* __restrict__ arrived,            // inout (spans, kv_heads * tiles)
    __nv_bfloat16* __restrict__ out,           // (T, q_heads, 64)
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t chunks) {
  chunk_attention<__nv_bfloat16, 64>({q, keys, values, block_tables, spans, partial, arrived, out, q_heads, kv_heads, chunks});
}

extern "C" __global__ void __launch_bounds__(128, 4) paged_attention_bf16_d128(
    const __nv_bfloat16* BY_SEQUENCE q,        // (T, q_heads, 128)
    const __nv_bfloat16* BY_SEQUENCE keys,     // (blocks, kv_heads, 16, 128)
    const __nv_bfloat16* BY_SEQUENCE values,   // (blocks, kv_heads, 16, 128)
    const uint32_t* __restrict__ block_tables, // of all sequences, one after the other
    const uint32_t* __restrict__ spans,        // (sequences, 4): first token, tokens, cached, start of its block table
    float* __restrict__ partial,               // inout (T, q_heads, chunks, 128 + 2): outputs, highest score, sum
    uint32_t* __restrict__ arrived,            // inout (spans, kv_heads * tiles)
    __nv_bfloat16* __restrict__ out,           // (T, q_heads, 128)
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t chunks) {
  chunk_attention<__nv_bfloat16, 128>({q, keys, values, block_tables, spans, partial, arrived, out, q_heads, kv_heads, chunks});
}
#endif
