//! A million draws follow the probabilities, whichever part of the key changes from draw to draw.

use std::sync::Arc;

use qwarp::backend::sampling::{SampleRow, SamplingParams, penalised, sample};

use crate::chi_square::{p_value, statistic};
use crate::reference;
use crate::rows::real;

const DRAWS: u32 = 1_000_000;

/// Draws `DRAWS` tokens, keyed by `key` (seed, choice, position) of the draw's number, and tests them.
fn follows(name: &str, logits: &[f32], row: &SampleRow, key: impl Fn(u32) -> (u64, u32, u32)) {
    let kept = reference::keep(&penalised(logits, row), &row.params);
    let mut probabilities = vec![0.0; logits.len()];
    for &(id, p) in &kept {
        probabilities[id as usize] = p;
    }
    let mut counts = vec![0u64; logits.len()];
    let mut row = row.clone();
    for number in 0..DRAWS {
        (row.params.seed, row.choice, row.position) = key(number);
        counts[sample(logits, &row).unwrap() as usize] += 1;
    }
    for (id, &count) in counts.iter().enumerate() {
        assert!(
            count == 0 || probabilities[id] > 0.0,
            "{name}: {id} is not kept"
        );
    }
    let (x, freedom) = statistic(&counts, &probabilities);
    let p = p_value(x, freedom);
    println!("{name}: chi-square {x:.1}, {freedom} degrees of freedom, p = {p:.4}");
    assert!(freedom >= 5, "{name}: {freedom}");
    // Counts that are too even are as wrong as counts that are not even enough.
    assert!(p > 1e-4 && p < 1.0 - 1e-4, "{name}: p = {p}");
}

fn spread(number: u32) -> (u64, u32, u32) {
    (
        u64::from(number / 100_000),
        number / 10_000 % 10,
        number % 10_000,
    )
}

fn plain(temperature: f32) -> SampleRow {
    SampleRow {
        params: SamplingParams {
            temperature,
            ..SamplingParams::GREEDY
        },
        ..SampleRow::default()
    }
}

#[test]
fn draws_follow_the_probabilities_of_real_rows() {
    let rows = real();
    follows("all tokens", &rows[17], &plain(1.0), spread);
    follows("hot", &rows[400], &plain(3.0), spread);
    let mut filtered = plain(1.5);
    filtered.params.top_k = 50;
    filtered.params.top_p = 0.95;
    filtered.params.min_p = 0.02;
    follows("top-k, top-p, min-p", &rows[900], &filtered, spread);
    let mut everything = filtered.clone();
    everything.params.repetition_penalty = 1.2;
    everything.params.presence_penalty = 0.5;
    everything.params.frequency_penalty = 0.25;
    everything.history = Arc::new((0..90).map(|i| i * i % 131).collect());
    everything.prompt_len = 40;
    everything.logit_bias = vec![(3, 4.0), (100, 5.0), (7, -100.0)].into();
    follows("with penalties and bias", &rows[1500], &everything, spread);
}

#[test]
fn each_part_of_the_key_alone_gives_independent_draws() {
    let rows = real();
    let (logits, row) = (&rows[60], plain(1.0));
    follows("positions", logits, &row, |number| (1, 0, number));
    follows("choices", logits, &row, |number| (1, number, 77));
    follows("seeds", logits, &row, |number| (u64::from(number), 0, 77));
    follows("high seeds", logits, &row, |number| {
        (u64::from(number) << 32, 0, 77)
    });
}

#[test]
fn neighbouring_positions_and_choices_do_not_know_of_each_other() {
    let logits = [0.0; 8];
    let mut row = plain(1.0);
    let mut at = |choice, position| {
        (row.choice, row.position) = (choice, position);
        sample(&logits, &row).unwrap() as usize
    };
    let (mut positions, mut choices) = ([0u64; 64], [0u64; 64]);
    for number in 0..DRAWS / 2 {
        positions[at(0, 2 * number) * 8 + at(0, 2 * number + 1)] += 1;
        choices[at(1, number) * 8 + at(2, number)] += 1;
    }
    for (name, counts) in [("positions", positions), ("choices", choices)] {
        let (x, freedom) = statistic(&counts, &[1.0 / 64.0; 64]);
        let p = p_value(x, freedom);
        println!("pairs of {name}: chi-square {x:.1}, {freedom} degrees of freedom, p = {p:.4}");
        assert_eq!(freedom, 63);
        assert!(p > 1e-4 && p < 1.0 - 1e-4, "{name}: p = {p}");
    }
}
