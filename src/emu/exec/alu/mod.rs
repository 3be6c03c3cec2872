//! Lane arithmetic: exact, deterministic, the same bits on every host.
//!
//! Rules that hold throughout: a NaN result is canonical (f32 `7fffffff`, f16 and bf16 `7fff`, f64 `fff8000000000000`),
//! but for `mov`, `selp` and `copysign`, which copy bits. Subnormals are exact; with `.ftz` a subnormal operand counts
//! as zero of its sign, and a result that is subnormal after rounding becomes one. `.sat` clamps to [+0, 1] and makes
//! a NaN +0. A quotient by zero, which PTX leaves open, has all bits set, and the remainder is the dividend.
//!
//! Only the lanes of the mask are written.

mod approximate;
mod bits;
mod carry;
mod code;
mod compare;
mod convert;
mod float;
mod half;
mod integer;
mod lanes;
mod moves;
mod shift;
mod table;

pub use code::{Alu, LaneCode};
pub use lanes::LaneState;
