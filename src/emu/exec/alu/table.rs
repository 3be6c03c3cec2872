//! Every lane operation and the code that runs it. An operation is the first row that it fits.

use super::code::{Alu, Kind, LaneCode};
use super::compare::Comparison;
use super::float::Manner;
use super::lanes::LaneState;
use super::{approximate, bits, carry, compare, convert, float, half, integer, moves, shift};
use crate::emu::op::{AluOp, FloatOp, Half, Int, IntOp, LogicOp, Op, Packing};
use crate::emu::program::Inst;
use crate::emu::rows::Slot;

/// A row is `Name: operations => what runs them`; each is compiled by itself. One function for all would take the compiler
/// minutes, and a warp would have to find its way through it for every instruction.
macro_rules! table {
    (
        ($inst:ident, $lists:ident, $state:ident)
        $($(#[doc = $doc:literal])* $name:ident: $operations:pat => $run:expr;)+
    ) => {
        $(
            struct $name;

            impl Kind for $name {
                #[inline(always)]
                #[allow(unused_variables, reason = "few operations have lists")]
                fn run($inst: &Inst, $lists: &[Slot], $state: &mut LaneState<'_>) {
                    if let Op::Alu($operations) = $inst.op {
                        $run;
                    }
                }
            }
        )+

        impl Alu {
            /// The code for an operation.
            #[allow(unused_variables, reason = "what a row takes out of the operation is for its code")]
            pub fn code(self, op: &AluOp) -> LaneCode {
                match *op {
                    $($operations => self.of::<$name>(),)+
                }
            }
        }
    };
}

table! {
    (inst, lists, state)
    // Frequent operations: no choice is left to be made while they run.
    AddF32: AluOp::F32 { op: FloatOp::Add, ftz: false } => float::execute(FloatOp::Add, false, inst, state);
    MulF32: AluOp::F32 { op: FloatOp::Mul, ftz: false } => float::execute(FloatOp::Mul, false, inst, state);
    FmaF32: AluOp::F32 { op: FloatOp::Fma, ftz: false } => float::execute(FloatOp::Fma, false, inst, state);
    AddInt: AluOp::Int { op: IntOp::Add, ty: Int::U32 | Int::S32 } => integer::word(IntOp::Add, Int::U32, inst, state);
    AddWide: AluOp::Int { op: IntOp::Add, ty: Int::U64 | Int::S64 } => integer::wide(IntOp::Add, Int::U64, inst, state);
    And: AluOp::Logic { op: LogicOp::And, ty: Int::U32 | Int::S32 } => shift::execute(LogicOp::And, Int::U32, inst, state);
    UnpackTwo16: AluOp::Unpack(Packing::Two16) => moves::unpack(Packing::Two16, lists, inst, state);
    F16ToF32: AluOp::HalfToFloat(Half::F16) => convert::half_to_float(Half::F16, inst, state);

    Copy32: AluOp::Copy32 => moves::copy::<u32>(inst, state);
    Copy64: AluOp::Copy64 => moves::copy::<u64>(inst, state);
    Pack: AluOp::Pack(packing) => moves::pack(packing, lists, inst, state);
    Unpack: AluOp::Unpack(packing) => moves::unpack(packing, lists, inst, state);
    Predicate: AluOp::Predicate(op) => moves::predicate(op, inst, state);
    Select: AluOp::Select { wide: false } => moves::select::<u32>(inst, state);
    SelectWide: AluOp::Select { wide: true } => moves::select::<u64>(inst, state);
    SelectBySign: AluOp::SelectBySign { wide: false, float } => moves::select_by_sign::<u32>(float, inst, state);
    SelectWideBySign: AluOp::SelectBySign { wide: true, float } => moves::select_by_sign::<u64>(float, inst, state);
    InWindow: AluOp::InWindow => moves::in_window(inst, state);
    Narrow: AluOp::Int { op, ty: ty @ (Int::U8 | Int::S8 | Int::U16 | Int::S16) } => integer::narrow(op, ty, inst, state);
    Word: AluOp::Int { op, ty: ty @ (Int::U32 | Int::S32) } => integer::word(op, ty, inst, state);
    Wide: AluOp::Int { op, ty } => integer::wide(op, ty, inst, state);
    Widening: AluOp::Widening { add, ty } => integer::widening(add, ty, inst, state);
    Carry: AluOp::Carry { op, ty, reads, writes } => carry::execute(op, ty, (reads, writes), inst, state);
    Logic: AluOp::Logic { op, ty } => shift::execute(op, ty, inst, state);
    Lop3: AluOp::Lop3 => shift::lop3(inst, state);
    Permute: AluOp::Permute(mode) => bits::permute(mode, inst, state);
    Funnel: AluOp::Funnel { left, wrap } => shift::funnel(left, wrap, inst, state);
    Field: AluOp::Field { op, ty } => bits::execute(op, ty, lists, inst, state);
    Dot: AluOp::Dot { a_signed, b_signed, form } => integer::dot((a_signed, b_signed), form, inst, state);
    Compare: AluOp::Compare { cmp, ty, combine, ftz } => compare::setp(Comparison { cmp, ty, ftz }, combine, inst, state);
    Set: AluOp::Set { cmp, ty, combine, result, ftz } => compare::set(Comparison { cmp, ty, ftz }, combine, result, inst, state);
    Test: AluOp::Test { op, wide } => compare::testp(op, wide, inst, state);
    F32: AluOp::F32 { op, ftz } => float::execute(op, ftz, inst, state);
    F32Rounded: AluOp::F32Rounded { op, rounding, ftz, sat } => float::rounded(op, Manner::new(rounding, ftz, sat), inst, state);
    F64: AluOp::F64(op) => float::double(op, inst, state);
    Halves: AluOp::Half { op, ty, packed, clamp } => half::execute(op, ty, packed, clamp, inst, state);
    Approximate: AluOp::Approx { op, ftz } => approximate::execute(op, ftz, inst, state);
    ApproximateHalves: AluOp::ApproxHalf { tanh, ty, packed, ftz } => approximate::halves(tanh, ty, (packed, ftz), inst, state);
    IntToFloat: AluOp::IntToFloat { signed } => convert::int_to_float(signed, inst, state);
    HalfToFloat: AluOp::HalfToFloat(ty) => convert::half_to_float(ty, inst, state);
    FloatToHalf: AluOp::FloatToHalf(ty) => convert::float_to_half(ty, inst, state);
    FloatsToPair: AluOp::FloatsToPair { ty, rounding, relu } => convert::floats_to_pair(ty, rounding, relu, inst, state);
    Resize: AluOp::Resize { wide, to, register } => convert::resize(wide, to, register, inst, state);
    Convert: AluOp::Convert(what) => convert::execute(&what, inst, state);
}
