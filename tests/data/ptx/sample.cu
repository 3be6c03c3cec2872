// Input of the parser's tests: sample_sm80.ptx is what nvcc 13.0 writes for it (--ptx -O3 -lineinfo -arch=compute_80).
// Each entry is there for its syntax; none is a kernel of the engine.
#include <cuda_fp16.h>
#include <stdint.h>

struct Bias {
    int a;
    float b[3];
};
__constant__ float table[4] = {1.0f, 2.0f, 3.0f, -0.5f};
__device__ unsigned counter;
__device__ int steps[7] = {1, 2};

__device__ __forceinline__ float warp_sum(float v) {
    for (int mask = 16; mask > 0; mask >>= 1) {
        v += __shfl_xor_sync(~0u, v, mask);
    }
    return v;
}

__device__ __forceinline__ float cta_sum(float v) {
    __shared__ float sums[32];
    v = warp_sum(v);
    if (threadIdx.x % 32 == 0) {
        sums[threadIdx.x / 32] = v;
    }
    __syncthreads();
    return warp_sum(threadIdx.x < blockDim.x / 32 ? sums[threadIdx.x] : 0.0f);
}

// Inlined calls two deep, vector loads, a loop, launch bounds.
extern "C" __global__ void __launch_bounds__(256, 2)
    reduce(const float* __restrict__ x, __half* __restrict__ out, unsigned n, float eps) {
    float sum = 0.0f;
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) {
        sum = fmaf(x[i], x[i], sum);
    }
    float scale = rsqrtf(cta_sum(sum) / n + eps);
    float4 v = reinterpret_cast<const float4*>(x)[threadIdx.x];
    reinterpret_cast<__half2*>(out)[threadIdx.x] = __floats2half2_rn(v.x * scale, v.y * scale);
}

// Inline assembly with scopes of its own, a struct parameter, dynamic shared memory.
extern "C" __global__ void product(const __half* a, float* c, Bias bias) {
    extern __shared__ __align__(16) __half tile[];
    unsigned f[4], selected;
    float sum[4] = {0, 0, 0, 0};
    uint32_t at = (uint32_t)__cvta_generic_to_shared(tile + threadIdx.x * 8);
    asm volatile("{\n .reg .pred p;\n setp.ne.b32 p, %2, 0;\n"
                 " @p cp.async.cg.shared.global.L2::128B [%0], [%1], 16;\n}\n" ::"r"(at),
                 "l"(a + threadIdx.x * 8), "r"(bias.a));
    asm volatile("{ .reg .pred p, q; .reg .b32 x<3>; setp.eq.s32 p|q, %1, 3; mov.u32 x1, 7;"
                 " selp.u32 %0, x1, 3, p; @!q bra DONE; mov.u32 %0, 5; DONE: }"
                 : "=r"(selected)
                 : "r"(bias.a));
    asm volatile("cp.async.commit_group;\ncp.async.wait_group %0;\n" ::"n"(0));
    __syncthreads();
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3])
                 : "r"(at));
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%4,%5}, {%0,%1,%2,%3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(f[0]), "r"(f[1]), "r"(f[2]), "r"(f[3]));
    for (int i = 0; i < 4; i++) {
        c[threadIdx.x * 4 + i] = sum[i] * bias.b[i % 3] + __half2float(hexp(tile[i])) + selected;
    }
}

// Local memory, module variables, atomics, votes, a switch, a loop that is not unrolled.
extern "C" __global__ void various(float* x, int* q, unsigned long long* u, uint8_t* bytes, int n, double scale) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    float s, c;
    sincosf(x[t], &s, &c);
    x[t] = s + c * table[t & 3] + (float)scale;
    atomicAdd(q, steps[t % 7]);
    u[t] = atomicCAS(u + 1, 3ull, 4ull);
    __threadfence();
    if (atomicInc(&counter, gridDim.x - 1) == gridDim.x - 1) {
        q[2] = __popc(__ballot_sync(~0u, t < n)) + __syncthreads_or(t);
    }
    float local[8];
    for (int i = 0; i < 8; i++) {
        local[i] = x[i];
    }
    local[q[7] & 7] = 3.0f;
    x[t + 1] = local[q[8] & 7];
    switch (q[9]) {
        case 0: q[0] = 1; break;
        case 1: q[1] = 5; break;
        case 2: q[2] = 9; break;
        case 7: q[7] = 7; break;
    }
    bytes[t] = q[1] + u[3] % 7;
#pragma unroll 1
    for (int i = 0; i < n; i++) {
        x[i] += __logf(x[i]);
    }
}
