//! An instruction's opcode taken apart: what is left over was not understood and is refused.

use crate::driver::Target;
use crate::emu::op::{AluOp, Int, Op};
use crate::emu::program::{DecodeError, Decoded, Resolver};
use crate::emu::ptx::{Instruction, Operand, Type};

/// What a decoder gives back.
pub type Result<T> = std::result::Result<T, DecodeError>;

/// An opcode with the modifiers that nobody took yet.
pub struct Form<'a> {
    /// The instruction.
    pub at: &'a Instruction,
    /// What its names mean.
    pub names: &'a Resolver,
    modifiers: Vec<&'a str>,
}

impl<'a> Form<'a> {
    /// All modifiers are left.
    pub fn new(at: &'a Instruction, names: &'a Resolver) -> Form<'a> {
        Form {
            at,
            names,
            modifiers: at.parts.iter().skip(1).map(String::as_str).collect(),
        }
    }

    /// The opcode without modifiers.
    pub fn opcode(&self) -> &'a str {
        self.at.parts.first().map_or("", String::as_str)
    }

    /// Whether a modifier is there.
    pub fn has(&self, name: &str) -> bool {
        self.modifiers.contains(&name)
    }

    /// Whether a modifier was there; it is taken.
    pub fn take(&mut self, name: &str) -> bool {
        let place = self.modifiers.iter().position(|m| *m == name);
        place.map(|index| self.modifiers.remove(index)).is_some()
    }

    /// The first modifier that a table has; it is taken.
    pub fn one_of<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let entry = |name: &&str| table.iter().find(|(known, _)| known == name);
        let (index, value) = self
            .modifiers
            .iter()
            .enumerate()
            .find_map(|(index, name)| entry(name).map(|(_, value)| (index, *value)))?;
        self.modifiers.remove(index);
        Some(value)
    }

    /// The same, where one must be there.
    pub fn must<T: Copy>(&mut self, table: &[(&str, T)]) -> Result<T> {
        self.one_of(table).ok_or_else(|| {
            let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
            self.error(format!("a modifier is missing: one of {}", names.join(" ")))
        })
    }

    /// The last modifier, a type; it is taken.
    pub fn ty(&mut self) -> Result<Type> {
        let last = self.modifiers.pop().unwrap_or("");
        Type::from_name(last).ok_or_else(|| self.error(format!(".{last} is no type modelled here")))
    }

    /// An error at the instruction.
    pub fn error(&self, what: String) -> DecodeError {
        DecodeError::new(self.at, what)
    }

    /// That `ty` is no type of this instruction.
    pub fn wrong_type<T>(&self, ty: Type) -> Result<T> {
        Err(self.error(format!("{} on {ty} is not modelled", self.opcode())))
    }

    /// Refuses what the target's instruction set does not have.
    pub fn needs(&self, target: Target) -> Result<()> {
        let have = self.names.target;
        if have >= target {
            return Ok(());
        }
        let opcode = self.at.opcode();
        Err(self.error(format!("{opcode} needs {target}, the kernel is for {have}")))
    }

    /// Refuses modifiers that nobody took.
    pub fn finish(&self) -> Result<()> {
        match self.modifiers.first() {
            None => Ok(()),
            Some(left) => Err(self.error(format!(".{left} of {} is not modelled", self.opcode()))),
        }
    }

    /// The operands, of which there must be `count`.
    pub fn operands(&self, count: usize) -> Result<&'a [Operand]> {
        let have = self.at.operands.len();
        if have == count {
            return Ok(&self.at.operands);
        }
        Err(self.error(format!("{have} operands, {count} are needed")))
    }

    /// An instruction with a destination of type `to` and sources of types `from`, all modifiers taken.
    pub fn plain(&self, op: AluOp, to: Type, from: &[Type]) -> Result<Decoded> {
        self.finish()?;
        let operands = self.operands(1 + from.len())?;
        let mut inst = Decoded::new(Op::Alu(op));
        inst.defs
            .push(self.names.dest(self.at, &operands[0], to.bytes())?);
        for (operand, ty) in operands[1..].iter().zip(from) {
            inst.uses.push(self.names.source(self.at, operand, *ty)?);
        }
        Ok(inst)
    }
}

/// The integer type of arithmetic on `ty`: untyped bits are unsigned. 8-bit types have no arithmetic.
pub fn int(ty: Type) -> Option<Int> {
    match ty {
        Type::B16 | Type::U16 => Some(Int::U16),
        Type::S16 => Some(Int::S16),
        Type::B32 | Type::U32 => Some(Int::U32),
        Type::S32 => Some(Int::S32),
        Type::B64 | Type::U64 => Some(Int::U64),
        Type::S64 => Some(Int::S64),
        _ => None,
    }
}

/// Whether `ty` is untyped bits.
pub fn is_bits(ty: Type) -> bool {
    matches!(ty, Type::B8 | Type::B16 | Type::B32 | Type::B64)
}

/// Whether `ty` is a float, packed or not.
pub fn is_float(ty: Type) -> bool {
    use Type::{Bf16, Bf16x2, F16, F16x2, F32, F64};
    matches!(ty, F16 | F16x2 | Bf16 | Bf16x2 | F32 | F64)
}
