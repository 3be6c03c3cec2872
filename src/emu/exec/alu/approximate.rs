//! Functions with a stated error, lane by lane.

use super::lanes::{LaneState, map1};
use crate::emu::exec::approx;
use crate::emu::op::{ApproxOp, Half};
use crate::emu::program::Inst;

/// f32.
#[inline(always)]
pub fn execute(op: ApproxOp, ftz: bool, inst: &Inst, state: &mut LaneState<'_>) {
    match op {
        ApproxOp::Ex2 => map1(inst, state, |a| approx::ex2(a, ftz)),
        ApproxOp::Lg2 => map1(inst, state, |a| approx::lg2(a, ftz)),
        ApproxOp::Rcp => map1(inst, state, |a| approx::rcp(a, ftz)),
        ApproxOp::Rsqrt => map1(inst, state, |a| approx::rsqrt(a, ftz)),
        ApproxOp::Sqrt => map1(inst, state, |a| approx::sqrt(a, ftz)),
        ApproxOp::Sin => map1(inst, state, |a| approx::sin(a, ftz)),
        ApproxOp::Cos => map1(inst, state, |a| approx::cos(a, ftz)),
        ApproxOp::Tanh => map1(inst, state, approx::tanh),
    }
}

/// `ex2` and `tanh` of f16 and bf16, one or two a register.
#[inline(always)]
pub fn halves(
    tanh: bool,
    ty: Half,
    (packed, ftz): (bool, bool),
    inst: &Inst,
    state: &mut LaneState<'_>,
) {
    let function = match (tanh, ty) {
        (true, Half::F16) => approx::tanh_f16,
        (true, Half::Bf16) => approx::tanh_bf16,
        (false, Half::F16) if ftz => ex2_f16_flushed,
        (false, Half::F16) => approx::ex2_f16,
        (false, Half::Bf16) => approx::ex2_bf16,
    };
    if packed {
        map1(inst, state, |a: u32| approx::pair(function, a));
    } else {
        map1(inst, state, |a: u16| function(a));
    }
}

/// A subnormal operand gives 1 with or without `.ftz`, so only the result is looked at.
fn ex2_f16_flushed(bits: u16) -> u16 {
    let result = approx::ex2_f16(bits);
    if result < 0x400 { 0 } else { result }
}
