//! a tile copied by cp.async and read before it is there
//! block 32
//! in x u32 0x3f800000*32
//! out y u32 32
//! expect read of cp.async data before its group was waited for
//! source copy_not_waited.cu:14 and copy_not_waited.cu:16
extern "C" __global__ void test(
    const float* __restrict__ x, // (32)
    float* __restrict__ y)       // (32)
{
    __shared__ float tile[32];
    int t = threadIdx.x;
    unsigned int to = static_cast<unsigned int>(__cvta_generic_to_shared(tile + t));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(x + t) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
    y[t] = tile[t];
}
