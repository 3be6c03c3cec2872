//! The largest logit, and the check that the row can be sampled at all, in one pass.

use crate::error::{Error, Result};

const LANES: usize = 16;
/// Long enough that its end costs nothing, short enough that finding the id in it costs nothing either.
const BLOCK: usize = 1024;

/// The lowest id among the largest logits. NaN, +inf, and a row without a finite logit are errors that name the
/// position whose token was to be drawn.
pub fn largest(logits: &[f32], position: u32) -> Result<u32> {
    let (mut best, mut best_block) = (f32::NEG_INFINITY, 0);
    for (block, values) in logits.chunks(BLOCK).enumerate() {
        let (largest, usable) = summary(values);
        if !usable {
            return Err(refusal(logits, position));
        }
        if largest > best {
            (best, best_block) = (largest, block);
        }
    }
    let start = best_block * BLOCK;
    match logits[start..].iter().position(|&logit| logit == best) {
        Some(offset) if best > f32::NEG_INFINITY => Ok((start + offset) as u32),
        _ => Err(Error::Logit {
            position,
            token: 0,
            value: f32::NEG_INFINITY,
            expected: "at least one finite logit in the row",
        }),
    }
}

/// The largest of `values`, and whether none of them is NaN or +inf. Lanes, because a plain loop would wait for each
/// comparison in turn.
fn summary(values: &[f32]) -> (f32, bool) {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut largest = [f32::NEG_INFINITY; LANES];
    let mut refused = [0u32; LANES];
    let mut take = |lane: usize, value: f32| {
        refused[lane] |= u32::from(value.is_nan()) | u32::from(value == f32::INFINITY);
        largest[lane] = if value > largest[lane] {
            value
        } else {
            largest[lane]
        };
    };
    for chunk in chunks {
        for lane in 0..LANES {
            take(lane, chunk[lane]);
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        take(lane, value);
    }
    let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    (largest, refused.iter().all(|&refused| refused == 0))
}

fn refusal(logits: &[f32], position: u32) -> Error {
    let refused = |logit: &f32| logit.is_nan() || *logit == f32::INFINITY;
    let token = logits.iter().position(refused).unwrap_or(0);
    Error::Logit {
        position,
        token: token as u32,
        value: logits[token],
        expected: "a number below infinity; the checkpoint is damaged or a penalty is out of proportion",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_largest_wins_wherever_it_stands() -> Result<()> {
        for len in [1, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
            for first in [0, len / 3, len / 2, len - 1] {
                let mut logits: Vec<f32> = (0..len).map(|i| -((i % 7) as f32) - 1.0).collect();
                logits[first] = -0.0;
                logits[len - 1] = 0.0;
                assert_eq!(largest(&logits, 0)?, first as u32, "{first} of {len}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_refused_value_is_named_wherever_it_stands() {
        for len in [1, 16, 17, BLOCK + 1, 2 * BLOCK + 21] {
            for bad in [0, len / 2, len - 1] {
                for value in [f32::NAN, -f32::NAN, f32::INFINITY] {
                    let mut logits = vec![1.0; len];
                    logits[bad] = value;
                    let found = largest(&logits, 9);
                    let named = matches!(found, Err(Error::Logit { position: 9, token, .. }) if token == bad as u32);
                    assert!(named, "{value} at {bad} of {len}: {found:?}");
                }
            }
        }
        for row in [&[][..], &[f32::NEG_INFINITY; 40]] {
            assert!(matches!(largest(row, 9), Err(Error::Logit { .. })));
        }
    }
}
