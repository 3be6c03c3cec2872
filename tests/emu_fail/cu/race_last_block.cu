//! the last block sums the others' parts, and nobody fenced
//! grid 3
//! block 32
//! in x u32 0x3f800000*96
//! out part u32 3
//! inout done u32 0x0
//! out y u32 1
//! expect race
//! source race_last_block.cu:23 and race_last_block.cu:29
extern "C" __global__ void test(
    const float* __restrict__ x, // (n)
    float* part,                 // (blocks)
    unsigned int* done,          // (1) inout
    float* y)                    // (1)
{
    float sum = x[blockIdx.x * 32 + threadIdx.x];
    for (int lane = 16; lane > 0; lane >>= 1) {
        sum += __shfl_xor_sync(0xffffffffu, sum, lane);
    }
    if (threadIdx.x != 0) {
        return;
    }
    part[blockIdx.x] = sum;
    if (atomicAdd(done, 1u) != gridDim.x - 1) {
        return;
    }
    float total = 0.0f;
    for (unsigned int i = 0; i < gridDim.x; i++) {
        total += part[i];
    }
    y[0] = total;
}
