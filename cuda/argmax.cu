// The token of the largest logit of each row, the lowest on a tie.
//
// Shapes: logits (rows, vocab), partial (rows, parts), tokens (rows); any number of parts.
// Grid: argmax_f32_partial (rows, parts), CTA of whole warps, 256 threads at most; the parts take turns along the row. The
// launch code gives a part 2048 logits, so one row of 151,936 occupies 75 CTAs. argmax_f32_merge (rows), one warp. 256 bytes
// of shared memory.
// Numerics: a logit and its token are one 64-bit key, so the largest key is the answer in whatever order keys are compared.
// As on the CPU, a row that no token can be drawn from is refused, not guessed: NaN or +inf anywhere, or no finite logit, gives
// token 4294967295, which the host takes for an error.
// Bound: memory. A logit is read once; the partial keys are 1/1024 of that.

#include "common/follow.cuh"
#include "common/order.cuh"
#include "common/reduce.cuh"
#include "common/vec.cuh"

extern "C" __global__ void __launch_bounds__(256) argmax_f32_partial(
    const float* BY_SEQUENCE logits,   // (rows, vocab)
    uint64_t* __restrict__ partial,    // (rows, parts)
    uint32_t vocab) {
  qwarp::follow();
  const float* row = logits + static_cast<size_t>(blockIdx.x) * vocab;
  uint64_t best = qwarp::Max::identity();
  const uint32_t stride = gridDim.y * blockDim.x * qwarp::VEC;
  for (uint32_t i = (blockIdx.y * blockDim.x + threadIdx.x) * qwarp::VEC; i < vocab; i += stride) {
    const float4 v = qwarp::load4(row, i, vocab);
    const float at[qwarp::VEC] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (uint32_t k = 0; k < qwarp::VEC; ++k) {
      if (i + k < vocab) best = qwarp::Max::combine(best, qwarp::key_of(at[k], i + k));
    }
  }
  best = qwarp::block_reduce<qwarp::Max>(best);
  if (threadIdx.x == 0) partial[static_cast<size_t>(blockIdx.x) * gridDim.y + blockIdx.y] = best;
}

extern "C" __global__ void __launch_bounds__(32) argmax_f32_merge(
    const uint64_t* BY_SEQUENCE partial,   // (rows, parts)
    uint32_t* __restrict__ tokens,         // (rows)
    uint32_t parts) {
  qwarp::follow();
  const uint64_t* row = partial + static_cast<size_t>(blockIdx.x) * parts;
  uint64_t best = qwarp::Max::identity();
  for (uint32_t part = threadIdx.x; part < parts; part += qwarp::WARP) best = qwarp::Max::combine(best, row[part]);
  best = qwarp::warp_reduce<qwarp::Max>(best);
  if (threadIdx.x == 0) tokens[blockIdx.x] = qwarp::token_of(best);
}
