//! From an exact sum to the bits of a result.

/// The one NaN that tensor cores write, in f32.
const NAN_F32: u32 = 0x7fff_ffff;
/// And in f16.
const NAN_F16: u32 = 0x7fff;

/// 2 to a power that is normal in f64.
pub fn power_of_two(exponent: i16) -> f64 {
    f64::from_bits(((1023 + i64::from(exponent)) as u64) << 52)
}

/// The integer next to `x` on zero's side. Exact where `x` has at most 24 significant bits and is below 2^27 in magnitude;
/// infinities and NaN stay.
///
/// Written without a conversion to an integer or a call, so that loops over it vectorise on every machine: what is
/// subtracted is less than a half by so little that no value of 24 bits lies in the gap, and adding 1.5 * 2^52 rounds to an
/// integer.
#[inline(always)]
pub fn truncate(x: f64) -> f64 {
    const ALMOST_HALF: f64 = 0.5 - 1.0 / (1u64 << 26) as f64;
    const INTEGERS: f64 = (3u64 << 51) as f64;
    (x - ALMOST_HALF.copysign(x)) + INTEGERS - INTEGERS
}

/// To f32 bits, towards zero; zero is positive, and what is beyond the greatest number is infinite.
pub fn to_f32_towards_zero(x: f64) -> u32 {
    let bits = x.to_bits();
    let sign = (bits >> 63 << 31) as u32;
    let magnitude = bits & !(1 << 63);
    // The exponents of 2^-126 and 2^128 in f64: between them f32 is f64 with other widths.
    const LEAST: u64 = (1023 - 126) << 52;
    const BEYOND: u64 = (1023 + 128) << 52;
    if (LEAST..BEYOND).contains(&magnitude) {
        return sign | ((magnitude >> 29) as u32).wrapping_sub((1023 - 127) << 23);
    }
    if x.is_nan() {
        return NAN_F32;
    }
    if magnitude >= BEYOND {
        return sign | f32::INFINITY.to_bits();
    }
    // A denormal is a count of 2^-149.
    let count = (x.abs() * power_of_two(149)) as u32;
    if count == 0 { 0 } else { sign | count }
}

/// To f16 bits, to nearest, ties to even; zero is positive.
pub fn to_f16_nearest(x: f64) -> u32 {
    if x.is_nan() {
        return NAN_F16;
    }
    let sign = (x.to_bits() >> 63 << 15) as u32;
    let magnitude = x.abs();
    if magnitude >= 65536.0 {
        return sign | 0x7c00;
    }
    let exponent = (((magnitude.to_bits() >> 52) as i16) - 1023).max(-14);
    // 2^52 rounds what is added to it to an integer: here the count of units in the last place.
    const INTEGERS: f64 = (1u64 << 52) as f64;
    let count = (magnitude * power_of_two(10 - exponent) + INTEGERS - INTEGERS) as u32;
    // A count of 1024 or more carries into the exponent, which is what it means.
    let bits = (((exponent + 14) as u32) << 10) + count;
    if bits == 0 { 0 } else { sign | bits }
}
