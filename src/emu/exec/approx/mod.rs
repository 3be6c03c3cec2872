//! PTX's approximate functions, with the same bits on every machine.
//!
//! Hardware may err by what the manual states, which differs between functions; here each result is computed in f64 by
//! additions, products and quotients alone and rounded once, so it is the nearest f32 but for about one in 2^25. No call to a
//! library whose last bit differs between machines is made. Special operands give what the manual's tables say, and every NaN
//! is the canonical one.
//!
//! | function | the manual allows |
//! |---|---|
//! | `rcp` | 1 ulp |
//! | `sqrt` | 2^-23 relative |
//! | `rsqrt` | 2^-22.9 relative |
//! | `ex2` | 2 ulp |
//! | `lg2` | 2^-22 absolute in (0.5, 2), else relative |
//! | `sin`, `cos` | 2^-20.5 absolute in [-2 pi, 2 pi], 2^-14.7 in [-100 pi, 100 pi], nothing stated beyond |
//! | `tanh` | 2^-11 relative |
//! | `ex2` of f16, bf16 | 2^-9.9, 2^-7 relative |
//! | `tanh` of f16, bf16 | 2^-10.987, 2^-8 absolute |

mod exponential;
mod halves;
mod trigonometric;

pub use halves::{ex2_bf16, ex2_f16, pair, tanh_bf16, tanh_f16};

use crate::emu::exec::number::{NAN32, canonical, flushed};

/// To f32, to nearest; a NaN becomes the canonical one.
#[inline(always)]
fn finish(y: f64, ftz: bool) -> f32 {
    flushed(canonical(y as f32), ftz)
}

/// `ex2.approx`: 2 to the x.
#[inline(always)]
pub fn ex2(x: f32, ftz: bool) -> f32 {
    finish(exponential::exp2(f64::from(x)), ftz)
}

/// `lg2.approx`: the logarithm to base 2.
pub fn lg2(x: f32, ftz: bool) -> f32 {
    let x = flushed(x, ftz);
    if x == 0.0 {
        f32::NEG_INFINITY
    } else if x == f32::INFINITY {
        x
    } else if x > 0.0 {
        finish(exponential::log2(f64::from(x)), ftz)
    } else {
        f32::from_bits(NAN32)
    }
}

/// `tanh.approx`: the hyperbolic tangent. It has no `.ftz` form.
pub fn tanh(x: f32) -> f32 {
    finish(exponential::tanh(f64::from(x)), false)
}

/// `rcp.approx`: one over x.
pub fn rcp(x: f32, ftz: bool) -> f32 {
    finish(1.0 / f64::from(flushed(x, ftz)), ftz)
}

/// `rsqrt.approx`: one over the square root.
pub fn rsqrt(x: f32, ftz: bool) -> f32 {
    finish(1.0 / f64::from(flushed(x, ftz)).sqrt(), ftz)
}

/// `sqrt.approx`: the square root.
pub fn sqrt(x: f32, ftz: bool) -> f32 {
    finish(f64::from(flushed(x, ftz)).sqrt(), ftz)
}

/// `sin.approx`: the sine, accurate for every x.
pub fn sin(x: f32, ftz: bool) -> f32 {
    finish(trigonometric::sin(flushed(x, ftz)), ftz)
}

/// `cos.approx`: the cosine, accurate for every x.
pub fn cos(x: f32, ftz: bool) -> f32 {
    finish(trigonometric::cos(flushed(x, ftz)), ftz)
}
