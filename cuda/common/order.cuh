// Logits in the order in which tokens are taken: the largest first, of equal ones the lower token.
#pragma once

#include <cstdint>

namespace qwarp {

// Unsigned numbers in the order of the floats: -inf lowest, then +inf, then NaN.
constexpr uint32_t NEGATIVE_INFINITY = 0x007fffffu;
constexpr uint32_t POSITIVE_INFINITY = 0xff800000u;
constexpr uint32_t NOT_A_NUMBER = 0xffffffffu;
constexpr uint32_t NO_TOKEN = 0xffffffffu;

__device__ inline uint32_t ordered(float logit) {
  // The sum makes one zero of two.
  const uint32_t bits = __float_as_uint(logit + 0.0f);
  const uint32_t order = bits >> 31 ? ~bits : bits | 0x80000000u;
  return isnan(logit) ? NOT_A_NUMBER : order;
}

// The float, zero without its sign, of a number that is no NaN.
__device__ inline float logit_of(uint32_t order) {
  return __uint_as_float(order >> 31 ? order & 0x7fffffffu : ~order);
}

// Greater for a larger logit, and of equal logits for the lower token.
__device__ inline uint64_t key_of(float logit, uint32_t token) {
  return static_cast<uint64_t>(ordered(logit)) << 32 | ~token;
}

// The token of a row's greatest key; none where NaN or +inf is in the row, or no finite logit.
__device__ inline uint32_t token_of(uint64_t key) {
  const uint32_t order = key >> 32;
  return order > NEGATIVE_INFINITY && order < POSITIVE_INFINITY ? ~static_cast<uint32_t>(key) : NO_TOKEN;
}

}  // namespace qwarp
