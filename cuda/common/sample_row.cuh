// One row that a token is drawn from, as its CTAs see it: settings, the part of its logits that a CTA has, with bias and
// penalties, and what one launch leaves for the next.
#pragma once

#include <cstdint>

#include "follow.cuh"
#include "mass.cuh"
#include "order.cuh"
#include "scan.cuh"
#include "vec.cuh"

namespace qwarp {

constexpr uint32_t SAMPLE_THREADS = 256;
// Logits of a part.
constexpr uint32_t PART = SAMPLE_THREADS * RUN;
// Sums that the parts of a row add to.
constexpr uint32_t BINS = 2048;
// A row of the settings that no token is drawn for.
constexpr uint32_t UNUSED = 0xffffffffu;

// Words of a row's settings; floats as their bits.
enum Setting {
  ROW,
  TEMPERATURE,
  TOP_K,
  TOP_P,
  MIN_P,
  REPETITION,
  PRESENCE,
  FREQUENCY,
  SEED_LOW,
  SEED_HIGH,
  CHOICE,
  POSITION,
  SETTINGS
};

// Words that a launch leaves for the next. BEST and ARRIVED are zero between launches.
enum State {
  // The greatest key so far.
  BEST,
  // Parts that are done.
  ARRIVED,
  // Whether a token is still to be drawn.
  ACTIVE,
  // The greatest logit's bits.
  MOST,
  // The highest rank that may be drawn.
  LAST,
  // The digits of the rank that is looked for, as far as they are known.
  PREFIX,
  // What the ranks that begin with it have to add up to.
  WANTED_LOW,
  WANTED_HIGH,
  STATE
};

// An entry of a row's changed tokens: 16 bytes.
struct alignas(16) Change {
  uint32_t token;
  // How often it stands in the prompt and the answer, and in the answer alone.
  uint32_t seen;
  uint32_t answered;
  // Added first.
  float bias;
};

struct SampleRow {
  const float* logits;
  const uint32_t* settings;
  const uint32_t* starts;
  const Change* changes;
  uint64_t* state;
  uint64_t* bins;
  uint32_t vocab;

  __device__ float setting(Setting which) const { return __uint_as_float(settings[which]); }
  __device__ bool used() const { return settings[ROW] != UNUSED; }
  __device__ bool greedy() const { return setting(TEMPERATURE) == 0.0f; }
  __device__ bool has_top_k() const { return settings[TOP_K] > 0 && settings[TOP_K] < vocab; }
  __device__ bool has_top_p() const { return setting(TOP_P) < 1.0f; }
  __device__ double weight(float logit) const {
    return weight_of(logit, __uint_as_float(state[MOST]), setting(TEMPERATURE));
  }
  __device__ Wide wanted() const { return static_cast<Wide>(state[WANTED_HIGH]) << 64 | state[WANTED_LOW]; }
  __device__ void want(Wide sum) const {
    state[WANTED_LOW] = static_cast<uint64_t>(sum);
    state[WANTED_HIGH] = static_cast<uint64_t>(sum >> 64);
  }
};

// The row of this CTA, blockIdx.x: from here on what the kernel before wrote can be read.
__device__ inline SampleRow sample_row(const float* logits, const uint32_t* settings, const uint32_t* starts,
                                       const uint32_t* changes, uint64_t* state, uint64_t* bins, uint32_t vocab) {
  follow();
  const size_t row = blockIdx.x;
  const uint32_t* own = settings + row * SETTINGS;
  const size_t of_logits = own[ROW] == UNUSED ? 0 : own[ROW];
  return {logits + of_logits * vocab,
          own,
          starts + row * (gridDim.y + 1),
          reinterpret_cast<const Change*>(changes),
          state + row * STATE,
          bins + row * BINS * 2,
          vocab};
}

// Bias, then repetition penalty, then frequency and presence penalty: the CPU sampler's order, each rounded once.
__device__ inline float changed(const SampleRow& row, const Change& change, float logit) {
  logit += change.bias;
  if (change.seen > 0) {
    const float repetition = row.setting(REPETITION);
    logit = logit > 0.0f ? logit / repetition : logit * repetition;
  }
  if (change.answered > 0) {
    logit -= static_cast<float>(change.answered) * row.setting(FREQUENCY);
    logit -= row.setting(PRESENCE);
  }
  return logit;
}

// Ascending ranks are falling logits, and rising tokens of equal logits.
__device__ inline uint64_t rank_of(float logit, uint32_t token) { return ~key_of(logit, token); }

// The logits of one part of a row, in shared memory.
struct Part {
  // The part's first token.
  uint32_t first;
  const float* logits;

  __device__ uint32_t token(uint32_t i) const { return first + i; }
  __device__ uint64_t rank(uint32_t i) const { return rank_of(logits[i], token(i)); }
  // The eight that this thread has in a scan, from `threadIdx.x * RUN` on. Two accesses of 16 bytes: one after the other, eight
  // would each meet seven other lanes in their bank.
  __device__ void run(float (&values)[RUN]) const {
    const float4* from = reinterpret_cast<const float4*>(logits + threadIdx.x * RUN);
    const float4 v[2] = {from[0], from[1]};
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      values[4 * half] = v[half].x;
      values[4 * half + 1] = v[half].y;
      values[4 * half + 2] = v[half].z;
      values[4 * half + 3] = v[half].w;
    }
  }
};

// Every thread of the CTA takes part. What lies past the row's end is -inf, and is no token.
__device__ inline Part load_part(const SampleRow& row, uint32_t part) {
  __shared__ alignas(16) float staged[PART];
  const uint32_t first = part * PART;
  // `staged` may still be read for another part.
  __syncthreads();
  for (uint32_t at = threadIdx.x * VEC; at < PART; at += SAMPLE_THREADS * VEC) {
    float4 v = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    const uint32_t token = first + at;
    if (token < row.vocab) {
      v = load4(row.logits, token, row.vocab);
      if (token + 1 >= row.vocab) v.y = -INFINITY;
      if (token + 2 >= row.vocab) v.z = -INFINITY;
      if (token + 3 >= row.vocab) v.w = -INFINITY;
    }
    *reinterpret_cast<float4*>(staged + at) = v;
  }
  __syncthreads();
  const uint32_t end = row.starts[part + 1];
  for (uint32_t i = row.starts[part] + threadIdx.x; i < end; i += SAMPLE_THREADS) {
    const Change change = row.changes[i];
    float* logit = staged + (change.token - first);
    *logit = changed(row, change, *logit);
  }
  __syncthreads();
  return {first, staged};
}

// Whether this CTA is the last of its row to come here: it then sees what the others have written. The last one to count
// makes the count zero again, which no plain store could do without a race.
__device__ inline bool last_of_row(const SampleRow& row) {
  __shared__ uint32_t before;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    before = atomicInc(reinterpret_cast<uint32_t*>(row.state + ARRIVED), gridDim.y - 1);
    __threadfence();
  }
  __syncthreads();
  return before == gridDim.y - 1;
}

}  // namespace qwarp
