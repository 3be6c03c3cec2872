//! Integer arithmetic: `add sub mul mad sad div rem neg abs min max`, carries, dot products.

use super::form::{Form, Result, int, is_bits};
use crate::emu::op::{AluOp, CarryOp, DotForm, Int, IntOp};
use crate::emu::program::Decoded;
use crate::emu::ptx::Type;

/// Which part of a product is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Low,
    High,
    Wide,
}

const PARTS: &[(&str, Part)] = &[("lo", Part::Low), ("hi", Part::High), ("wide", Part::Wide)];

/// An integer instruction on `ty`, which is already taken.
pub fn arithmetic(form: &mut Form<'_>, ty: Type) -> Result<Decoded> {
    let kind = match int(ty) {
        Some(kind) if !is_bits(ty) => kind,
        _ => return form.wrong_type(ty),
    };
    let signed_only = |op| {
        if ty.is_signed() {
            Ok(op)
        } else {
            form.wrong_type(ty)
        }
    };
    let op = match form.opcode() {
        "add" | "sub" => return sum(form, ty, kind),
        "mul" | "mad" => return product(form, ty, kind),
        "sad" => IntOp::Sad,
        "div" => IntOp::Div,
        "rem" => IntOp::Rem,
        "min" => IntOp::Min,
        "max" => IntOp::Max,
        "neg" => signed_only(IntOp::Neg)?,
        "abs" => signed_only(IntOp::Abs)?,
        _ => return form.wrong_type(ty),
    };
    let sources = match op {
        IntOp::Neg | IntOp::Abs => 1,
        IntOp::Sad => 3,
        _ => 2,
    };
    let op = AluOp::Int { op, ty: kind };
    form.plain(op, ty, &[ty, ty, ty][..sources])
}

fn sum(form: &mut Form<'_>, ty: Type, kind: Int) -> Result<Decoded> {
    let add = form.opcode() == "add";
    if form.take("cc") {
        let op = if add { CarryOp::Add } else { CarryOp::Sub };
        return carry(form, op, ty, (false, true));
    }
    let op = match (add, ty == Type::S32 && form.take("sat")) {
        (true, false) => IntOp::Add,
        (true, true) => IntOp::AddSat,
        (false, false) => IntOp::Sub,
        (false, true) => IntOp::SubSat,
    };
    form.plain(AluOp::Int { op, ty: kind }, ty, &[ty, ty])
}

fn product(form: &mut Form<'_>, ty: Type, kind: Int) -> Result<Decoded> {
    let part = form.must(PARTS)?;
    let add = form.opcode() == "mad";
    if add && part != Part::Wide && form.take("cc") {
        return carry(form, mad(part), ty, (false, true));
    }
    if part == Part::Wide {
        let double = match ty {
            Type::U16 => Type::U32,
            Type::S16 => Type::S32,
            Type::U32 => Type::U64,
            Type::S32 => Type::S64,
            _ => return form.wrong_type(ty),
        };
        let sources = [ty, ty, double];
        let op = AluOp::Widening { add, ty: kind };
        return form.plain(op, double, &sources[..2 + usize::from(add)]);
    }
    let op = match (part, add) {
        (Part::High, false) => IntOp::MulHigh,
        (Part::High, true) => IntOp::MadHigh,
        (_, false) => IntOp::Mul,
        (_, true) => IntOp::Mad,
    };
    let op = AluOp::Int { op, ty: kind };
    form.plain(op, ty, &[ty, ty, ty][..2 + usize::from(add)])
}

fn mad(part: Part) -> CarryOp {
    match part {
        Part::High => CarryOp::MadHigh,
        Part::Low | Part::Wide => CarryOp::MadLow,
    }
}

/// `addc`, `subc` and `madc`: they take the carry flag in.
pub fn with_carry(form: &mut Form<'_>) -> Result<Decoded> {
    let ty = form.ty()?;
    let op = match form.opcode() {
        "addc" => CarryOp::Add,
        "subc" => CarryOp::Sub,
        _ => mad(form.must(&PARTS[..2])?),
    };
    let writes = form.take("cc");
    carry(form, op, ty, (true, writes))
}

fn carry(form: &Form<'_>, op: CarryOp, ty: Type, (reads, writes): (bool, bool)) -> Result<Decoded> {
    let kind = match int(ty) {
        Some(kind) if ty.bytes() >= 4 && !is_bits(ty) => kind,
        _ => return form.wrong_type(ty),
    };
    let sources = match op {
        CarryOp::Add | CarryOp::Sub => 2,
        CarryOp::MadLow | CarryOp::MadHigh => 3,
    };
    let op = AluOp::Carry {
        op,
        ty: kind,
        reads,
        writes,
    };
    form.plain(op, ty, &[ty, ty, ty][..sources])
}

/// `dp4a` and `dp2a`.
pub fn dot(form: &mut Form<'_>) -> Result<Decoded> {
    let (b, a) = (form.ty()?, form.ty()?);
    for ty in [a, b] {
        if !matches!(ty, Type::U32 | Type::S32) {
            return form.wrong_type(ty);
        }
    }
    let halves = [("lo", DotForm::HalvesLow), ("hi", DotForm::HalvesHigh)];
    let dot_form = match form.opcode() {
        "dp2a" => form.must(&halves)?,
        _ => DotForm::Bytes,
    };
    let sum = if a.is_signed() || b.is_signed() {
        Type::S32
    } else {
        Type::U32
    };
    let op = AluOp::Dot {
        a_signed: a.is_signed(),
        b_signed: b.is_signed(),
        form: dot_form,
    };
    form.plain(op, sum, &[a, b, sum])
}
