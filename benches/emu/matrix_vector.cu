// The decode product of the emulator benchmark: y = W x for W (rows, n) in f16 and x (n) in f16, one warp a row, eight
// weights a load, sums in f32. n is a multiple of 256.
#include <cuda_fp16.h>

extern "C" __global__ void __launch_bounds__(128) matrix_vector_f16(
    const uint4* __restrict__ weights, const uint4* __restrict__ x, float* __restrict__ y, unsigned rows, unsigned n) {
    const unsigned row = blockIdx.x * 4 + threadIdx.x / 32;
    const unsigned lane = threadIdx.x % 32;
    if (row >= rows) return;
    const uint4* w = weights + (size_t)row * (n / 8);
    float sum = 0.0f;
    for (unsigned i = lane; i < n / 8; i += 32) {
        const uint4 a = w[i];
        const uint4 b = x[i];
        const __half2* p = reinterpret_cast<const __half2*>(&a);
        const __half2* q = reinterpret_cast<const __half2*>(&b);
        for (int j = 0; j < 4; ++j) {
            const float2 u = __half22float2(p[j]);
            const float2 v = __half22float2(q[j]);
            sum = fmaf(u.x, v.x, sum);
            sum = fmaf(u.y, v.y, sum);
        }
    }
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (lane == 0) y[row] = sum;
}
