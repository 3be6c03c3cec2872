// Sums over a row by bin: a CTA's own in shared memory, then added to the row's. Integers, so the order of adding is free.
//
// A bin is two 64-bit words, low + high * 2^42, so that the low words of a whole row of 2^22 masses do not overflow. Shared
// memory adds 32 bits at a time: three words a mass, of 21, 21 and 21 bits, whose sums over a part of 2,048 stay below 2^32.
#pragma once

#include <cstdint>

#include "sample_row.cuh"

namespace qwarp {

// The high word of a bin counts 2^42.
constexpr uint32_t HIGH_AT = 42;
// Bits of a mass in one shared word.
constexpr uint32_t PIECE = 21;
constexpr uint32_t DIGITS = 3;

// Of the 32 bits of a falling logit, 11, 11 and 10 are a digit; each digit has its launch.
__device__ inline uint32_t shift_of(uint32_t digit) { return digit == 0 ? 21 : digit == 1 ? 10 : 0; }

// Whether the rank has the digits before this one that are looked for.
__device__ inline bool begins_with(uint64_t rank, uint64_t prefix, uint32_t digit) {
  return digit == 0 || static_cast<uint32_t>(rank >> 32) >> shift_of(digit - 1) == prefix;
}

__device__ inline uint32_t bin_of(uint64_t rank, uint32_t digit) {
  const uint32_t bits = digit == DIGITS - 1 ? 10 : 11;
  return static_cast<uint32_t>(rank >> 32) >> shift_of(digit) & ((1u << bits) - 1);
}

// A CTA's sums: WORDS 1 for counts, 3 for masses.
template <uint32_t WORDS>
struct PartBins {
  uint32_t (&at)[WORDS][BINS];

  __device__ void clear() const {
    for (uint32_t bin = threadIdx.x; bin < BINS; bin += SAMPLE_THREADS) {
#pragma unroll
      for (uint32_t word = 0; word < WORDS; ++word) at[word][bin] = 0;
    }
    __syncthreads();
  }

  __device__ void add(uint32_t bin, uint64_t amount) const {
    if (amount == 0) return;
#pragma unroll
    for (uint32_t word = 0; word < WORDS; ++word) {
      const uint32_t piece = static_cast<uint32_t>(amount >> (PIECE * word)) & ((1u << PIECE) - 1);
      atomicAdd(&at[word][bin], piece);
    }
  }

  // Adds to the row's.
  __device__ void flush(uint64_t* bins) const {
    __syncthreads();
    for (uint32_t bin = threadIdx.x; bin < BINS; bin += SAMPLE_THREADS) {
      unsigned long long* to = reinterpret_cast<unsigned long long*>(bins + 2 * bin);
      uint64_t low = at[0][bin];
      if (WORDS > 1) low += static_cast<uint64_t>(at[1][bin]) << PIECE;
      if (low > 0) atomicAdd(to, low);
      if (WORDS > 2 && at[2][bin] > 0) atomicAdd(to + 1, at[2][bin]);
    }
  }
};

// The row's sums, eight a thread, which are zero afterwards. For the last CTA of a row.
__device__ inline void take_bins(uint64_t* bins, Wide (&values)[RUN]) {
#pragma unroll
  for (uint32_t k = 0; k < RUN; ++k) {
    uint64_t* bin = bins + 2 * (threadIdx.x * RUN + k);
    values[k] = bin[0] + (static_cast<Wide>(bin[1]) << HIGH_AT);
    bin[0] = 0;
    bin[1] = 0;
  }
}

}  // namespace qwarp
