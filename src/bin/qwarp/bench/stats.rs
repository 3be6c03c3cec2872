//! Mean, standard deviation and median of samples, as llama-bench and everybody else defines them.

/// The arithmetic mean; 0 of nothing.
pub fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len().max(1) as f64
}

/// The standard deviation of a sample (n - 1); 0 of fewer than two.
pub fn deviation(samples: &[f64]) -> f64 {
    let mean = mean(samples);
    let squares: f64 = samples.iter().map(|x| (x - mean) * (x - mean)).sum();
    match samples.len() {
        0 | 1 => 0.0,
        count => (squares / (count - 1) as f64).sqrt(),
    }
}

/// The middle one, or the mean of the middle two; 0 of nothing.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.len() / 2;
    let lower = sorted.len().saturating_sub(1) / 2;
    mean(sorted.get(lower..=upper).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_samples_give_known_figures() {
        let samples = [4.0, 1.0, 3.0, 2.0];
        assert_eq!((mean(&samples), median(&samples)), (2.5, 2.5));
        assert_eq!(deviation(&samples), (5.0f64 / 3.0).sqrt());
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!((median(&[7.0]), deviation(&[7.0])), (7.0, 0.0));
        assert_eq!((mean(&[]), deviation(&[]), median(&[])), (0.0, 0.0, 0.0));
    }
}
