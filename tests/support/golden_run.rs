//! A tiny checkpoint on a device: its prompt prefilled in one step, and the end of it decoded a token a step. The bits must be
//! the same, by either kind of kernel.
#![allow(dead_code, reason = "each program uses its own part")]

use qwarp::DType;
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::driver::Driver;

use super::by_hand::{ByHand, How};
use super::tiny::Tiny;
use super::visits::Counting;

/// What a run may fail with: an error of the device, or bits that differ.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How much of the prompt runs.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Tokens prefilled in one step.
    pub prompt: usize,
    /// Tokens of them that are decoded once more.
    pub decoded: usize,
}

/// An odd number of tokens, more than a tile of 64.
pub const FULL: Extent = Extent {
    prompt: 107,
    decoded: 11,
};

/// A model of `tiny` on `driver` for steps of up to `tokens` tokens.
fn open(driver: Counting, tiny: &Tiny, dtype: DType, tokens: usize) -> Result<ByHand> {
    let how = How {
        // Settled by the driver.
        target: driver.facts().target,
        checks: false,
        dtype,
        threads: 2,
        max_tokens: tokens,
        max_sequences: 1,
        max_len: tokens,
    };
    Ok(ByHand::open_on(driver, &tiny.folder, how)?)
}

/// Blocks for `tokens` tokens, from the last to the first: a table that is not read does not go unseen.
fn table(tokens: usize) -> Vec<u32> {
    (0..tokens.div_ceil(BLOCK_SIZE) as u32).rev().collect()
}

/// The logits of the first `tokens` tokens, prefilled in one step.
pub fn prefill(
    driver: Counting,
    tiny: &Tiny,
    dtype: DType,
    tokens: usize,
) -> Result<Vec<Vec<f32>>> {
    let visits = driver.visits();
    let mut model = open(driver, tiny, dtype, tokens)?;
    let logits = model.run(&tiny.tokens[..tokens], 0..tokens, &table(tokens))?;
    match visits.of("flash_attention") {
        0 => Err("no prefill kernel ran".into()),
        _ => Ok(logits),
    }
}

/// The same logits, the last of them decoded; each run is on a device that `new` gives, so that it finds nothing of the
/// other's in the cache.
pub fn prefill_and_decode(
    new: &mut dyn FnMut() -> Result<Counting>,
    tiny: &Tiny,
    dtype: DType,
    extent: Extent,
) -> Result<Vec<Vec<f32>>> {
    let Extent { prompt, decoded } = extent;
    let prefilled = prefill(new()?, tiny, dtype, prompt)?;

    let driver = new()?;
    let visits = driver.visits();
    let (tokens, table) = (&tiny.tokens[..prompt], table(prompt));
    let mut model = open(driver, tiny, dtype, prompt)?;
    let first = prompt - decoded;
    let mut again = model.run(tokens, 0..first, &table)?;
    let before = visits.of("paged_attention");
    for position in first..prompt {
        again.extend(model.run(tokens, position..position + 1, &table)?);
    }
    if visits.of("paged_attention") < before + decoded as u64 {
        return Err("no decode kernel ran".into());
    }
    let (count, _) = differing(&again, &prefilled);
    match count {
        0 => Ok(prefilled),
        _ => Err(format!("{count} logits differ between decode and prefill").into()),
    }
}

/// How many logits have other bits, and the largest difference of two; a NaN makes it infinite.
pub fn differing(ours: &[Vec<f32>], theirs: &[Vec<f32>]) -> (usize, f64) {
    let pairs = ours.iter().flatten().zip(theirs.iter().flatten());
    pairs.fold((0, 0.0), |(count, worst), (a, b)| {
        if a.to_bits() == b.to_bits() {
            return (count, worst);
        }
        let difference = f64::from((a - b).abs());
        let difference = if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        };
        (count + 1, f64::max(worst, difference))
    })
}
