// Kernels of a sequence begin before the one before has ended, where the card can do that (sm_90 and later): what needs none
// of its results, such as asking for the first weights, goes on while its last CTAs run.
//
// A pointer to what a kernel of the sequence writes and a later one reads has BY_SEQUENCE where others have __restrict__: a load through
// `const __restrict__` may take a path that does not see a kernel that is still running, and may be moved in front of `follow`.
// Earlier cards run one kernel after the other, and there it is __restrict__.
//
// Source: the CUDA C++ programming guide, programmatic dependent launch; PTX ISA, griddepcontrol.
#pragma once

#if __CUDA_ARCH__ >= 900
#define BY_SEQUENCE
#else
#define BY_SEQUENCE __restrict__
#endif

namespace qwarp {

// Once in every thread, before it reads what a kernel before may have written, and before it writes at all. The next kernel
// may begin as soon as every CTA has come here.
__device__ inline void follow() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// What a kernel of the sequence may have written.
template <typename T>
__device__ inline T read(const T* at) {
#if __CUDA_ARCH__ >= 900
  return *at;
#else
  return __ldg(at);
#endif
}

}  // namespace qwarp
