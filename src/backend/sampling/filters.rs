//! Which tokens may be drawn: top-k, then top-p, then min-p.

use super::SamplingParams;
use super::weight::{exp, mass, share};

/// A token that may be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its place in the order of tokens: by falling logit, then by rising id.
    rank: u64,
    /// Its probability as a multiple of the most probable token's.
    weight: f64,
}

impl Candidate {
    /// The token.
    #[inline(always)]
    pub fn id(&self) -> u32 {
        self.rank as u32
    }

    /// Whether its logit is -inf. Such tokens come last in the order, so top-k takes none instead of a possible one.
    fn impossible(&self) -> bool {
        self.rank >= rank(f32::NEG_INFINITY, 0)
    }

    /// Its weight, in a form whose sums are exact.
    #[inline(always)]
    pub fn mass(&self) -> u128 {
        u128::from(mass(self.weight))
    }
}

/// What the filters leave of `logits`, in ascending id; `max` is the largest of them.
pub fn keep(logits: &[f32], max: f32, params: &SamplingParams) -> Vec<Candidate> {
    let (max_wide, temperature) = (f64::from(max), f64::from(params.temperature));
    let weight = |logit: f32| exp((f64::from(logit) - max_wide) / temperature);
    let k = params.top_k as usize;
    let mut kept: Vec<Candidate> = if k > 0 && k < logits.len() {
        let weigh = |rank: u64| Candidate {
            rank,
            weight: weight(logits[rank as u32 as usize]),
        };
        top_k(logits, k).into_iter().map(weigh).collect()
    } else {
        // A loop of its own, without a branch, which compilers turn into SIMD code: it is most of the cost.
        let weights: Vec<f64> = logits.iter().map(|&logit| weight(logit)).collect();
        let weigh = |(rank, &weight)| Candidate { rank, weight };
        ranks(logits).zip(&weights).map(weigh).collect()
    };
    if kept.iter().any(Candidate::impossible) {
        kept.retain(|candidate| !candidate.impossible());
    }
    if params.top_p < 1.0 {
        top_p(&mut kept, params.top_p, |floor| {
            // Any rounding will do here: it moves where the search starts, not where it ends.
            (max_wide + temperature * floor.ln()) as f32
        });
    }
    if params.min_p > 0.0 {
        let least = f64::from(params.min_p);
        kept.retain(|candidate| candidate.weight >= least);
    }
    kept
}

/// The ranks of all tokens, in ascending id.
fn ranks(logits: &[f32]) -> impl Iterator<Item = u64> {
    let ids = 0..logits.len() as u32;
    logits.iter().zip(ids).map(|(&logit, id)| rank(logit, id))
}

/// Ascending ranks are falling logits, and rising ids among equal logits.
fn rank(logit: f32, id: u32) -> u64 {
    // Adding zero makes -0 equal to 0. Floats order like sign and magnitude: negative ones already fall as bits rise.
    let bits = (logit + 0.0).to_bits();
    let falling = if bits >> 31 == 0 {
        bits ^ (u32::MAX >> 1)
    } else {
        bits
    };
    u64::from(falling) << 32 | u64::from(id)
}

/// The `k` lowest ranks, in ascending id. One pass, which keeps at most 2k and drops the worse half when they are full.
fn top_k(logits: &[f32], k: usize) -> Vec<u64> {
    let mut best = Vec::with_capacity(2 * k);
    let mut last = u64::MAX;
    let drop_worse = |best: &mut Vec<u64>| {
        let (_, &mut last, _) = best.select_nth_unstable(k - 1);
        best.truncate(k);
        last
    };
    for rank in ranks(logits) {
        if rank < last {
            best.push(rank);
            if best.len() == 2 * k {
                last = drop_worse(&mut best);
            }
        }
    }
    if best.len() > k {
        drop_worse(&mut best);
    }
    best.sort_unstable_by_key(|&rank| rank as u32);
    best
}

/// Drops what comes after the token whose sum reaches the share `p`. `logit_at` gives the logit of a weight.
fn top_p(kept: &mut Vec<Candidate>, p: f32, logit_at: impl Fn(f64) -> f32) {
    let (down, dropped) = share(mass_of(kept), f64::from(p));
    let wanted = down + u128::from(dropped);
    // The share is nearly always reached among the few tokens with most of the weight; the rest is then never ordered.
    for floor in [0.1, 1e-3, 1e-6, 0.0] {
        let last = if floor > 0.0 {
            rank(logit_at(floor), u32::MAX)
        } else {
            u64::MAX
        };
        let mut head: Vec<Candidate> = kept
            .iter()
            .filter(|candidate| candidate.rank <= last)
            .copied()
            .collect();
        if mass_of(&head) >= wanted {
            let last = crossing(&mut head, wanted);
            kept.retain(|candidate| candidate.rank <= last);
            return;
        }
    }
}

/// The rank at which the sum of masses, in order of rank, reaches `wanted`; together they do. Halves the range that it
/// must be in, so the cost is linear: only the set matters, not the order inside it.
fn crossing(head: &mut [Candidate], wanted: u128) -> u64 {
    let (mut start, mut end, mut before) = (0, head.len(), 0);
    while end - start > 1 {
        let middle = (end - start - 1) / 2;
        head[start..end].select_nth_unstable_by_key(middle, |candidate| candidate.rank);
        let middle = start + middle + 1;
        let sum = before + mass_of(&head[start..middle]);
        if sum >= wanted {
            end = middle;
        } else {
            (start, before) = (middle, sum);
        }
    }
    head.get(start).map_or(u64::MAX, |candidate| candidate.rank)
}

fn mass_of(candidates: &[Candidate]) -> u128 {
    candidates.iter().map(Candidate::mass).sum()
}
