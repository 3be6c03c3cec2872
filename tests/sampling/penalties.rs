//! Bias and penalties against their formulas, and what each of them counts.

use std::sync::Arc;

use qwarp::backend::sampling::{SampleRow, SamplingParams, penalised};

use crate::rows::{Random, real};

fn row(repetition: f32, presence: f32, frequency: f32) -> SampleRow {
    SampleRow {
        params: SamplingParams {
            repetition_penalty: repetition,
            presence_penalty: presence,
            frequency_penalty: frequency,
            ..SamplingParams::GREEDY
        },
        // Prompt 0 0 1 4, answer 1 2 2 2.
        history: Arc::new(vec![0, 0, 1, 4, 1, 2, 2, 2]),
        prompt_len: 4,
        ..SampleRow::default()
    }
}

#[test]
fn each_penalty_counts_what_it_says() {
    let logits = [4.0, -4.0, 0.0, 1.0, f32::NEG_INFINITY, 8.0];
    let none = f32::NEG_INFINITY;
    let cases = [
        // Prompt and answer, once however often; zero stays zero.
        (row(2.0, 0.0, 0.0), [2.0, -8.0, 0.0, 1.0, none, 8.0]),
        (row(0.5, 0.0, 0.0), [8.0, -2.0, 0.0, 1.0, none, 8.0]),
        // The answer alone, once.
        (row(1.0, 0.5, 0.0), [4.0, -4.5, -0.5, 1.0, none, 8.0]),
        // The answer alone, each time.
        (row(1.0, 0.0, 0.25), [4.0, -4.25, -0.75, 1.0, none, 8.0]),
        (row(1.0, 0.0, -2.0), [4.0, -2.0, 6.0, 1.0, none, 8.0]),
        // Repetition first.
        (row(2.0, 1.0, 0.5), [2.0, -9.5, -2.5, 1.0, none, 8.0]),
    ];
    for (row, expected) in cases {
        assert_eq!(*penalised(&logits, &row), expected, "{:?}", row.params);
    }
}

#[test]
fn the_bias_comes_before_the_penalties() {
    let mut row = row(4.0, 0.5, 0.0);
    row.logit_bias = vec![(1, 6.0), (5, -100.0), (4, 50.0)].into();
    let logits = [4.0, -4.0, 0.0, 1.0, f32::NEG_INFINITY, 8.0];
    // -4 + 6 = 2, then / 4, then - 0.5; a token that cannot be is not made possible by a bias.
    let expected = [1.0, 0.0, -0.5, 1.0, f32::NEG_INFINITY, -92.0];
    assert_eq!(*penalised(&logits, &row), expected);
}

#[test]
fn without_bias_and_penalties_nothing_is_copied() {
    let logits = [1.0, 2.0];
    let found = penalised(&logits, &row(1.0, 0.0, 0.0));
    assert!(matches!(found, std::borrow::Cow::Borrowed(_)));
}

#[test]
fn tokens_outside_the_row_and_short_histories_are_harmless() {
    let mut row = row(2.0, 1.0, 1.0);
    row.logit_bias = vec![(u32::MAX, 1.0)].into();
    row.history = Arc::new(vec![u32::MAX, 1]);
    row.prompt_len = 9;
    assert_eq!(*penalised(&[4.0, 4.0], &row), [4.0, 2.0]);
}

#[test]
fn real_rows_follow_the_formula() {
    let mut dice = Random(5);
    let (mut changed, mut flipped) = (0, 0);
    for logits in real() {
        let vocab = logits.len();
        let (prompt_len, len) = (dice.below(100), 100 + dice.below(100));
        let history: Vec<u32> = (0..len).map(|_| dice.below(vocab) as u32).collect();
        let mut row = row(
            0.5 + dice.unit() * 1.5,
            dice.unit() * 4.0 - 2.0,
            dice.unit() * 4.0 - 2.0,
        );
        let bias = (0..vocab as u32 / 3).map(|i| (i * 3, dice.normal() * 10.0));
        row.logit_bias = bias.collect();
        row.prompt_len = prompt_len;
        row.history = Arc::new(history);
        for (id, found) in penalised(&logits, &row).iter().enumerate() {
            let (expected, magnitude) = formula(f64::from(logits[id]), id as u32, &row);
            let error = (f64::from(*found) - expected).abs();
            // Five f32 operations, each rounded once.
            assert!(
                error <= 5.0 * magnitude * 2f64.powi(-24),
                "{found} {expected}"
            );
            changed += usize::from(*found != logits[id]);
            flipped += usize::from((*found > 0.0) != (logits[id] > 0.0));
        }
    }
    assert!(changed > 100_000 && flipped > 10_000, "{changed} {flipped}");
}

/// The penalised logit in f64, and the largest value on the way.
fn formula(logit: f64, id: u32, row: &SampleRow) -> (f64, f64) {
    let params = &row.params;
    let bias = row.logit_bias.iter().find(|entry| entry.0 == id);
    let biased = logit + bias.map_or(0.0, |entry| f64::from(entry.1));
    let penalty = f64::from(params.repetition_penalty);
    let repeated = match row.history.contains(&id) {
        true if biased > 0.0 => biased / penalty,
        true => biased * penalty,
        false => biased,
    };
    let answer = &row.history[row.prompt_len..];
    let count = answer.iter().filter(|&&token| token == id).count() as f64;
    let frequency = count * f64::from(params.frequency_penalty);
    let presence = f64::from(params.presence_penalty) * count.min(1.0);
    let stages = [
        logit.abs(),
        biased.abs() * 2.0,
        repeated.abs(),
        frequency.abs(),
        presence.abs(),
    ];
    (repeated - frequency - presence, stages.iter().sum())
}
