// Causal attention over the paged cache for many tokens of a sequence: prefill. The definition, and with it every bit, is that
// of common/attention.cuh; paged_attention.cu gives the same.
//
// Shapes: q, out (T, q_heads, dim), keys and values (blocks, kv_heads, 16, dim) of one layer, dim 64 or 128, kv_heads divides
// q_heads. A span is a sequence's tokens: the first in q, how many, the positions before it, where its block table starts.
// Positions of its sequence alone are read, and of the table ceil((cached + tokens) / 16) entries.
// Grid: (tiles of the longest span, kv_heads, spans); CTA of 128 threads for 64 rows (token, query head of the group), tokens
// first, so that K and V are read once for all heads of a group; a warp has 16 rows. The tiles that see most start first; a
// CTA past its span's rows ends at once.
// Shared memory: 64 queries, then 2 stages (one on sm_75) of 64 keys and 64 values: 128 dim + 256 dim stages bytes, 80 KiB for
// dim 128 (48 on sm_75). Rows are swizzled: no `ldmatrix` and no copy has a bank conflict.
// Accumulators: f32 in registers, twice: the chunk's and the merged ones. They are what limits a CTA of dim 128 to 231 to 255
// registers a thread, two CTAs an SM. Nothing is spilled; bf16 on sm_80 has no register left.
// Bound: arithmetic. A warp's tile is 132 `mma` of 16 x 8 x 16 for dim 128, 68 `ldmatrix`, and 32 exponentials a thread of 27
// operations, which by counting take about as long as the products do. Not yet measured on a card.
// Tried: queries in registers (32 more): spills on sm_75 and sm_80. A warp of 32 rows would halve the `ldmatrix`, but its
// two sets of accumulators do not fit.

#include "common/attention.cuh"

namespace {

using namespace qwarp::attention;
using qwarp::VEC8;

constexpr uint32_t CTA_ROWS = WARPS * ROWS;
#if __CUDA_ARCH__ >= 800
constexpr uint32_t STAGES = 2;
#else
constexpr uint32_t STAGES = 1;
#endif

template <typename T>
struct Arguments {
  const T *q, *keys, *values;
  const uint32_t *block_tables, *spans;
  T* out;
  uint32_t q_heads, kv_heads;
};

// The warp's rows, rounded, by way of its own rows in shared memory: 16 bytes a store.
template <typename T, uint32_t DIM>
__device__ void store_rows(const Fragment (&out)[DIM / VEC8], uint32_t* shared, T* to, const RowsOf& rows, uint32_t first) {
  constexpr uint32_t UNITS = DIM / VEC8;
  const uint32_t own = warp() * ROWS;
  __syncwarp();
#pragma unroll
  for (uint32_t n = 0; n < UNITS; ++n) {
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      const uint32_t at = byte_at<DIM>(own + lane() / 4 + 8 * half, n) / 4 + lane() % 4;
      shared[at] = qwarp::pair<T>(out[n][2 * half], out[n][2 * half + 1]);
    }
  }
  __syncwarp();
#pragma unroll
  for (uint32_t i = lane(); i < ROWS * UNITS; i += qwarp::WARP) {
    const uint32_t row = i / UNITS, unit = i % UNITS;
    if (first + row >= rows.count()) continue;
    const uint4 x = reinterpret_cast<const uint4*>(shared)[byte_at<DIM>(own + row, unit) / 16];
    reinterpret_cast<uint4*>(to + rows.place(first + row) * DIM)[unit] = x;
  }
}

template <typename T, uint32_t DIM>
__device__ void flash_attention(const Arguments<T>& a) {
  qwarp::follow();
  constexpr uint32_t TILE_BYTES = TILE * DIM * sizeof(T);
  // Queries, then each stage's keys and values.
  extern __shared__ uint4 shared[];
  const RowsOf rows = {span_at(a.spans, blockIdx.z), a.q_heads / a.kv_heads, blockIdx.y, a.q_heads};
  // The rows with most to see first.
  const uint32_t first = (gridDim.x - 1 - blockIdx.x) * CTA_ROWS;
  if (first >= rows.count()) return;
  const uint32_t last = min(first + CTA_ROWS, rows.count()) - 1;
  const uint32_t end = rows.visible(last), tiles = (end + TILE - 1) / TILE;
  const uint32_t queries = qwarp::shared_address(shared), stages = queries + CTA_ROWS * DIM * sizeof(T);
  const auto load = [&](uint32_t tile) {
    const uint32_t to = stages + tile % STAGES * 2 * TILE_BYTES;
    const uint32_t* table = a.block_tables + rows.span.table;
    load_tile<DIM>(to, a.keys, table, rows.kv_head, a.kv_heads, tile * TILE, end);
    load_tile<DIM>(to + TILE_BYTES, a.values, table, rows.kv_head, a.kv_heads, tile * TILE, end);
  };
  load_queries<DIM, CTA_ROWS>(queries, a.q, rows, first);
  if (STAGES > 1) load(0);
  qwarp::commit_copies();

  const uint32_t warp_first = first + warp() * ROWS;
  const uint32_t row = warp_first + lane() / 4;
  const uint32_t visible[2] = {rows.visible(min(row, last)), rows.visible(min(row + 8, last))};
  // Nothing of a warp that has no rows.
  const uint32_t warp_end = warp_first > last ? 0 : rows.visible(min(warp_first + ROWS - 1, last));
  Partial<DIM / VEC8> chunk;
  Fragment out[DIM / VEC8] = {};
  qwarp::Softmax state[2] = {qwarp::no_scores(), qwarp::no_scores()};
  for (uint32_t tile = 0; tile < tiles; ++tile) {
    await_tile<STAGES>(tile, tiles, load);
    const uint32_t position = tile * TILE;
    if (position >= warp_end) continue;
    if (position % CHUNK == 0) chunk.reset();
    const uint32_t keys = stages + tile % STAGES * 2 * TILE_BYTES;
    Fragment s[TILE / 8];
    multiply_keys<T, DIM>(s, queries, warp() * ROWS, keys, 0);
    float highest[2];
    mask<DIM>(s, position, visible, highest);
    chunk.raise(highest);
    uint4 p[TILE / STEP];
    weights_of<T>(p, s, chunk.max);
    chunk.template add<T, DIM>(p, keys + TILE_BYTES, 0);
    // The chunk's last tile, or this warp's.
    if ((position + TILE) % CHUNK != 0 && position + TILE < warp_end) continue;
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      if (visible[half] <= position / CHUNK * CHUNK) continue;
      const qwarp::Scales by = merge(state[half], chunk.softmax(half));
#pragma unroll
      for (uint32_t n = 0; n < DIM / VEC8; ++n) {
#pragma unroll
        for (uint32_t i = 2 * half; i < 2 * half + 2; ++i) out[n][i] = qwarp::merged(by, out[n][i], chunk.out[n][i]);
      }
    }
  }
  if (warp_end == 0) return;
  const float by[2] = {1.0f / state[0].sum, 1.0f / state[1].sum};
#pragma unroll
  for (uint32_t n = 0; n < DIM / VEC8; ++n) {
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) out[n][i] *= by[i / 2];
  }
  store_rows<T, DIM>(out, reinterpret_cast<uint32_t*>(shared), a.out, rows, warp_first);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128) flash_attention_f16_d64(
    const __half* BY_SEQUENCE q,                // (T, q_heads, 64)
    const __half* BY_SEQUENCE keys,             // (blocks, kv_heads, 16, 64)
    const __half* BY_SEQUENCE values,           // (blocks, kv_heads, 16, 64)
    const uint32_t* __restrict__ block_tables,  // of all sequences, one after the other
    const uint32_t* __restrict__ spans,         // (sequences, 4): first token, tokens, cached, where its table starts
    __half* __restrict__ out,                   // (T, q_heads, 64)
    uint32_t q_heads,
    uint32_t kv_heads) {
  flash_attention<__half, 64>({q, keys, values, block_tables, spans, out, q_heads, kv_heads});
}

extern "C" __global__ void __launch_bounds__(128) flash_attention_f16_d128(
    const __half* BY_SEQUENCE q,                // (T, q_heads, 128)
    const __half* BY_SEQUENCE keys,             // (blocks, kv_heads, 16, 128)
    const __half* BY_SEQUENCE values,           // (blocks, kv_heads, 16, 128)
    const uint32_t* __restrict__ block_tables,  // of all sequences, one after the other
    const uint32_t* __restrict__ spans,         // (sequences, 4): first token, tokens, cached, where its table starts
    __half* __restrict__ out,                   // (T, q_heads, 128)
    uint32_t q_heads,
    uint32_t kv_heads) {
  flash_attention<__half, 128>({q, keys, values, block_tables, spans, out, q_heads, kv_heads});
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(128) flash_attention_bf16_d64(
    const __nv_bfloat16* BY_SEQUENCE q,         // (T, q_heads, 64)
    const __nv_bfloat16* BY_SEQUENCE keys,      // (blocks, kv_heads, 16, 64)
    const __nv_bfloat16* BY_SEQUENCE values,    // (blocks, kv_heads, 16, 64)
    const uint32_t* __restrict__ block_tables,  // of all sequences, one after the other
    const uint32_t* __restrict__ spans,         // (sequences, 4): first token, tokens, cached, where its table starts
    __nv_bfloat16* __restrict__ out,            // (T, q_heads, 64)
    uint32_t q_heads,
    uint32_t kv_heads) {
  flash_attention<__nv_bfloat16, 64>({q, keys, values, block_tables, spans, out, q_heads, kv_heads});
}

extern "C" __global__ void __launch_bounds__(128) flash_attention_bf16_d128(
    const __nv_bfloat16* BY_SEQUENCE q,         // (T, q_heads, 128)
    const __nv_bfloat16* BY_SEQUENCE keys,      // (blocks, kv_heads, 16, 128)
    const __nv_bfloat16* BY_SEQUENCE values,    // (blocks, kv_heads, 16, 128)
    const uint32_t* __restrict__ block_tables,  // of all sequences, one after the other
    const uint32_t* __restrict__ spans,         // (sequences, 4): first token, tokens, cached, where its table starts
    __nv_bfloat16* __restrict__ out,            // (T, q_heads, 128)
    uint32_t q_heads,
    uint32_t kv_heads) {
  flash_attention<__nv_bfloat16, 128>({q, keys, values, block_tables, spans, out, q_heads, kv_heads});
}
#endif
