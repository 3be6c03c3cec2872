//! Figures a caller prints: percentiles of latencies.

/// Median, 99th percentile and maximum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Percentiles {
    /// Of `samples`, by the nearest-rank rule; `None` of nothing.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = |percent: usize| {
            let rank = (percent * sorted.len()).div_ceil(100).max(1);
            sorted.get(rank - 1).copied()
        };
        Some(Percentiles {
            p50: rank(50)?,
            p99: rank(99)?,
            max: *sorted.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        assert_eq!(Percentiles::of(&[]), None);
        let samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(
            Percentiles::of(&samples),
            Some(Percentiles {
                p50: 100.0,
                p99: 198.0,
                max: 200.0
            })
        );
        assert_eq!(
            Percentiles::of(&[7.0]),
            Some(Percentiles {
                p50: 7.0,
                p99: 7.0,
                max: 7.0
            })
        );
    }
}
