//! Functions with a stated error: `ex2 lg2 rcp rsqrt sqrt sin cos tanh`, all `.approx`.

use super::form::{Form, Result};
use super::half::format;
use crate::driver::Target;
use crate::emu::op::{AluOp, ApproxOp, Half};
use crate::emu::program::Decoded;
use crate::emu::ptx::Type;

/// An `.approx` instruction on `ty`, which is already taken.
pub fn decode(form: &mut Form<'_>, ty: Type) -> Result<Decoded> {
    let op = match form.opcode() {
        "ex2" => ApproxOp::Ex2,
        "lg2" => ApproxOp::Lg2,
        "rcp" => ApproxOp::Rcp,
        "rsqrt" => ApproxOp::Rsqrt,
        "sqrt" => ApproxOp::Sqrt,
        "sin" => ApproxOp::Sin,
        "cos" => ApproxOp::Cos,
        _ => ApproxOp::Tanh,
    };
    form.must(&[("approx", ())])?;
    if ty != Type::F32 {
        return half(form, op, ty);
    }
    let ftz = op != ApproxOp::Tanh && form.take("ftz");
    form.plain(AluOp::Approx { op, ftz }, ty, &[ty])
}

fn half(form: &mut Form<'_>, op: ApproxOp, ty: Type) -> Result<Decoded> {
    let tanh = op == ApproxOp::Tanh;
    let (half, packed) = match format(ty) {
        Some(format) if tanh || op == ApproxOp::Ex2 => format,
        _ => return form.wrong_type(ty),
    };
    if half == Half::Bf16 {
        form.needs(Target::Sm90)?;
    }
    let ftz = match (tanh, half) {
        (true, _) => false,
        (false, Half::F16) => form.take("ftz"),
        // There is no other form.
        (false, Half::Bf16) => {
            form.must(&[("ftz", ())])?;
            true
        }
    };
    let op = AluOp::ApproxHalf {
        tanh,
        ty: half,
        packed,
        ftz,
    };
    form.plain(op, ty, &[ty])
}
