//! Decoding of `mma`.

use crate::emu::op::MmaForm;
use crate::emu::op::{Op, SyncOp};
use crate::emu::program::error::DecodeError;
use crate::emu::program::parts::operands;
use crate::emu::program::{Decoded, Resolver};
use crate::emu::ptx::{Instruction, Operand, Type};

/// `mma.sync.aligned... {d..}, {a..}, {b..}, {c..}`.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let form = MmaForm::decode(&at.parts, names.target);
    let form = form.map_err(|what| DecodeError::new(at, what))?;
    let form = form.ok_or_else(|| DecodeError::new(at, "no mma".into()))?;
    let operands = operands(at, 4, 4)?;
    let mut inst = Decoded::new(Op::Sync(SyncOp::Mma(form)));
    for operand in fragment(at, &operands[0], form.d_registers())? {
        inst.defs.push(names.dest(at, operand, 4)?);
    }
    let counts = [form.a_registers(), form.b_registers(), form.d_registers()];
    for (operand, count) in operands[1..].iter().zip(counts) {
        for register in fragment(at, operand, count)? {
            inst.uses.push(names.source(at, register, Type::B32)?);
        }
    }
    Ok(inst)
}

/// The registers of a fragment.
fn fragment<'a>(
    at: &Instruction,
    operand: &'a Operand,
    count: usize,
) -> Result<&'a [Operand], DecodeError> {
    let registers = match operand {
        Operand::Vector(registers) => registers.as_slice(),
        other => std::slice::from_ref(other),
    };
    if registers.len() == count {
        return Ok(registers);
    }
    let what = format!("a fragment of {} registers for {count}", registers.len());
    Err(DecodeError::new(at, what))
}
