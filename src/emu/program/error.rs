//! Refusals of the decoder: what is not modelled is refused by name and position.

use crate::emu::ptx::Instruction;

/// An instruction that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}: `{text}`: {what}")]
pub struct DecodeError {
    /// Line of the PTX text.
    pub line: u32,
    /// The instruction.
    pub text: String,
    /// Why.
    pub what: String,
}

impl DecodeError {
    /// An error at `at`.
    pub fn new(at: &Instruction, what: String) -> DecodeError {
        DecodeError {
            line: at.line,
            text: at.text.clone(),
            what,
        }
    }
}
