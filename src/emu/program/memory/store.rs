//! Decoding of stores.

use super::qualifiers::Qualifiers;
use crate::emu::op::{MemoryOp, Op};
use crate::emu::program::error::DecodeError;
use crate::emu::program::parts::operands;
use crate::emu::program::{Decoded, Resolver, Source};
use crate::emu::ptx::{Instruction, Operand, Space, Type};

/// `st{.order}{.space}{.hints}{.vec}.type [a], b`.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let qualifiers = Qualifiers::read(at)?;
    let operands = operands(at, 2, 2)?;
    let address = names.address(at, &operands[0])?;
    let span = qualifiers.span(&address);
    if matches!(span.space, Space::Param | Space::Const) {
        let what = format!("{:?} memory cannot be stored to", span.space);
        return Err(DecodeError::new(at, what));
    }
    let elements = qualifiers.elements(at, &operands[1])?;
    let mut uses = vec![address.base];
    let mut wide = None;
    for element in elements {
        let (source, wide_source) = value(at, names, element, qualifiers.ty)?;
        if *wide.get_or_insert(wide_source) != wide_source {
            let what = "the values of a vector must have one width".to_string();
            return Err(DecodeError::new(at, what));
        }
        uses.push(source);
    }
    let store = MemoryOp::Store {
        span,
        order: qualifiers.order,
        wide_values: wide.unwrap_or(false),
    };
    Ok(Decoded {
        uses,
        immediate: address.offset,
        ..Decoded::new(Op::Memory(store))
    })
}

/// A value to store, whose register may be wider than the element, and whether it has 64 bits.
fn value(
    at: &Instruction,
    names: &Resolver,
    operand: &Operand,
    element: Type,
) -> Result<(Source, bool), DecodeError> {
    let register = match operand {
        Operand::Name(name) if names.place(name).is_none() => Some(names.register(at, name)?),
        _ => None,
    };
    match register {
        Some((register, declared))
            if declared != Type::Pred && (element.bytes()..=8).contains(&declared.bytes()) =>
        {
            Ok((Source::Register(register), declared.bytes() == 8))
        }
        Some((_, declared)) => {
            let what = format!(
                "a register of type {declared} holds no {} bytes",
                element.bytes()
            );
            Err(DecodeError::new(at, what))
        }
        None => Ok((names.source(at, operand, element)?, element.bytes() == 8)),
    }
}
