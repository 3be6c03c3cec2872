// Embedding gather: out[t] = table[token_ids[t]].
//
// Shapes: token_ids (T), drawn (rows), table (vocab, hidden), out (T, hidden). Token ids are below vocab: the host checks
// them. An id whose highest bit is set is not known to the host: its other bits, below `rows`, are the place in `drawn` of
// the token that the step before drew. A row that nothing could be drawn from stands there as no token at all, and is
// taken for token 0: the host will refuse it before anybody sees what became of it.
// Grid: (T, hidden over 512 elements); CTA of 128 threads, four elements each. No shared memory.
// Numerics: a widening copy, exact.
// Bound: memory. A row is read once and written once: hidden * (sizeof table element + 4) bytes a token.

#include "common/follow.cuh"
#include "common/vec.cuh"

namespace {

constexpr uint32_t DRAWN = 0x80000000u;

template <typename T>
__device__ void embed(const uint32_t* token_ids, const uint32_t* drawn, const T* table, float* out, uint32_t vocab,
                      uint32_t hidden) {
  qwarp::follow();
  const size_t token = blockIdx.x;
  const uint32_t i = (blockIdx.y * blockDim.x + threadIdx.x) * qwarp::VEC;
  if (i >= hidden) return;
  uint32_t known = token_ids[token];
  if (known & DRAWN) {
    known = drawn[known ^ DRAWN];
    if (known >= vocab) known = 0;
  }
  const size_t id = known;
  qwarp::store4(out + token * hidden, i, hidden, qwarp::load4(table + id * hidden, i, hidden));
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128) embed_f32(
    const uint32_t* __restrict__ token_ids,  // (T)
    const uint32_t* BY_SEQUENCE drawn,       // (rows)
    const float* BY_SEQUENCE table,          // (vocab, hidden)
    float* __restrict__ out,                 // (T, hidden)
    uint32_t vocab,
    uint32_t hidden) {
  embed(token_ids, drawn, table, out, vocab, hidden);
}

extern "C" __global__ void __launch_bounds__(128) embed_f16(
    const uint32_t* __restrict__ token_ids,  // (T)
    const uint32_t* BY_SEQUENCE drawn,       // (rows)
    const __half* BY_SEQUENCE table,         // (vocab, hidden)
    float* __restrict__ out,                 // (T, hidden)
    uint32_t vocab,
    uint32_t hidden) {
  embed(token_ids, drawn, table, out, vocab, hidden);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(128) embed_bf16(
    const uint32_t* __restrict__ token_ids,   // (T)
    const uint32_t* BY_SEQUENCE drawn,        // (rows)
    const __nv_bfloat16* BY_SEQUENCE table,   // (vocab, hidden)
    float* __restrict__ out,                  // (T, hidden)
    uint32_t vocab,
    uint32_t hidden) {
  embed(token_ids, drawn, table, out, vocab, hidden);
}
#endif
