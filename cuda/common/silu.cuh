// SiLU with the exponential of this engine and a correctly rounded division: the CPU backend's bits.
#pragma once

#include "exp.cuh"

namespace qwarp {

__device__ inline float silu(float x) { return x / (1.0f + exp_exact(0.0f - x)); }

}  // namespace qwarp
