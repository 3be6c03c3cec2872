// SiLU times up: out = gate / (1 + exp(-gate)) * up.
//
// Shapes: gate_up (rows, 2 n), gate first in each row; out (rows, n).
// Grid: (rows, n over 512 elements); CTA of 128 threads, four elements each. No shared memory.
// Numerics: f32, one rounding to the output type. The exponential is the CPU's and the division is correctly rounded, so the
// bits equal the CPU backend's.
// Bound: memory. 2 n * 4 bytes are read and n * 2 written a row. About 36 f32 operations an element against 10 bytes: by
// arithmetic three quarters of an A100's f32 rate at its full bandwidth, half of an H200's or less on the others. Not yet
// measured on a card.

#include "common/follow.cuh"
#include "common/silu.cuh"
#include "common/vec.cuh"

namespace {

template <typename T>
__device__ void silu_mul(const float* gate_up, T* out, uint32_t n) {
  qwarp::follow();
  const size_t row = blockIdx.x;
  const uint32_t i = (blockIdx.y * blockDim.x + threadIdx.x) * qwarp::VEC;
  if (i >= n) return;
  const float* gates = gate_up + row * 2 * n;
  const float4 gate = qwarp::load4(gates, i, n), up = qwarp::load4(gates + n, i, n);
  const float4 product = {qwarp::silu(gate.x) * up.x, qwarp::silu(gate.y) * up.y, qwarp::silu(gate.z) * up.z,
                          qwarp::silu(gate.w) * up.w};
  qwarp::store4(out + row * n, i, n, product);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128) silu_mul_f16(
    const float* BY_SEQUENCE gate_up,   // (rows, 2 n)
    __half* __restrict__ out,           // (rows, n)
    uint32_t n) {
  silu_mul(gate_up, out, n);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(128) silu_mul_bf16(
    const float* BY_SEQUENCE gate_up,   // (rows, 2 n)
    __nv_bfloat16* __restrict__ out,    // (rows, n)
    uint32_t n) {
  silu_mul(gate_up, out, n);
}
#endif
