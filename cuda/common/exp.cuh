// The exponential of this engine, the same bits as on the CPU (src/backend/cpu/exp.rs) and on every card: operations that
// IEEE 754 rounds once, where `ex2.approx` differs between generations. Cody and Waite range reduction, polynomial of Cephes
// `expf`; error below 2 ulp. About 25 instructions, which a kernel bound by memory hides.
#pragma once

#include <cstdint>

namespace qwarp {

// Below this the result is zero.
constexpr float EXP_LOWEST = -87.0f;
// Above this the argument is taken as this.
constexpr float EXP_HIGHEST = 88.0f;

__device__ inline float exp_exact(float x) {
  // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low mantissa bits.
  constexpr float ROUND = 12582912.0f;
  constexpr float LOG2_E = 1.44269504088896340736f;
  // ln 2 in two parts; n times the first is exact for every n in range.
  constexpr float LN2_HIGH = 0.6933594f;
  constexpr float LN2_LOW = -2.1219444e-4f;
  float r = fmaxf(fminf(x, EXP_HIGHEST), EXP_LOWEST);
  const float t = r * LOG2_E + ROUND;
  const float n = t - ROUND;
  r = r - n * LN2_HIGH;
  r = r - n * LN2_LOW;
  float p = 1.9875691e-4f;
  p = p * r + 1.3981999e-3f;
  p = p * r + 8.333452e-3f;
  p = p * r + 4.1665796e-2f;
  p = p * r + 0.16666665f;
  p = p * r + 0.5f;
  p = p * (r * r) + r;
  p = p + 1.0f;
  // Times 2^n, by way of the exponent bits.
  p = __uint_as_float(__float_as_uint(p) + (__float_as_uint(t) << 23));
  return x > EXP_LOWEST ? p : 0.0f;
}

}  // namespace qwarp
