//! Unnormalised probabilities, and sums of them that are the same in any order.

const LOG2_E: f64 = std::f64::consts::LOG2_E;
/// Adding 1.5 * 2^52 rounds to an integer, which then stands in the low mantissa bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts (fdlibm's); n times the first is exact for every n in range.
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// `e^-700` is below every f32 above zero, and the powers of two on the way to it are normal.
const LOWEST: f64 = -700.0;
/// 1/n! from n = 13 down to 2: the remainder is below 2^-57 for |r| <= ln 2 / 2.
const COEFFICIENTS: [f64; 12] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    1.0 / 2.0,
];
/// Binary places of a mass: with this many, a sum over the largest vocabulary is more exact than one in f64.
const PLACES: u32 = 62;

/// `e^x` for `x <= 0`, at least `e^-700`. Our own, from operations that IEEE 754 rounds once and nothing fuses: the C
/// library's differs between machines in the last bit, and with it a token could.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    let x = x.max(LOWEST);
    let t = x * LOG2_E + ROUND;
    let n = t - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let mut p = COEFFICIENTS[0];
    for c in &COEFFICIENTS[1..] {
        p = p * r + c;
    }
    let p = p * (r * r) + r + 1.0;
    p * f64::from_bits(t.to_bits().wrapping_add(1023) << 52)
}

/// A weight of at most 1 as a fixed-point number, cut off. What is less than 2^-62 times as probable as the most probable
/// token is never drawn.
#[inline(always)]
pub fn mass(weight: f64) -> u64 {
    (weight * (1u64 << PLACES) as f64) as i64 as u64
}

/// `fraction * total` rounded down, and whether that dropped something. `fraction` is in 0..=1 and taken to 53 places.
pub fn share(total: u128, fraction: f64) -> (u128, bool) {
    let fraction = (fraction * (1u64 << 53) as f64) as u128;
    // The product has up to 53 + 62 + 20 bits (20 of the vocabulary limit), so it is put together from two halves.
    let high = (total >> 64) * fraction;
    let low = (total & u128::from(u64::MAX)) * fraction;
    let dropped = low & ((1 << 53) - 1) != 0;
    ((high << 11) + (low >> 53), dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_an_ulp_of_the_c_library() {
        let mut worst = 0;
        for i in 0..2_000_000u32 {
            let x = -f64::from(i) * 3.5e-4;
            worst = worst.max(exp(x).to_bits().abs_diff(x.exp().to_bits()));
        }
        assert!(worst <= 1, "{worst} ulp");
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(mass(exp(0.0)), 1 << PLACES);
        assert_eq!(exp(f64::NEG_INFINITY), exp(LOWEST));
        assert!(exp(LOWEST) < f64::from(f32::from_bits(1)));
    }

    #[test]
    fn share_is_the_exact_product() {
        assert_eq!(share(10, 0.5), (5, false));
        assert_eq!(share(11, 0.5), (5, true));
        assert_eq!(share(u128::MAX >> 45, 1.0), (u128::MAX >> 45, false));
        let total = (1 << 82) + (1 << 64) + 3;
        assert_eq!(share(total, 0.25), ((1 << 80) + (1 << 62), true));
        let below_one = 1.0 - f64::EPSILON / 2.0;
        assert_eq!(share(total, below_one).0, total - 1 - (total >> 53));
    }
}
