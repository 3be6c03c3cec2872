//! Decoding of lane arithmetic. An opcode of it with a modifier, type or operand that is not modelled is refused by
//! name; so is one that the kernel's target does not have.

mod approximate;
mod bits;
mod compare;
mod convert;
mod float;
mod form;
mod half;
mod integer;
mod moves;

use super::{DecodeError, Decoded, Resolver};
use crate::emu::ptx::Instruction;
use form::{Form, is_float};

/// Decodes an instruction of lane arithmetic; `None` for any other.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Option<Decoded>, DecodeError> {
    let form = &mut Form::new(at, names);
    match form.opcode() {
        "mov" => moves::mov(form),
        "add" | "sub" | "mul" | "mad" | "fma" | "div" | "rem" | "sad" | "neg" | "abs" | "min"
        | "max" | "sqrt" | "rcp" | "copysign" => arithmetic(form).map(Some),
        "ex2" | "lg2" | "rsqrt" | "sin" | "cos" | "tanh" => {
            let ty = form.ty()?;
            approximate::decode(form, ty).map(Some)
        }
        "addc" | "subc" | "madc" => integer::with_carry(form).map(Some),
        "dp4a" | "dp2a" => integer::dot(form).map(Some),
        "and" | "or" | "xor" | "not" | "cnot" | "shl" | "shr" => bits::logic(form).map(Some),
        "lop3" => bits::lop3(form).map(Some),
        "shf" => bits::funnel(form).map(Some),
        "prmt" => bits::permute(form).map(Some),
        "bfe" | "bfi" | "bfind" | "brev" | "clz" | "popc" | "bmsk" => bits::field(form).map(Some),
        "selp" => moves::select(form).map(Some),
        "slct" => moves::select_by_sign(form).map(Some),
        "cvta" => moves::to_generic(form).map(Some),
        "isspacep" => moves::in_window(form).map(Some),
        "setp" => compare::setp(form).map(Some),
        "set" => compare::set(form).map(Some),
        "testp" => compare::testp(form).map(Some),
        "cvt" => convert::cvt(form).map(Some),
        _ => Ok(None),
    }
}

fn arithmetic(form: &mut Form<'_>) -> Result<Decoded, DecodeError> {
    let ty = form.ty()?;
    let approximate = matches!(form.opcode(), "sqrt" | "rcp") && form.has("approx");
    if approximate {
        approximate::decode(form, ty)
    } else if is_float(ty) {
        float::arithmetic(form, ty)
    } else {
        integer::arithmetic(form, ty)
    }
}
