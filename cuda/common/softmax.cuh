// Softmax in parts: weights relative to a part's highest score, and the one formula by which parts merge.
#pragma once

#include <cfloat>
#include <cmath>

#include "exp.cuh"

namespace qwarp {

// What is known of a row's scores: the highest, and the sum of the weights relative to it.
struct Softmax {
  float max, sum;
};

__device__ inline Softmax no_scores() { return {-INFINITY, 0.0f}; }

// The score of what a row does not see. Scores have been scaled by an eighth or less, so this is below every finite one, and
// less any of them still finite: its weight is zero. Minus infinity would do, but a key that overflows gives it too.
constexpr float UNSEEN = -0x1p127f;

// e^x for a score less the highest, and NaN where either is none or infinite: a broken row must not look like an answer.
__device__ inline float weight(float x) { return x >= -FLT_MAX ? exp_exact(x) : NAN; }

// What the two sides of a merge are multiplied by.
struct Scales {
  float old_part, new_part;
};

// Takes the part `next`, which follows all that `state` knows of.
__device__ inline Scales merge(Softmax& state, Softmax next) {
  const float max = fmaxf(state.max, next.max);
  const Scales by = {exp_exact(state.max - max), exp_exact(next.max - max)};
  state = {max, state.sum * by.old_part + next.sum * by.new_part};
  return by;
}

// An output element of the merged parts. A zero of the new part loses its sign: whether a tile in which a row sees nothing
// has added its zeros must not show.
__device__ inline float merged(Scales by, float old_part, float new_part) {
  return old_part * by.old_part + (new_part + 0.0f) * by.new_part;
}

}  // namespace qwarp
