//! Pearson's test: how likely counts at least this far from their expectation are.

/// The statistic and its degrees of freedom; cells that expect fewer than 10 are one cell.
pub fn statistic(observed: &[u64], probabilities: &[f64]) -> (f64, usize) {
    let draws: u64 = observed.iter().sum();
    let (mut cells, mut rest) = (Vec::new(), (0.0, 0.0));
    for (&count, p) in observed.iter().zip(probabilities) {
        let expected = p * draws as f64;
        if expected >= 10.0 {
            cells.push((count as f64, expected));
        } else {
            rest = (rest.0 + count as f64, rest.1 + expected);
        }
    }
    if rest.1 >= 10.0 {
        cells.push(rest);
    } else {
        let largest = cells.iter_mut().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        *largest = (largest.0 + rest.0, largest.1 + rest.1);
    }
    let sum = cells
        .iter()
        .map(|(count, expected)| (count - expected).powi(2) / expected)
        .sum();
    (sum, cells.len() - 1)
}

/// Probability of a statistic of at least `x` with `freedom` degrees: the upper regularised gamma function.
pub fn p_value(x: f64, freedom: usize) -> f64 {
    let (a, x) = (freedom as f64 / 2.0, x / 2.0);
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        // Series of the lower function.
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..10_000 {
            term *= x / (a + f64::from(n));
            sum += term;
        }
        return 1.0 - front * sum;
    }
    // Continued fraction of the upper one, from its far end.
    let mut tail = 0.0;
    for n in (1..10_000).rev() {
        let n = f64::from(n);
        tail = n * (n - a) / (x + 2.0 * n + 1.0 - a - tail);
    }
    front / (x + 1.0 - a - tail)
}

/// ln of the gamma function of a multiple of one half.
fn ln_gamma(a: f64) -> f64 {
    let (mut at, mut sum) = if a.fract() == 0.0 {
        (1.0, 0.0)
    } else {
        (0.5, std::f64::consts::PI.ln() / 2.0)
    };
    while at < a {
        sum += f64::ln(at);
        at += 1.0;
    }
    sum
}

#[test]
fn the_test_knows_the_tables() {
    for (x, freedom, p) in [
        (3.841_458_8, 1, 0.05),
        (29.588_298, 10, 0.001),
        (124.342_113, 100, 0.05),
        (77.929_465, 100, 0.95),
        (267.540_528, 200, 0.001),
    ] {
        assert!(
            (p_value(x, freedom) - p).abs() < 1e-6,
            "{x} {freedom}: {}",
            p_value(x, freedom)
        );
    }
    // A coin that shows 5,200 heads in 10,000 throws is not fair: 4 standard deviations.
    let (x, freedom) = statistic(&[5_200, 4_800], &[0.5, 0.5]);
    assert!(freedom == 1 && p_value(x, freedom) < 1e-4);
    assert_eq!(statistic(&[90, 4, 3, 3], &[0.9, 0.04, 0.03, 0.03]).1, 1);
}
