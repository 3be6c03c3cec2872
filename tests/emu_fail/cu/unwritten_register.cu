//! a variable that only some threads set, stored by all
//! block 32
//! in x u32 0x3f800000*20
//! out y u32 32
//! scalar n u32 20
//! expect use of an unwritten register
//! source unwritten_register.cu:16
extern "C" __global__ void test(
    const float* __restrict__ x, // (n)
    float* __restrict__ y,       // (32)
    unsigned int n)
{
    float value;
    if (threadIdx.x < n)
        value = x[threadIdx.x] * 3.0f;
    y[threadIdx.x] = value;
}
