//! The modifiers of an opcode, taken one by one; what is left over is refused by name.

use super::error::DecodeError;
use crate::emu::op::Scope;
use crate::emu::ptx::{Instruction, Operand, Type};

/// Modifiers not yet taken.
#[derive(Debug)]
pub struct Parts<'a> {
    at: &'a Instruction,
    next: usize,
}

impl<'a> Parts<'a> {
    /// All modifiers behind the opcode's first `skip` parts.
    pub fn new(at: &'a Instruction, skip: usize) -> Parts<'a> {
        Parts { at, next: skip }
    }

    /// The next one, without taking it.
    pub fn peek(&self) -> Option<&'a str> {
        self.at.parts.get(self.next).map(String::as_str)
    }

    /// Takes the next one.
    pub fn take(&mut self) -> Option<&'a str> {
        let part = self.peek()?;
        self.next += 1;
        Some(part)
    }

    /// Takes the next one if it is `name`.
    pub fn accept(&mut self, name: &str) -> bool {
        let found = self.peek() == Some(name);
        self.next += usize::from(found);
        found
    }

    /// Takes the next one if it is in `table`.
    pub fn one_of<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let part = self.peek()?;
        let (_, value) = table.iter().find(|(name, _)| *name == part)?;
        self.next += 1;
        Some(*value)
    }

    /// Takes `.cta`, `.gpu`, `.sys`.
    pub fn scope(&mut self) -> Option<Scope> {
        self.one_of(&[
            ("cta", Scope::Cta),
            ("gpu", Scope::Device),
            ("sys", Scope::Device),
        ])
    }

    /// Takes the type, which must be one of `accepted` and the last part.
    pub fn last_type(&mut self, accepted: &[Type]) -> Result<Type, DecodeError> {
        let ty = self.peek().and_then(Type::from_name);
        let ty = ty.filter(|ty| accepted.contains(ty));
        self.next += usize::from(ty.is_some());
        match ty {
            Some(ty) if self.peek().is_none() => Ok(ty),
            _ => Err(self.refuse()),
        }
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.refuse()),
        }
    }

    /// The error that names what stands next.
    pub fn refuse(&self) -> DecodeError {
        let opcode = &self.at.parts[0];
        let what = match self.peek() {
            Some(part) => format!(".{part} of {opcode} is not modelled here"),
            None => format!("{} lacks a modifier", self.at.opcode()),
        };
        DecodeError::new(self.at, what)
    }
}

/// Checks the count of operands.
pub fn operands(at: &Instruction, min: usize, max: usize) -> Result<&[Operand], DecodeError> {
    let count = at.operands.len();
    if (min..=max).contains(&count) {
        return Ok(&at.operands);
    }
    let what = format!(
        "{} has {count} operands, {min} to {max} are modelled",
        at.opcode()
    );
    Err(DecodeError::new(at, what))
}
