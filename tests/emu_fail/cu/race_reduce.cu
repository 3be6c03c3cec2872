//! a tree sum whose barrier stands before the loop and not in it
//! block 128
//! in x u32 0x3f800000*128
//! out y u32 1
//! expect race
//! source race_reduce.cu:17
extern "C" __global__ void test(
    const float* __restrict__ x, // (n)
    float* __restrict__ y)       // (1)
{
    __shared__ float part[128];
    int t = threadIdx.x;
    part[t] = x[t];
    __syncthreads();
    for (int step = 64; step > 0; step >>= 1) {
        if (t < step) {
            part[t] += part[t + step];
        }
    }
    if (t == 0) {
        y[0] = part[0];
    }
}
