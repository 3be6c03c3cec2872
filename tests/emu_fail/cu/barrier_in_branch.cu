//! a barrier inside a branch on the thread, and another one after it
//! block 32
//! in x u32 0x3f800000*32
//! out y u32 32
//! expect threads missing at a barrier
//! source barrier_in_branch.cu:16 and barrier_in_branch.cu:18
extern "C" __global__ void test(
    const float* __restrict__ x, // (32)
    float* __restrict__ y)       // (32)
{
    __shared__ float tile[32];
    int t = threadIdx.x;
    tile[t] = x[t];
    if (t < 16) {
        tile[t] *= 2.0f;
        __syncthreads();
    }
    __syncthreads();
    y[t] = tile[31 - t];
}
