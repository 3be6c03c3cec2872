//! One draw from what the filters left.

use super::filters::Candidate;
use super::weight::share;

/// The token at `uniform` (in 0..1) of the total, in ascending id.
pub fn draw(kept: &[Candidate], uniform: f64) -> u32 {
    let total = kept.iter().map(|candidate| candidate.mass()).sum();
    let (target, _) = share(total, uniform);
    let mut sum = 0;
    // The sums are exact and the target is below the total, so one token always passes it.
    let drawn = kept.iter().find(|candidate| {
        sum += candidate.mass();
        target < sum
    });
    drawn.map_or(0, Candidate::id)
}
