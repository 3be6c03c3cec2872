//! Which family of instructions an opcode belongs to.

use super::decoded::Decoded;
use super::error::DecodeError;
use super::resolve::Resolver;
use super::{alu, control, memory, sync};
use crate::emu::ptx::Instruction;

type Decoder = fn(&Instruction, &Resolver) -> Result<Option<Decoded>, DecodeError>;

/// Each gives `None` for an opcode that is not of its family.
const FAMILIES: &[Decoder] = &[control::decode, memory::decode, sync::decode, alu::decode];

/// Decodes an instruction, guard aside.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    for family in FAMILIES {
        if let Some(inst) = family(at, names)? {
            return Ok(inst);
        }
    }
    Err(DecodeError::new(
        at,
        format!("{} is not modelled", at.opcode()),
    ))
}
