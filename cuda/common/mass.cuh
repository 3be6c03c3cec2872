// Probabilities as fixed-point numbers whose sums are the same in any order: the CPU sampler's, operation by operation
// (src/backend/sampling/weight.rs), in f64 that nothing fuses. About 50 f64 instructions.
#pragma once

#include <cstdint>

namespace qwarp {

// Sums of masses: a mass has up to 63 bits, a vocabulary 2^20 of them.
using Wide = unsigned __int128;

// Binary places of a share.
constexpr uint32_t SHARE_PLACES = 53;

// `e^x` for `x <= 0`, at least `e^-700`.
__device__ inline double exp_wide(double x) {
  // Adding 1.5 * 2^52 rounds to an integer, which then stands in the low mantissa bits.
  constexpr double ROUND = 6755399441055744.0;
  constexpr double LOG2_E = 1.44269504088896340735992468100189214;
  // ln 2 in two parts; n times the first is exact for every n in range.
  constexpr double LN2_HIGH = 6.931471803691238e-1;
  constexpr double LN2_LOW = 1.9082149292705877e-10;
  constexpr double LOWEST = -700.0;
  // 1/n! from n = 13 down to 2.
  constexpr double COEFFICIENTS[12] = {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0,
                                       1.0 / 362880.0,     1.0 / 40320.0,     1.0 / 5040.0,     1.0 / 720.0,
                                       1.0 / 120.0,        1.0 / 24.0,        1.0 / 6.0,        1.0 / 2.0};
  x = fmax(x, LOWEST);
  const double t = x * LOG2_E + ROUND;
  const double n = t - ROUND;
  const double r = x - n * LN2_HIGH - n * LN2_LOW;
  double p = COEFFICIENTS[0];
#pragma unroll
  for (uint32_t i = 1; i < 12; ++i) p = p * r + COEFFICIENTS[i];
  p = p * (r * r) + r + 1.0;
  return p * __longlong_as_double((__double_as_longlong(t) + 1023) << 52);
}

// How probable a logit is as a multiple of the most probable token's.
__device__ inline double weight_of(float logit, float most, float temperature) {
  return exp_wide((static_cast<double>(logit) - static_cast<double>(most)) / static_cast<double>(temperature));
}

// A weight of at most 1 with 62 binary places, cut off.
__device__ inline uint64_t mass_of(double weight) {
  constexpr double ONE = 4611686018427387904.0;
  return __double2ll_rz(weight * ONE);
}

// `total * fraction / 2^53` rounded down, and whether that dropped something.
struct Share {
  Wide down;
  bool dropped;
};

__device__ inline Share share_of(Wide total, uint64_t fraction) {
  // Together up to 135 bits, so the product is put together from two halves.
  const Wide high = (total >> 64) * fraction;
  const Wide low = static_cast<Wide>(static_cast<uint64_t>(total)) * fraction;
  const uint64_t rest = static_cast<uint64_t>(low) & ((1ull << SHARE_PLACES) - 1);
  return {(high << (64 - SHARE_PLACES)) + (low >> SHARE_PLACES), rest != 0};
}

}  // namespace qwarp
