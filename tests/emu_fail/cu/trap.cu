//! a check of the kernel's own: an id past the end of the table
//! block 8
//! in id u32 0x0 0x1 0x2 0x3 0x4 0x5 0x6 0x63
//! in table u32 0x3f800000*8
//! out y u32 8
//! scalar rows u32 8
//! expect trap
//! source trap.cu:17
extern "C" __global__ void test(
    const unsigned int* __restrict__ id, // (n)
    const float* __restrict__ table,     // (rows)
    float* __restrict__ y,               // (n)
    unsigned int rows)
{
    unsigned int row = id[threadIdx.x];
    if (row >= rows) {
        __trap();
    }
    y[threadIdx.x] = table[row];
}
