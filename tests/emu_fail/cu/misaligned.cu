//! rows of 5 floats read four at a time: only the first row starts where a float4 may
//! block 2
//! in x u32 0x3f800000*10
//! out y u32 2
//! expect misaligned access
//! source misaligned.cu:12
extern "C" __global__ void test(
    const float* __restrict__ x, // (rows, 5)
    float* __restrict__ y)       // (rows)
{
    int row = threadIdx.x;
    float4 v = *reinterpret_cast<const float4*>(x + row * 5);
    y[row] = v.x + v.y + v.z + v.w + x[row * 5 + 4];
}
