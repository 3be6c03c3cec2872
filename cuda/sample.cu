// A token for each row of logits: the CPU sampler's (src/backend/sampling), the same one for the same seed.
//
// Shapes: logits (logit rows, vocab), settings (rows, 12), starts (rows, parts + 1), changes (changes, 4), state (rows, 8),
// bins (rows, 2048, 2), tokens (rows); what the words are stands in common/sample_row.cuh. Rows of settings name the row of
// logits that they draw from, so several draws can share one. vocab is at most 2048 parts of 2,048 logits. A change of token t
// stands between starts[t / 2048] and the next of its row; the host checks it, and that a token has one change.
// Grid: (rows, parts), CTA of 256 threads, the same for the seven launches of a step: max (which counts the first digit of
// top-k), top_k (digits 1 and 2), top_p (digits 0 to 2), draw. A launch that a row has no use for ends at once, so rows that
// are greedy, filtered and plain go through the same launches, and those fit into a graph. Static shared memory: 17,204 bytes
// of max, 16,948 of top_k, 33,332 of top_p, 8,756 of draw.
// Between launches: the last CTA of a row to finish sums up and leaves what the next launch starts from. state and bins are
// zero before the first step; each step leaves both ready for the next.
// Numerics: bias and penalties in f32, each operation rounded once, in the CPU's order; weights in f64, nothing fused; sums in
// integers of 128 bits, so that atomics in any order give the same. A filter ends at a rank, a logit's bits and a token's
// number: three digits of the bits by a histogram each, of counts for top-k and of masses for top-p, and then the token among
// equal logits by a walk of one CTA along the row, only where the filter ends inside of them. Temperature 0 ends after max. A
// row with NaN, +inf or no finite logit gives token 4294967295, and so does an unused one.
// Bound: latency of seven launches in a row, each of which reads the row's 0.6 MB from L2, six histograms at most. The f64
// rate counts on small cards: about 50 operations a token that has a mass, once in top_p and once in draw, of which draw leaves
// out what a filter has dropped. Predicted for one row of 151,936, before any measurement: H200 16 us greedy, 20 us with a
// temperature, 40 us with top-k and top-p; T4, whose f64 rate is 1/32 of f32, 30, 100 and 130 us. Rows run side by side.
// Tried on paper only: one CTA a row in one launch, which reads a row at 1/132 of the card and takes 2 ms of f64 on a T4; a list
// of candidates in place of later digits, whose worst case, a flat row, needs them all the same.
// Counted on the emulator, one row, top-p 0.8, with top-k 20 and without: 0.7 to 1.2 MB of sectors a launch that works and 2.0 at
// most, of which the row is 0.6 and most of the rest words that a warp's lanes share; bank conflicts 10,214 in max with top-k,
// 30,642 in top_p's first digit without, 4,864 in draw, next to none elsewhere. Those of max and top_p are atomics: neighbours in
// a row fall into few bins, so a warp's lanes meet in a word, and shared memory adds them one after the other, at most 8 a thread
// for counts and 24 for masses. Those of draw are its run of eight logits a thread, which a scan in ascending token needs.

#include "common/philox.cuh"
#include "common/sample_bins.cuh"
#include "common/sample_row.cuh"

namespace {

using qwarp::Part;
using qwarp::RUN;
using qwarp::SampleRow;
using qwarp::Wide;

// The last rank that is kept of tokens whose logits are equal, where they add up to `wanted` when each counts `each`. For the
// last CTA of a row; it alone goes along the row again, which is rare: only where a filter ends among equal logits.
__device__ uint64_t last_of_equals(const SampleRow& row, uint32_t falling, uint64_t last, uint64_t each, Wide wanted) {
  for (uint32_t part = 0; part < gridDim.y; ++part) {
    const Part loaded = qwarp::load_part(row, part);
    float logits[RUN];
    loaded.run(logits);
    Wide values[RUN];
#pragma unroll
    for (uint32_t k = 0; k < RUN; ++k) {
      const uint32_t token = loaded.token(threadIdx.x * RUN + k);
      const uint64_t rank = qwarp::rank_of(logits[k], token);
      const bool counts = rank >> 32 == falling && rank <= last && token < row.vocab;
      values[k] = counts ? each : 0;
    }
    const qwarp::Scan scan = qwarp::block_scan(values);
    if (scan.all >= wanted) {
      const uint32_t token = loaded.first + qwarp::reached(values, scan, wanted).index;
      return static_cast<uint64_t>(falling) << 32 | token;
    }
    wanted -= scan.all;
  }
  return last;
}

// Goes on with the digit that the sum reaches `wanted` at; after the last one the rank is known.
__device__ void next_digit(const SampleRow& row, uint32_t digit, const qwarp::Reached& at, Wide wanted, uint64_t each) {
  const uint32_t bits = digit == qwarp::DIGITS - 1 ? 10 : 11;
  const uint64_t known = digit == 0 ? 0 : row.state[qwarp::PREFIX];
  const uint64_t prefix = known << bits | at.index;
  uint64_t last = row.state[qwarp::LAST];
  wanted -= at.before;
  if (digit == qwarp::DIGITS - 1) {
    // All of the equal ones, unless the sum reaches it without the last of them.
    const uint64_t all = prefix << 32 | qwarp::NO_TOKEN;
    last = wanted + each <= at.value ? last_of_equals(row, prefix, last, each, wanted) : min(last, all);
  }
  // Every thread has read what stands there.
  __syncthreads();
  if (threadIdx.x == 0) {
    row.state[qwarp::PREFIX] = prefix;
    row.state[qwarp::LAST] = last;
    row.want(wanted);
  }
}

// Adds 1 for each token that begins with `prefix` to its bin.
__device__ void count(const SampleRow& row, const Part& part, uint32_t digit, uint64_t prefix) {
  __shared__ uint32_t counts[1][qwarp::BINS];
  const qwarp::PartBins<1> bins = {counts};
  bins.clear();
  for (uint32_t i = threadIdx.x; i < qwarp::PART; i += qwarp::SAMPLE_THREADS) {
    const uint64_t rank = part.rank(i);
    if (part.token(i) < row.vocab && qwarp::begins_with(rank, prefix, digit)) bins.add(qwarp::bin_of(rank, digit), 1);
  }
  bins.flush(row.bins);
}

// Looks for the token at which the count reaches `wanted`.
__device__ void count_to(const SampleRow& row, uint32_t digit, Wide wanted) {
  Wide values[RUN];
  qwarp::take_bins(row.bins, values);
  const qwarp::Scan scan = qwarp::block_scan(values);
  next_digit(row, digit, qwarp::reached(values, scan, wanted), wanted, 1);
}

// The masses of what may be drawn of a part, and their sums.
__device__ qwarp::Scan draw_masses(const SampleRow& row, uint32_t index, Wide (&values)[RUN]) {
  const Part part = qwarp::load_part(row, index);
  float logits[RUN];
  part.run(logits);
  const uint64_t last = row.state[qwarp::LAST];
  const double least = row.setting(qwarp::MIN_P);
#pragma unroll
  for (uint32_t k = 0; k < RUN; ++k) {
    values[k] = 0;
    if (qwarp::rank_of(logits[k], part.token(threadIdx.x * RUN + k)) > last) continue;
    // What lies past the row's end is -inf and has no mass.
    const double weight = row.weight(logits[k]);
    if (weight >= least) values[k] = qwarp::mass_of(weight);
  }
  return qwarp::block_scan(values);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256, 2) sample_f32_max(
    const float* BY_SEQUENCE logits,        // (logit rows, vocab)
    const uint32_t* __restrict__ settings,  // (rows, 12)
    const uint32_t* __restrict__ starts,    // (rows, parts + 1)
    const uint32_t* __restrict__ changes,   // (changes, 4)
    uint64_t* state,                        // (rows, 8) inout
    uint64_t* bins,                         // (rows, 2048, 2) inout
    uint32_t* __restrict__ tokens,          // (rows)
    uint32_t vocab) {
  const SampleRow row = qwarp::sample_row(logits, settings, starts, changes, state, bins, vocab);
  if (!row.used()) {
    if (blockIdx.y == 0 && threadIdx.x == 0) {
      row.state[qwarp::ACTIVE] = 0;
      tokens[blockIdx.x] = qwarp::NO_TOKEN;
    }
    return;
  }
  const bool counts = row.has_top_k() && !row.greedy();
  const Part part = qwarp::load_part(row, blockIdx.y);
  uint64_t best = qwarp::Max::identity();
  for (uint32_t i = threadIdx.x; i < qwarp::PART; i += qwarp::SAMPLE_THREADS) {
    if (part.token(i) < vocab) best = qwarp::Max::combine(best, ~part.rank(i));
  }
  best = qwarp::block_reduce<qwarp::Max>(best);
  unsigned long long* greatest = reinterpret_cast<unsigned long long*>(row.state + qwarp::BEST);
  if (threadIdx.x == 0) atomicMax(greatest, best);
  if (counts) count(row, part, 0, 0);
  if (!qwarp::last_of_row(row)) return;
  best = row.state[qwarp::BEST];
  const uint32_t token = qwarp::token_of(best);
  // Every thread has read the key.
  __syncthreads();
  if (threadIdx.x == 0) {
    tokens[blockIdx.x] = token;
    row.state[qwarp::BEST] = 0;
    row.state[qwarp::ACTIVE] = token != qwarp::NO_TOKEN && !row.greedy();
    row.state[qwarp::MOST] = __float_as_uint(qwarp::logit_of(best >> 32));
    row.state[qwarp::LAST] = ~0ull;
  }
  __syncthreads();
  if (counts) count_to(row, 0, row.settings[qwarp::TOP_K]);
}

extern "C" __global__ void __launch_bounds__(256, 2) sample_f32_top_k(
    const float* BY_SEQUENCE logits,        // (logit rows, vocab)
    const uint32_t* __restrict__ settings,  // (rows, 12)
    const uint32_t* __restrict__ starts,    // (rows, parts + 1)
    const uint32_t* __restrict__ changes,   // (changes, 4)
    uint64_t* state,                        // (rows, 8) inout
    uint64_t* bins,                         // (rows, 2048, 2) inout
    uint32_t vocab,
    uint32_t digit) {
  const SampleRow row = qwarp::sample_row(logits, settings, starts, changes, state, bins, vocab);
  if (!row.used() || !row.has_top_k() || row.state[qwarp::ACTIVE] == 0) return;
  count(row, qwarp::load_part(row, blockIdx.y), digit, row.state[qwarp::PREFIX]);
  if (qwarp::last_of_row(row)) count_to(row, digit, row.wanted());
}

extern "C" __global__ void __launch_bounds__(256, 2) sample_f32_top_p(
    const float* BY_SEQUENCE logits,        // (logit rows, vocab)
    const uint32_t* __restrict__ settings,  // (rows, 12)
    const uint32_t* __restrict__ starts,    // (rows, parts + 1)
    const uint32_t* __restrict__ changes,   // (changes, 4)
    uint64_t* state,                        // (rows, 8) inout
    uint64_t* bins,                         // (rows, 2048, 2) inout
    uint32_t vocab,
    uint32_t digit) {
  __shared__ uint32_t masses[3][qwarp::BINS];
  const SampleRow row = qwarp::sample_row(logits, settings, starts, changes, state, bins, vocab);
  if (!row.used() || !row.has_top_p() || row.state[qwarp::ACTIVE] == 0) return;
  const qwarp::PartBins<3> own = {masses};
  own.clear();
  const uint64_t prefix = row.state[qwarp::PREFIX];
  const uint64_t last = row.state[qwarp::LAST];
  const Part part = qwarp::load_part(row, blockIdx.y);
  for (uint32_t i = threadIdx.x; i < qwarp::PART; i += qwarp::SAMPLE_THREADS) {
    const uint64_t rank = part.rank(i);
    // What lies past the row's end is -inf and has no mass.
    if (rank > last || !qwarp::begins_with(rank, prefix, digit)) continue;
    own.add(qwarp::bin_of(rank, digit), qwarp::mass_of(row.weight(part.logits[i])));
  }
  own.flush(row.bins);
  if (!qwarp::last_of_row(row)) return;
  Wide values[RUN];
  qwarp::take_bins(row.bins, values);
  const qwarp::Scan scan = qwarp::block_scan(values);
  Wide wanted = row.wanted();
  if (digit == 0) {
    constexpr double ONE = 9007199254740992.0;
    const uint64_t fraction = __double2ull_rz(static_cast<double>(row.setting(qwarp::TOP_P)) * ONE);
    const qwarp::Share share = qwarp::share_of(scan.all, fraction);
    wanted = share.down + share.dropped;
    // The most probable token always stays.
    if (wanted == 0) wanted = 1;
  }
  const qwarp::Reached at = qwarp::reached(values, scan, wanted);
  uint64_t each = 0;
  if (digit == qwarp::DIGITS - 1) {
    const uint32_t falling = static_cast<uint32_t>(prefix) << 10 | at.index;
    each = qwarp::mass_of(row.weight(qwarp::logit_of(~falling)));
  }
  next_digit(row, digit, at, wanted, each);
}

extern "C" __global__ void __launch_bounds__(256, 2) sample_f32_draw(
    const float* BY_SEQUENCE logits,        // (logit rows, vocab)
    const uint32_t* __restrict__ settings,  // (rows, 12)
    const uint32_t* __restrict__ starts,    // (rows, parts + 1)
    const uint32_t* __restrict__ changes,   // (changes, 4)
    uint64_t* state,                        // (rows, 8) inout
    uint64_t* bins,                         // (rows, 2048, 2) inout
    uint32_t* tokens,                       // (rows) inout
    uint32_t vocab) {
  const SampleRow row = qwarp::sample_row(logits, settings, starts, changes, state, bins, vocab);
  if (!row.used() || row.state[qwarp::ACTIVE] == 0) return;
  Wide values[RUN];
  qwarp::Scan scan = draw_masses(row, blockIdx.y, values);
  if (threadIdx.x == 0) {
    row.bins[2 * blockIdx.y] = static_cast<uint64_t>(scan.all) & ((1ull << qwarp::HIGH_AT) - 1);
    row.bins[2 * blockIdx.y + 1] = static_cast<uint64_t>(scan.all >> qwarp::HIGH_AT);
  }
  if (!qwarp::last_of_row(row)) return;
  qwarp::take_bins(row.bins, values);
  scan = qwarp::block_scan(values);
  const uint32_t* set = row.settings;
  const uint64_t uniform =
      qwarp::uniform_53(set[qwarp::SEED_LOW], set[qwarp::SEED_HIGH], set[qwarp::CHOICE], set[qwarp::POSITION]);
  // The token whose sum is the first above the draw's share.
  const Wide wanted = qwarp::share_of(scan.all, uniform).down + 1;
  const qwarp::Reached part = qwarp::reached(values, scan, wanted);
  scan = draw_masses(row, part.index, values);
  const qwarp::Reached drawn = qwarp::reached(values, scan, wanted - part.before);
  if (threadIdx.x == 0) tokens[blockIdx.x] = part.index * qwarp::PART + drawn.index;
}
