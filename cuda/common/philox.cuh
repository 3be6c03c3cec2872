// Philox4x32-10, the CPU sampler's generator (src/backend/rng.rs): a draw depends on its key alone.
#pragma once

#include <cstdint>

namespace qwarp {

// A uniform draw from [0, 2^53) for one position of one choice of a seeded request.
__device__ inline uint64_t uniform_53(uint32_t seed_low, uint32_t seed_high, uint32_t choice, uint32_t position) {
  constexpr uint32_t ROUNDS = 10;
  uint32_t counter[4] = {position, choice, 0, 0};
  uint32_t key[2] = {seed_low, seed_high};
#pragma unroll
  for (uint32_t round = 0; round < ROUNDS; ++round) {
    if (round > 0) {
      key[0] += 0x9e3779b9u;
      key[1] += 0xbb67ae85u;
    }
    const uint64_t low = 0xd2511f53ull * counter[0];
    const uint64_t high = 0xcd9e8d57ull * counter[2];
    counter[0] = static_cast<uint32_t>(high >> 32) ^ counter[1] ^ key[0];
    counter[1] = static_cast<uint32_t>(high);
    counter[2] = static_cast<uint32_t>(low >> 32) ^ counter[3] ^ key[1];
    counter[3] = static_cast<uint32_t>(low);
  }
  return (static_cast<uint64_t>(counter[0]) << 32 | counter[1]) >> 11;
}

}  // namespace qwarp
