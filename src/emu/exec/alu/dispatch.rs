//! Which code runs: the same functions are compiled for any machine and for x86-64 with AVX2 and FMA, and one of the
//! two is picked once.

use super::lanes::LaneState;
use super::{approximate, bits, carry, compare, convert, float, half, integer, moves, shift};
use crate::emu::op::{AluOp, Int};
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
    pub fn execute(self, op: &AluOp, inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>) {
        match Family::of(*op) {
            Family::Moves => self.family::<{ Family::Moves as u8 }>(op, inst, lists, state),
            Family::Narrow => self.family::<{ Family::Narrow as u8 }>(op, inst, lists, state),
            Family::Integer => self.family::<{ Family::Integer as u8 }>(op, inst, lists, state),
            Family::Wide => self.family::<{ Family::Wide as u8 }>(op, inst, lists, state),
            Family::Logic => self.family::<{ Family::Logic as u8 }>(op, inst, lists, state),
            Family::Bits => self.family::<{ Family::Bits as u8 }>(op, inst, lists, state),
            Family::Compare => self.family::<{ Family::Compare as u8 }>(op, inst, lists, state),
            Family::Set => self.family::<{ Family::Set as u8 }>(op, inst, lists, state),
            Family::Float => self.family::<{ Family::Float as u8 }>(op, inst, lists, state),
            Family::Rounded => self.family::<{ Family::Rounded as u8 }>(op, inst, lists, state),
            Family::Half => self.family::<{ Family::Half as u8 }>(op, inst, lists, state),
            Family::Halves => self.family::<{ Family::Halves as u8 }>(op, inst, lists, state),
            Family::Approximate => {
                self.family::<{ Family::Approximate as u8 }>(op, inst, lists, state)
            }
            Family::Convert => self.family::<{ Family::Convert as u8 }>(op, inst, lists, state),
        }
    }

    #[inline(always)]
    fn family<const FAMILY: u8>(
        self,
        op: &AluOp,
        inst: &Inst,
        lists: &[Slot],
        state: &mut LaneState<'_>,
    ) {
        #[cfg(target_arch = "x86_64")]
        if self.vectors {
            // SAFETY: `vectors` is set only where the machine was found to have all features that `vectors` enables.
            unsafe { vectors::<FAMILY>(op, inst, lists, state) };
            return;
        }
        portable::<FAMILY>(op, inst, lists, state);
    }
}

/// Operations that are compiled to one function. As one function they would take the compiler minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Family {
    Moves,
    /// Integers of 16 bits.
    Narrow,
    /// Integers of 32 bits.
    Integer,
    /// Integers of 64 bits.
    Wide,
    Logic,
    Bits,
    Compare,
    Set,
    Float,
    Rounded,
    Half,
    /// Between halves, integers and f32, the common ways.
    Halves,
    Approximate,
    Convert,
}

impl Family {
    #[inline(always)]
    fn of(op: AluOp) -> Family {
        match op {
            AluOp::Copy32
            | AluOp::Copy64
            | AluOp::Pack(_)
            | AluOp::Unpack(_)
            | AluOp::Predicate(_)
            | AluOp::Select { .. }
            | AluOp::SelectBySign { .. }
            | AluOp::InWindow => Family::Moves,
            AluOp::Int { ty, .. } => match ty {
                Int::U8 | Int::S8 | Int::U16 | Int::S16 => Family::Narrow,
                Int::U32 | Int::S32 => Family::Integer,
                Int::U64 | Int::S64 => Family::Wide,
            },
            AluOp::Widening { .. } | AluOp::Carry { .. } | AluOp::Dot { .. } => Family::Wide,
            AluOp::Logic { .. } | AluOp::Lop3 | AluOp::Funnel { .. } => Family::Logic,
            AluOp::Permute(_) | AluOp::Field { .. } => Family::Bits,
            AluOp::Compare { .. } => Family::Compare,
            AluOp::Set { .. } | AluOp::Test { .. } => Family::Set,
            AluOp::F32 { .. } => Family::Float,
            AluOp::F32Rounded { .. } | AluOp::F64(_) => Family::Rounded,
            AluOp::Half { .. } => Family::Half,
            AluOp::HalfToFloat(_)
            | AluOp::IntToFloat { .. }
            | AluOp::FloatToHalf(_)
            | AluOp::FloatsToPair { .. }
            | AluOp::Resize { .. } => Family::Halves,
            AluOp::Approx { .. } | AluOp::ApproxHalf { .. } => Family::Approximate,
            AluOp::Convert(_) => Family::Convert,
        }
    }
}

#[inline(never)]
fn portable<const FAMILY: u8>(op: &AluOp, inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>) {
    run::<FAMILY>(op, inst, lists, state);
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn vectors<const FAMILY: u8>(op: &AluOp, inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>) {
    run::<FAMILY>(op, inst, lists, state);
}

/// The operations of one family; others never come here.
#[inline(always)]
fn run<const FAMILY: u8>(op: &AluOp, inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>) {
    match *op {
        AluOp::Copy32 if FAMILY == Family::Moves as u8 => moves::copy::<u32>(inst, state),
        AluOp::Copy64 if FAMILY == Family::Moves as u8 => moves::copy::<u64>(inst, state),
        AluOp::Pack(packing) if FAMILY == Family::Moves as u8 => {
            moves::pack(packing, lists, inst, state)
        }
        AluOp::Unpack(packing) if FAMILY == Family::Moves as u8 => {
            moves::unpack(packing, lists, inst, state)
        }
        AluOp::Predicate(op) if FAMILY == Family::Moves as u8 => moves::predicate(op, inst, state),
        AluOp::Select { wide: false } if FAMILY == Family::Moves as u8 => {
            moves::select::<u32>(inst, state)
        }
        AluOp::Select { wide: true } if FAMILY == Family::Moves as u8 => {
            moves::select::<u64>(inst, state)
        }
        AluOp::SelectBySign { wide, float } if FAMILY == Family::Moves as u8 => {
            if wide {
                moves::select_by_sign::<u64>(float, inst, state);
            } else {
                moves::select_by_sign::<u32>(float, inst, state);
            }
        }
        AluOp::InWindow if FAMILY == Family::Moves as u8 => moves::in_window(inst, state),
        AluOp::Int { op, ty } if FAMILY == Family::Narrow as u8 => {
            integer::narrow(op, ty, inst, state)
        }
        AluOp::Int { op, ty } if FAMILY == Family::Integer as u8 => {
            integer::word(op, ty, inst, state)
        }
        AluOp::Int { op, ty } if FAMILY == Family::Wide as u8 => integer::wide(op, ty, inst, state),
        AluOp::Widening { add, ty } if FAMILY == Family::Wide as u8 => {
            integer::widening(add, ty, inst, state)
        }
        AluOp::Carry {
            op,
            ty,
            reads,
            writes,
        } if FAMILY == Family::Wide as u8 => carry::execute(op, ty, (reads, writes), inst, state),
        AluOp::Logic { op, ty } if FAMILY == Family::Logic as u8 => {
            shift::execute(op, ty, inst, state)
        }
        AluOp::Lop3 if FAMILY == Family::Logic as u8 => shift::lop3(inst, state),
        AluOp::Permute(mode) if FAMILY == Family::Bits as u8 => bits::permute(mode, inst, state),
        AluOp::Funnel { left, wrap } if FAMILY == Family::Logic as u8 => {
            shift::funnel(left, wrap, inst, state)
        }
        AluOp::Field { op, ty } if FAMILY == Family::Bits as u8 => {
            bits::execute(op, ty, lists, inst, state)
        }
        AluOp::Dot {
            a_signed,
            b_signed,
            form,
        } if FAMILY == Family::Wide as u8 => integer::dot((a_signed, b_signed), form, inst, state),
        AluOp::Compare {
            cmp,
            ty,
            combine,
            ftz,
        } if FAMILY == Family::Compare as u8 => {
            let what = compare::Comparison { cmp, ty, ftz };
            compare::setp(what, combine, inst, state);
        }
        AluOp::Set {
            cmp,
            ty,
            combine,
            result,
            ftz,
        } if FAMILY == Family::Set as u8 => {
            let what = compare::Comparison { cmp, ty, ftz };
            compare::set(what, combine, result, inst, state);
        }
        AluOp::Test { op, wide } if FAMILY == Family::Set as u8 => {
            compare::testp(op, wide, inst, state)
        }
        AluOp::F32 { op, ftz } if FAMILY == Family::Float as u8 => {
            float::execute(op, ftz, inst, state)
        }
        AluOp::F32Rounded {
            op,
            rounding,
            ftz,
            sat,
        } if FAMILY == Family::Rounded as u8 => {
            let how = float::Manner::new(rounding, ftz, sat);
            float::rounded(op, how, inst, state);
        }
        AluOp::F64(op) if FAMILY == Family::Rounded as u8 => float::double(op, inst, state),
        AluOp::Half {
            op,
            ty,
            packed,
            clamp,
        } if FAMILY == Family::Half as u8 => half::execute(op, ty, packed, clamp, inst, state),
        AluOp::Approx { op, ftz } if FAMILY == Family::Approximate as u8 => {
            approximate::execute(op, ftz, inst, state)
        }
        AluOp::ApproxHalf {
            tanh,
            ty,
            packed,
            ftz,
        } if FAMILY == Family::Approximate as u8 => {
            approximate::halves(tanh, ty, (packed, ftz), inst, state)
        }
        AluOp::HalfToFloat(ty) if FAMILY == Family::Halves as u8 => {
            convert::half_to_float(ty, inst, state)
        }
        AluOp::IntToFloat { signed } if FAMILY == Family::Halves as u8 => {
            convert::int_to_float(signed, inst, state)
        }
        AluOp::FloatToHalf(ty) if FAMILY == Family::Halves as u8 => {
            convert::float_to_half(ty, inst, state)
        }
        AluOp::FloatsToPair { ty, rounding, relu } if FAMILY == Family::Halves as u8 => {
            convert::floats_to_pair(ty, rounding, relu, inst, state);
        }
        AluOp::Resize { wide, to, register } if FAMILY == Family::Halves as u8 => {
            convert::resize(wide, to, register, inst, state)
        }
        AluOp::Convert(what) if FAMILY == Family::Convert as u8 => {
            convert::execute(&what, inst, state)
        }
        _ => {}
    }
}
