//! The exponential of this engine: the same bits on every path, because each step is one IEEE operation that no path
//! fuses. Method: Cody and Waite range reduction, polynomial of Cephes `expf` (Moshier); error below 2 ulp.

use super::simd::Isa;

/// Below this the result is zero; `e^-87` is the last normal power of the range reduction.
pub const LOWEST: f32 = -87.0;
/// Above this the argument is taken as this.
pub const HIGHEST: f32 = 88.0;

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// Adding 1.5 * 2^23 rounds to an integer, which then stands in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; n times the first is exact for every n in range.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
const COEFFICIENTS: [f32; 6] = [
    1.987_569_1e-4,
    1.398_199_9e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    0.166_666_65,
    0.5,
];

/// `e^x` in every lane; no lane is NaN.
#[inline(always)]
pub fn exp<I: Isa>(isa: I, x: I::V) -> I::V {
    let [y] = exps(isa, [x]);
    y
}

/// `exp` of N vectors, step by step side by side: one alone is a chain of 25 operations that each wait for the last.
#[inline(always)]
pub fn exps<I: Isa, const N: usize>(isa: I, x: [I::V; N]) -> [I::V; N] {
    let (mut t, mut r, mut p) = (x, x, x);
    for i in 0..N {
        r[i] = isa.max(isa.min(x[i], isa.splat(HIGHEST)), isa.splat(LOWEST));
    }
    for i in 0..N {
        t[i] = isa.add(isa.mul(r[i], isa.splat(LOG2_E)), isa.splat(ROUND));
    }
    for i in 0..N {
        let n = isa.sub(t[i], isa.splat(ROUND));
        r[i] = isa.sub(r[i], isa.mul(n, isa.splat(LN2_HIGH)));
        r[i] = isa.sub(r[i], isa.mul(n, isa.splat(LN2_LOW)));
        p[i] = isa.splat(COEFFICIENTS[0]);
    }
    for c in &COEFFICIENTS[1..] {
        for i in 0..N {
            p[i] = isa.add(isa.mul(p[i], r[i]), isa.splat(*c));
        }
    }
    for i in 0..N {
        p[i] = isa.add(isa.mul(p[i], isa.mul(r[i], r[i])), r[i]);
    }
    for i in 0..N {
        p[i] = isa.scale_exponent(isa.add(p[i], isa.splat(1.0)), t[i]);
        p[i] = isa.zero_unless_less(isa.splat(LOWEST), x[i], p[i]);
    }
    p
}
