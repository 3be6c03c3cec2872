//! Exactly the reference's tokens, for each filter and each combination, on 10,000 rows and two of full size.

use qwarp::backend::rng::uniform;
use qwarp::backend::sampling::{SampleRow, SamplingParams, kept, sample};

use crate::reference;
use crate::rows::{KINDS, Random, random, real};

const TEMPERATURES: [f32; 8] = [f32::from_bits(1), 1e-6, 0.1, 0.6, 0.8, 1.0, 2.0, 100.0];
const TOP_P: [f32; 8] = [1e-12, 0.1, 0.25, 0.5, 0.8, 0.9, 0.95, 0.999_999_94];
const MIN_P: [f32; 8] = [1e-30, 1e-9, 1e-3, 0.05, 0.1, 0.5, 0.9, 1.0];

/// What must have happened for the comparison to mean something.
#[derive(Debug, Default)]
struct Seen {
    rows: usize,
    comparisons: usize,
    /// By filter combination (bit 0 top-k, 1 top-p, 2 min-p): sets smaller than those of any part of the combination.
    narrowed: [usize; 8],
    /// The last token kept by top-k ties with the first one dropped.
    tied_cuts: usize,
    /// Top-p before top-k would have kept another number of tokens.
    order_matters: usize,
    with_infinity: usize,
    distinct_draws: std::collections::HashSet<u32>,
}

fn ids(kept: &reference::Kept) -> Vec<u32> {
    kept.iter().map(|token| token.0).collect()
}

/// Compares all combinations of one draw of settings on `logits`.
fn compare(logits: &[f32], number: usize, dice: &mut Random, seen: &mut Seen) {
    let all = SamplingParams {
        temperature: dice.pick(&TEMPERATURES),
        top_k: 1 + dice.below(dice_limit(logits.len())) as u32,
        top_p: dice.pick(&TOP_P),
        min_p: dice.pick(&MIN_P),
        seed: dice.next(),
        ..SamplingParams::GREEDY
    };
    let mut sizes = [0; 8];
    for combination in 0..8 {
        let mut params = all;
        if combination & 1 == 0 {
            params.top_k = 0;
        }
        if combination & 2 == 0 {
            params.top_p = 1.0;
        }
        if combination & 4 == 0 {
            params.min_p = 0.0;
        }
        let row = SampleRow {
            params,
            choice: 3,
            position: number as u32,
            ..SampleRow::default()
        };
        let expected = reference::keep(logits, &params);
        let found = kept(logits, &row).unwrap();
        assert_eq!(found, ids(&expected), "row {number}, {params:?}");
        let expected = reference::draw(&expected, uniform(params.seed, 3, number as u32));
        assert_eq!(sample(logits, &row).unwrap(), expected, "row {number}");
        sizes[combination] = found.len();
        seen.comparisons += 1;
        seen.distinct_draws.insert(expected);
    }
    note(logits, &all, sizes, seen);
}

/// Small k most of the time, any k now and then.
fn dice_limit(len: usize) -> usize {
    if len.is_multiple_of(3) {
        len + 2
    } else {
        len.min(60)
    }
}

fn note(logits: &[f32], all: &SamplingParams, sizes: [usize; 8], seen: &mut Seen) {
    seen.rows += 1;
    for combination in 1..8usize {
        let parts = (0..combination).filter(|part| part & combination == *part);
        let smallest = parts.map(|part| sizes[part]).min().unwrap();
        seen.narrowed[combination] += usize::from(sizes[combination] < smallest);
    }
    let mut sorted = logits.to_vec();
    sorted.sort_by(|a, b| b.partial_cmp(a).unwrap());
    let k = all.top_k as usize;
    seen.tied_cuts += usize::from(k < sorted.len() && sorted[k - 1] == sorted[k]);
    seen.with_infinity += usize::from(sorted.last() == Some(&f32::NEG_INFINITY));
    // Top-p before top-k would share out another total.
    let without_k = reference::keep(
        logits,
        &SamplingParams {
            top_k: 0,
            min_p: 0.0,
            ..*all
        },
    );
    let with_k = reference::keep(logits, &SamplingParams { min_p: 0.0, ..*all });
    seen.order_matters += usize::from(without_k.len().min(k) != with_k.len());
}

#[test]
fn ten_thousand_rows_keep_exactly_the_tokens_of_the_reference() {
    let mut dice = Random(2026);
    let mut seen = Seen::default();
    for (number, logits) in real().iter().enumerate() {
        compare(logits, number, &mut dice, &mut seen);
    }
    assert_eq!(seen.rows, 14 * 333, "rows of real models");
    while seen.rows < 10_000 {
        let kind = KINDS[seen.rows % KINDS.len()];
        let logits = random(kind, &mut dice);
        compare(&logits, seen.rows, &mut dice, &mut seen);
    }
    println!(
        "{} comparisons; narrower than their parts {:?}; cuts through ties {}, rows with -inf {}, top-k before top-p \
         matters {}, {} distinct tokens",
        seen.comparisons,
        &seen.narrowed[1..],
        seen.tied_cuts,
        seen.with_infinity,
        seen.order_matters,
        seen.distinct_draws.len()
    );
    assert_eq!(seen.comparisons, 80_000);
    // Top-p and min-p keep heads of one order, so together they keep the shorter: no combination of heads is shorter
    // than its parts, except where top-k changes the total that top-p shares out.
    for combination in [1, 2, 4, 3] {
        assert!(seen.narrowed[combination] > 100, "{combination}: {seen:?}");
    }
    assert!(seen.tied_cuts > 1000 && seen.with_infinity > 1000);
    assert!(seen.order_matters > 100 && seen.distinct_draws.len() > 500);
}

#[test]
fn rows_of_a_full_vocabulary_keep_exactly_the_tokens_of_the_reference() {
    let mut dice = Random(11);
    let len = 151_936;
    let rows: [Vec<f32>; 3] = [
        (0..len).map(|_| 3.0 * dice.normal()).collect(),
        // Nearly flat: the nucleus is most of the vocabulary.
        (0..len).map(|_| 0.1 * dice.normal()).collect(),
        (0..len).map(|id| id as f32 * 1e-4).collect(),
    ];
    let mut largest = 0;
    for logits in &rows {
        for (top_k, top_p, min_p) in [
            (0, 1.0, 0.0),
            (50, 1.0, 0.0),
            (0, 0.95, 0.0),
            (90_000, 0.9, 0.01),
        ] {
            let params = SamplingParams {
                temperature: 0.9,
                top_k,
                top_p,
                min_p,
                ..SamplingParams::GREEDY
            };
            let row = SampleRow {
                params,
                ..SampleRow::default()
            };
            let found = kept(logits, &row).unwrap();
            assert_eq!(found, ids(&reference::keep(logits, &params)), "{params:?}");
            if top_p < 1.0 {
                largest = largest.max(found.len());
            }
        }
    }
    assert!(largest > 100_000, "no large nucleus: {largest}");
}

#[test]
fn temperature_zero_takes_the_best_whatever_the_filters_say() {
    let logits = [1.0, 3.0, f32::NEG_INFINITY, 3.0];
    let params = SamplingParams {
        top_k: 3,
        top_p: 0.9,
        min_p: 0.1,
        ..SamplingParams::GREEDY
    };
    let row = SampleRow {
        params,
        ..SampleRow::default()
    };
    assert_eq!(kept(&logits, &row).unwrap(), [1]);
    assert_eq!(sample(&logits, &row).unwrap(), 1);
}
