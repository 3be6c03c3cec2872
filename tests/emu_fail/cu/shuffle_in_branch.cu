//! a whole-warp shuffle that half of the warp goes round
//! block 32
//! in x u32 0x3f800000*32
//! out y u32 32
//! expect threads missing at a barrier
//! source shuffle_in_branch.cu:13 and shuffle_in_branch.cu:15
extern "C" __global__ void test(
    const float* __restrict__ x, // (32)
    float* __restrict__ y)       // (32)
{
    float v = x[threadIdx.x];
    if (threadIdx.x < 16) {
        v += __shfl_xor_sync(0xffffffffu, v, 1);
    }
    __syncwarp();
    y[threadIdx.x] = v;
}
