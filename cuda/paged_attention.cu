// Causal attention over the paged cache for few tokens of a sequence: decode.
#include "common/attention.cuh"

namespace {

using namespace qwarp::attention;

// Positions of a tile that a warp scores.
constexpr uint32_t WARP_POSITIONS = TILE / WARPS;
static_assert(WARP_POSITIONS == STEP, "a warp's weights are one left factor");

// Tiles in shared memory at once: a whole chunk where there is room.
template <uint32_t DIM>
__host__ __device__ constexpr uint32_t stages_for() {
#if __CUDA_ARCH__ >= 900
  return 4;
#elif __CUDA_ARCH__ >= 800
  return DIM == 64 ? 4 : 2;
#else
  return 1;
#endif
}

template <typename T>
struct Arguments {
  const T *q, *keys, *values;
  const uint32_t *block_tables, *spans;
  float* partial;
  uint32_t q_heads, kv_heads, chunks;
};

// The highest scores of the CTA's rows in a tile, from those in each warp's positions.
__device__ void share_highest(float (&highest)[2]) {
  __shared__ float shared[WARPS][ROWS];
  const uint32_t row = lane() / 4;
  if (lane() % 4 == 0) {
    shared[warp()][row] = highest[0];
    shared[warp()][row + 8] = highest[1];
  }
  __syncthreads();
#pragma unroll
  for (uint32_t w = 0; w < WARPS; ++w) {
    highest[0] = fmaxf(highest[0], shared[w][row]);
    highest[1] = fmaxf(highest[1], shared[w][row + 8]);
  }
}

// The tile's weights, from those of each warp's positions.
__device__ void share_weights(uint32_t (&all)[WARPS][4], const uint32_t (&own)[1][4]) {
  __shared__ uint4 shared[WARPS][qwarp::WARP];
  shared[warp()][lane()] = {own[0][0], own[0][1], own[0][2], own[0][3]};
  __syncthreads();
#pragma unroll
  for (uint32_t w = 0; w < WARPS; ++w) {
    const uint4 p = shared[w][lane()];
    all[w][0] = p.x, all[w][1] = p.y, all[w][2] = p.z, all[w][3] = p.w;
  }
}

template <typename T, uint32_t DIM>
__device__ void chunk_attention(const Arguments<T>& a) {
  constexpr uint32_t TILE_BYTES = TILE * DIM * sizeof(T), STAGES = stages_for<DIM>();
  // Blocks of eight dims that a warp weighs.
  constexpr uint32_t BLOCKS = DIM / UNIT / WARPS;
  // Queries, then each stage's keys and values.
  extern __shared__ uint4 shared[];
  const RowsOf rows = {span_at(a.spans, blockIdx.z), a.q_heads / a.kv_heads, blockIdx.y % a.kv_heads, a.q_heads};
  const uint32_t first = blockIdx.y / a.kv_heads * ROWS;
  if (first >= rows.count()) return;
  const uint32_t last = min(first + ROWS, rows.count()) - 1;
  const uint32_t begin = blockIdx.x * CHUNK, end = min(begin + CHUNK, rows.visible(last));
  if (begin >= end) return;
  const uint32_t tiles = (end - begin + TILE - 1) / TILE;
  const uint32_t queries = shared_address(shared), stages = queries + ROWS * DIM * sizeof(T);
  const auto load = [&](uint32_t tile) {
    const uint32_t to = stages + tile % STAGES * 2 * TILE_BYTES, position = begin + tile * TILE;
    const uint32_t* table = a.block_tables + rows.span.table;
    load_tile<DIM>(to, a.keys, table, rows.kv_head, a.kv_heads, position, end);
    load_tile<DIM>(to + TILE_BYTES, a.values, table, rows.kv_head, a.kv_heads, position, end);
  };
  load_queries<DIM, ROWS>(queries, a.q, rows, first);
#pragma unroll
  for (uint32_t tile = 0; tile + 1 < STAGES; ++tile) {
    if (tile < tiles) load(tile);
    commit_copies();
  }

  const uint32_t row = first + lane() / 4;
  const uint32_t visible[2] = {rows.visible(min(row, last)), rows.visible(min(row + 8, last))};
  Partial<BLOCKS> chunk;
  chunk.reset();
  for (uint32_t tile = 0; tile < tiles; ++tile) {
    await_tile<STAGES>(tile, tiles, load);
    const uint32_t keys = stages + tile % STAGES * 2 * TILE_BYTES, own = warp() * WARP_POSITIONS;
    Fragment s[WARP_POSITIONS / 8];
    multiply_keys<T, DIM>(s, queries, 0, keys, own);
    float highest[2];
    mask<DIM>(s, begin + tile * TILE + own, visible, highest);
    share_highest(highest);
    chunk.raise(highest);
    uint32_t p[1][4], all[WARPS][4];
    weights_of<T>(p, s, chunk.max);
    share_weights(all, p);
    chunk.template add<T, DIM>(all, keys + TILE_BYTES, warp() * BLOCKS);
  }

#pragma unroll
  for (uint32_t half = 0; half < 2; ++half) {
    const uint32_t at = row + 8 * half;
    if (at > last || visible[half] <= begin) continue;
    float* to = a.partial + (rows.place(at) * a.chunks + blockIdx.x) * (DIM + 2);
#pragma unroll
    for (uint32_t n = 0; n < BLOCKS; ++n) {
      const uint32_t dim = (warp() * BLOCKS + n) * UNIT + lane() % 4 * 2;
      *reinterpret_cast<float2*>(to + dim) = {chunk.out[n][2 * half], chunk.out[n][2 * half + 1]};
    }
    if (warp() == 0 && lane() % 4 == 0) {
      const qwarp::Softmax softmax = chunk.softmax(half);
      *reinterpret_cast<float2*>(to + DIM) = {softmax.max, softmax.sum};
    }
  }
}

template <typename T>
__device__ void merge_chunks(const float* partial, const uint32_t* spans, T* out, uint32_t chunks) {
  const Span span = span_at(spans, blockIdx.z);
  const uint32_t dim = blockDim.x, seen = (span.cached + blockIdx.y + CHUNK) / CHUNK;
  if (blockIdx.y >= span.tokens) return;
  const size_t row = static_cast<size_t>(span.first + blockIdx.y) * gridDim.x + blockIdx.x;
  const float* part = partial + row * chunks * (dim + 2);
  qwarp::Softmax state = qwarp::no_scores();
  float x = 0.0f;
  for (uint32_t chunk = 0; chunk < seen; ++chunk, part += dim + 2) {
    const float2 softmax = *reinterpret_cast<const float2*>(part + dim);
    const qwarp::Scales by = merge(state, {softmax.x, softmax.y});
    x = qwarp::merged(by, x, part[threadIdx.x]);
  }
  out[row * dim + threadIdx.x] = qwarp::from_float<T>(x * (1.0f / state.sum));
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128, 4) paged_attention_f16_d64(
    const __half* __restrict__ q,              // (T, q_heads, 64)
    const __half* __restrict__ keys,           // (blocks, kv_heads, 16, 64)
    const __half* __restrict__ values,         // (blocks, kv_heads, 16, 64)
    const uint32_t* __restrict__ block_tables, // of all sequences, one after the other
    const uint32_t* __restrict__ spans,        // (sequences, 4): first token, tokens, cached, start of its block table
    float* __restrict__ partial,               // (T, q_heads, chunks, 64 + 2): outputs, highest score, sum
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t chunks) {
  chunk_attention<__half, 64>({q, keys, values, block_tables, spans, partial, q_heads, kv_heads, chunks});
}

extern "C" __global__ void __launch_bounds__(128, 4) paged_attention_f16_d128(
    const __half* __restrict__ q,              // (T, q_heads, 128)
    const __half* __restrict__ keys,           // (blocks, kv_heads, 16, 128)
    const __half* __restrict__ values,         // (blocks, kv_heads, 16, 128)
    const uint32_t* __restrict__ block_tables, // of all sequences, one after the other
    const uint32_t* __restrict__ spans,        // (sequences, 4): first token, tokens, cached, start of its block table
    float* __restrict__ partial,               // (T, q_heads, chunks, 128 + 2): outputs, highest score, sum
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t chunks) {
  chunk_attention<__half, 128>({q, keys, values, block_tables, spans, partial, q_heads, kv_heads, chunks});
}

extern "C" __global__ void __launch_bounds__(128) paged_attention_f16_merge(
    const float* __restrict__ partial,  // (T, q_heads, chunks, dim + 2)
    const uint32_t* __restrict__ spans, // (sequences, 4)
    __half* __restrict__ out,           // (T, q_heads, dim)
    uint32_t chunks) {
  merge_chunks(partial, spans, out, chunks);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(128, 4) paged_attention_bf16_d64(
    const __nv_bfloat16* __restrict__ q,       // (T, q_heads, 64)
    const __nv_bfloat16* __restrict__ keys,    // (blocks, kv_heads, 16, 64)
    const __nv_bfloat16* __restrict__ values,  // (blocks, kv_heads, 16, 64)
    const uint32_t* __restrict__ block_tables, // of all sequences, one after the other
    const uint32_t* __restrict__ spans,        // (sequences, 4): first token, tokens, cached, start of its block table
    float* __restrict__ partial,               // (T, q_heads, chunks, 64 + 2): outputs, highest score, sum
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t chunks) {
  chunk_attention<__nv_bfloat16, 64>({q, keys, values, block_tables, spans, partial, q_heads, kv_heads, chunks});
}

extern "C" __global__ void __launch_bounds__(128, 4) paged_attention_bf16_d128(
    const __nv_bfloat16* __restrict__ q,       // (T, q_heads, 128)
    const __nv_bfloat16* __restrict__ keys,    // (blocks, kv_heads, 16, 128)
    const __nv_bfloat16* __restrict__ values,  // (blocks, kv_heads, 16, 128)
    const uint32_t* __restrict__ block_tables, // of all sequences, one after the other
    const uint32_t* __restrict__ spans,        // (sequences, 4): first token, tokens, cached, start of its block table
    float* __restrict__ partial,               // (T, q_heads, chunks, 128 + 2): outputs, highest score, sum
    uint32_t q_heads,
    uint32_t kv_heads,
    uint32_t chunks) {
  chunk_attention<__nv_bfloat16, 128>({q, keys, values, block_tables, spans, partial, q_heads, kv_heads, chunks});
}

extern "C" __global__ void __launch_bounds__(128) paged_attention_bf16_merge(
    const float* __restrict__ partial,  // (T, q_heads, chunks, dim + 2)
    const uint32_t* __restrict__ spans, // (sequences, 4)
    __nv_bfloat16* __restrict__ out,    // (T, q_heads, dim)
    uint32_t chunks) {
  merge_chunks(partial, spans, out, chunks);
}
#endif
