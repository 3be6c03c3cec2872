//! Which code runs: the same functions are compiled for any machine and for x86-64 with AVX2 and FMA, and one of the
//! two is picked once.

use super::lanes::LaneState;
use super::{bits, carry, compare, convert, float, half, integer, moves, shift};
use crate::emu::op::AluOp;
use crate::emu::program::Inst;
use crate::emu::rows::Slot;

/// The lane arithmetic of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alu {
    vectors: bool,
}

impl Alu {
    /// The fastest that this machine runs.
    pub fn detect() -> Alu {
        #[cfg(target_arch = "x86_64")]
        let vectors = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("bmi2")
            && std::arch::is_x86_feature_detected!("lzcnt")
            && std::arch::is_x86_feature_detected!("popcnt");
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = false;
        Alu { vectors }
    }

    /// The code that every machine runs; its results are the same.
    pub fn portable() -> Alu {
        Alu { vectors: false }
    }

    /// Executes `inst`, whose operation is `op`, on the lanes of `state.mask`. `lists` is the program's.
    #[inline(always)]
    pub fn execute(self, op: AluOp, inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>) {
        #[cfg(target_arch = "x86_64")]
        if self.vectors {
            // SAFETY: `vectors` is set only where the machine was found to have all features that `vectors` enables.
            unsafe { vectors(op, inst, lists, state) };
            return;
        }
        portable(op, inst, lists, state);
    }
}

#[inline(never)]
fn portable(op: AluOp, inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>) {
    run(op, inst, lists, state);
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn vectors(op: AluOp, inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>) {
    run(op, inst, lists, state);
}

#[inline(always)]
fn run(op: AluOp, inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>) {
    match op {
        AluOp::Copy32 => moves::copy::<u32>(inst, state),
        AluOp::Copy64 => moves::copy::<u64>(inst, state),
        AluOp::Pack(packing) => moves::pack(packing, lists, inst, state),
        AluOp::Unpack(packing) => moves::unpack(packing, lists, inst, state),
        AluOp::Predicate(op) => moves::predicate(op, inst, state),
        AluOp::Select { wide: false } => moves::select::<u32>(inst, state),
        AluOp::Select { wide: true } => moves::select::<u64>(inst, state),
        AluOp::SelectBySign { wide, float } => {
            if wide {
                moves::select_by_sign::<u64>(float, inst, state);
            } else {
                moves::select_by_sign::<u32>(float, inst, state);
            }
        }
        AluOp::InWindow => moves::in_window(inst, state),
        AluOp::Int { op, ty } => integer::execute(op, ty, inst, state),
        AluOp::Widening { add, ty } => integer::widening(add, ty, inst, state),
        AluOp::Carry {
            op,
            ty,
            reads,
            writes,
        } => carry::execute(op, ty, (reads, writes), inst, state),
        AluOp::Logic { op, ty } => shift::execute(op, ty, inst, state),
        AluOp::Lop3 => shift::lop3(inst, state),
        AluOp::Permute(mode) => bits::permute(mode, inst, state),
        AluOp::Funnel { left, wrap } => shift::funnel(left, wrap, inst, state),
        AluOp::Field { op, ty } => bits::execute(op, ty, lists, inst, state),
        AluOp::Dot {
            a_signed,
            b_signed,
            form,
        } => integer::dot((a_signed, b_signed), form, inst, state),
        AluOp::Compare {
            cmp,
            ty,
            combine,
            ftz,
        } => {
            let what = compare::Comparison { cmp, ty, ftz };
            compare::setp(what, combine, inst, state);
        }
        AluOp::Set {
            cmp,
            ty,
            combine,
            result,
            ftz,
        } => {
            let what = compare::Comparison { cmp, ty, ftz };
            compare::set(what, combine, result, inst, state);
        }
        AluOp::Test { op, wide } => compare::testp(op, wide, inst, state),
        AluOp::F32 { op, ftz } => float::execute(op, ftz, inst, state),
        AluOp::F32Rounded {
            op,
            rounding,
            ftz,
            sat,
        } => {
            let how = float::Manner::new(rounding, ftz, sat);
            float::rounded(op, how, inst, state);
        }
        AluOp::F64(op) => float::double(op, inst, state),
        AluOp::Half {
            op,
            ty,
            packed,
            clamp,
        } => half::execute(op, ty, packed, clamp, inst, state),
        AluOp::HalfToFloat(ty) => convert::half_to_float(ty, inst, state),
        AluOp::IntToFloat { signed } => convert::int_to_float(signed, inst, state),
        AluOp::FloatToHalf(ty) => convert::float_to_half(ty, inst, state),
        AluOp::FloatsToPair { ty, rounding, relu } => {
            convert::floats_to_pair(ty, rounding, relu, inst, state);
        }
        AluOp::Resize { wide, to, register } => convert::resize(wide, to, register, inst, state),
        AluOp::Convert(what) => convert::execute(&what, inst, state),
    }
}
