//! Logits of ours against the reference's: KL, and the top token wherever the reference is sure of it.

use crate::real_case::Row;

/// The largest mean KL over the positions of a run.
pub const MAX_MEAN_KL: f64 = 2e-3;
/// Mass outside the 64 stored logits below which it is their rounding.
const MIN_REST: f64 = 1e-5;

/// What was found over some positions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Distance {
    /// Positions compared.
    pub positions: usize,
    /// Sum of their KL.
    pub kl_sum: f64,
    /// The largest KL.
    pub kl_max: f64,
    /// Positions whose two best reference logits are closer than the largest error of transformers' own run in the type.
    pub near_ties: usize,
    /// Positions with the reference's top token.
    pub same_top1: usize,
    /// Positions with another, near-ties apart.
    pub wrong_top1: usize,
}

impl Distance {
    /// Adds one position. `noise`: see `near_ties`.
    pub fn add(&mut self, row: &Row, ours: &[f32], noise: f64) {
        let (kl, _) = row.distance(ours, MIN_REST);
        self.positions += 1;
        self.kl_sum += kl;
        // A NaN must not be lost in a comparison.
        self.kl_max = if kl > self.kl_max || kl.is_nan() {
            kl
        } else {
            self.kl_max
        };
        let best = (0..ours.len()).max_by(|&a, &b| ours[a].total_cmp(&ours[b]));
        let same = best == usize::try_from(row.ids[0]).ok();
        let near_tie = f64::from(row.logits[0] - row.logits[1]) <= noise;
        self.near_ties += usize::from(near_tie);
        self.same_top1 += usize::from(same);
        self.wrong_top1 += usize::from(!same && !near_tie);
    }

    /// Mean KL of a position.
    pub fn kl_mean(&self) -> f64 {
        self.kl_sum / self.positions as f64
    }

    /// Whether the run is as close as it has to be; not where nothing was compared.
    pub fn passed(&self) -> bool {
        self.positions > 0 && self.kl_mean() <= MAX_MEAN_KL && self.wrong_top1 == 0
    }
}
