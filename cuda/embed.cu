// Embedding gather: out[t] = table[token_ids[t]].
//
// Shapes: token_ids (T), table (vocab, hidden), out (T, hidden). Token ids are below vocab: the host checks them.
// Grid: (T, hidden over 512 elements); CTA of 128 threads, four elements each. No shared memory.
// Numerics: a widening copy, exact.
// Bound: memory. A row is read once and written once: hidden * (sizeof table element + 4) bytes a token.

#include "common/vec.cuh"

namespace {

template <typename T>
__device__ void embed(const uint32_t* token_ids, const T* table, float* out, uint32_t hidden) {
  const size_t token = blockIdx.x;
  const uint32_t i = (blockIdx.y * blockDim.x + threadIdx.x) * qwarp::VEC;
  if (i >= hidden) return;
  const size_t id = token_ids[token];
  qwarp::store4(out + token * hidden, i, hidden, qwarp::load4(table + id * hidden, i, hidden));
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128) embed_f32(
    const uint32_t* __restrict__ token_ids,  // (T)
    const float* __restrict__ table,         // (vocab, hidden)
    float* __restrict__ out,                 // (T, hidden)
    uint32_t hidden) {
  embed(token_ids, table, out, hidden);
}

extern "C" __global__ void __launch_bounds__(128) embed_f16(
    const uint32_t* __restrict__ token_ids,  // (T)
    const __half* __restrict__ table,        // (vocab, hidden)
    float* __restrict__ out,                 // (T, hidden)
    uint32_t hidden) {
  embed(token_ids, table, out, hidden);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(128) embed_bf16(
    const uint32_t* __restrict__ token_ids,   // (T)
    const __nv_bfloat16* __restrict__ table,  // (vocab, hidden)
    float* __restrict__ out,                  // (T, hidden)
    uint32_t hidden) {
  embed(token_ids, table, out, hidden);
}
#endif
