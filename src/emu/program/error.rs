//! Refusals of the decoder: what is not modelled is refused by name and position.

use std::fmt;

use crate::emu::ptx::Instruction;

/// An instruction that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Line of the PTX text; 0 for an error of the whole module.
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

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "PTX line {line}: `{}`: {}", self.text, self.what),
        }
    }
}

impl std::error::Error for DecodeError {}
