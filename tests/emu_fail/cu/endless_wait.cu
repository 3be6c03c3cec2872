//! a flag that no block sets
//! grid 2
//! block 1
//! inout flag u32 0x0
//! out y u32 2
//! expect no progress
//! source endless_wait.cu:12
extern "C" __global__ void test(
    unsigned int* flag, // (1) inout
    float* y)           // (blocks)
{
    while (atomicAdd(flag, 0u) == 0u) {
    }
    y[blockIdx.x] = 1.0f;
}
