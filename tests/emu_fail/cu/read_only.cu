//! a kernel that scales its input in place although it promised to read only
//! block 32
//! in x u32 0x3f800000*32
//! expect store through a read-only argument
//! source read_only.cu:10
extern "C" __global__ void test(
    const float* x) // (n)
{
    float* writable = const_cast<float*>(x);
    writable[threadIdx.x] = x[threadIdx.x] * 2.0f;
}
