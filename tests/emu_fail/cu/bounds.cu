//! a saxpy without its bound: the last block runs past the end
//! grid 2
//! block 32
//! in x u32 0x3f800000*40
//! inout y u32 0x40000000*40
//! scalar a u32 0x40400000
//! expect access out of bounds
//! source bounds.cu:15
extern "C" __global__ void test(
    const float* __restrict__ x, // (n)
    float* __restrict__ y,       // (n) inout
    float a)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] += a * x[i];
}
