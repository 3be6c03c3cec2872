//! Decoding of loads.

use super::qualifiers::Qualifiers;
use crate::emu::op::{MemoryOp, Op, Widen};
use crate::emu::program::error::DecodeError;
use crate::emu::program::parts::operands;
use crate::emu::program::{Decoded, Resolver, Virtual};
use crate::emu::ptx::{Instruction, Operand, Type};

/// `ld{.order}{.space}{.hints}{.vec}.type d, [a]`.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let qualifiers = Qualifiers::read(at)?;
    let operands = operands(at, 2, 2)?;
    let address = names.address(at, &operands[1])?;
    let mut widen = None;
    let mut defs = Vec::new();
    for element in qualifiers.elements(at, &operands[0])? {
        let (register, this) = destination(at, names, element, qualifiers.ty)?;
        if register.is_some() && *widen.get_or_insert(this) != this {
            let what = "the registers of a vector must have one width".to_string();
            return Err(DecodeError::new(at, what));
        }
        defs.push(register);
    }
    let span = qualifiers.span(&address);
    let load = MemoryOp::Load {
        span,
        widen: widen.unwrap_or(Widen::Zero),
        order: qualifiers.order,
        unchanging: qualifiers.unchanging,
    };
    Ok(Decoded {
        defs,
        uses: vec![address.base],
        immediate: address.offset,
        ..Decoded::new(Op::Memory(load))
    })
}

/// A destination register, which may be wider than the element, and what the element becomes in it.
fn destination(
    at: &Instruction,
    names: &Resolver,
    operand: &Operand,
    element: Type,
) -> Result<(Option<Virtual>, Widen), DecodeError> {
    let name = match operand {
        Operand::Name(name) if name == "_" => return Ok((None, Widen::Zero)),
        Operand::Name(name) => name,
        _ => {
            return Err(DecodeError::new(
                at,
                "a destination must be a register".into(),
            ));
        }
    };
    let (register, declared) = names.register(at, name)?;
    let (have, need) = (declared.bytes(), element.bytes());
    if declared == Type::Pred || have < need || have > 8 {
        let what = format!("{name} is {declared}, but {need} bytes are loaded");
        return Err(DecodeError::new(at, what));
    }
    let widen = match (element.is_signed() && have > need, have) {
        (false, 8) => Widen::ZeroWide,
        (true, 8) => Widen::SignWide,
        (false, _) => Widen::Zero,
        (true, 4) => Widen::Sign32,
        (true, _) => Widen::Sign16,
    };
    Ok((Some(register), widen))
}
