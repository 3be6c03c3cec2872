//! a sum into an output that nobody cleared
//! block 32
//! in x u32 0x3f800000*32
//! out y u32 32
//! expect read of memory nobody wrote
//! source unwritten_global.cu:11
extern "C" __global__ void test(
    const float* __restrict__ x, // (n)
    float* __restrict__ y)       // (n)
{
    y[threadIdx.x] += x[threadIdx.x];
}
