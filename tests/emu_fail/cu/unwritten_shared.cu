//! a tile whose border no thread fills
//! block 32
//! in x u32 0x3f800000*32
//! out y u32 32
//! expect read of memory nobody wrote
//! source unwritten_shared.cu:15
extern "C" __global__ void test(
    const float* __restrict__ x, // (32)
    float* __restrict__ y)       // (32)
{
    __shared__ float tile[34];
    int t = threadIdx.x;
    tile[t + 1] = x[t];
    __syncthreads();
    y[t] = tile[t] + tile[t + 1] + tile[t + 2];
}
