//! Tensor-core products, bit for bit: fragments as the lanes of a warp hold them in, results as they hold them out.
//!
//! Pure functions. The sums of floats follow the bit-accurate models of arXiv 2511.10909, which differ between generations;
//! `tests/emu_mma.rs` holds them against vectors of the authors' own `mmasim`.

mod factor;
mod float;
mod fragment;
mod integer;
mod ldmatrix;
mod round;

use crate::emu::op::MmaForm;
pub use ldmatrix::{ldmatrix, ldmatrix_lanes};

use crate::driver::Target;
use crate::emu::Row;
use crate::emu::ptx::Type;

/// `d = a * b + c` of one warp. The slices hold as many rows as the form's `a_registers()` and its siblings say.
pub fn mma(form: MmaForm, target: Target, a: &[Row], b: &[Row], c: &[Row], d: &mut [Row]) {
    if form.d_type == Type::S32 {
        integer::mma(form, a, b, c, d);
    } else {
        float::mma(form, target, a, b, c, d);
    }
}
