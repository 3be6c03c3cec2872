//! Names to registers, constants and addresses.

use std::collections::HashMap;

use super::decoded::{PredSource, Source, Virtual};
use super::error::DecodeError;
use crate::driver::Target;
use crate::emu::ptx::{Instruction, Operand, Space, Type};

/// Where a variable or parameter stands in its space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its space.
    pub space: Space,
    /// Its offset there.
    pub offset: u32,
    /// Its size.
    pub bytes: u32,
}

/// An address operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressSource {
    /// A 32- or 64-bit register or immediate that the offset is added to.
    pub base: Source,
    /// Whether the base is 64 bits wide.
    pub wide: bool,
    /// Bytes added; the place of a named variable is in it.
    pub offset: i64,
    /// The space of a named variable.
    pub space: Option<Space>,
}

/// What the names of an entry mean.
#[derive(Debug)]
pub struct Resolver {
    /// What the kernel was compiled for.
    pub target: Target,
    pub(super) registers: HashMap<String, (Virtual, Type)>,
    pub(super) types: Vec<Type>,
    pub(super) places: HashMap<String, Place>,
    pub(super) labels: HashMap<String, u32>,
}

impl Resolver {
    /// The type a register was declared with.
    pub fn type_of(&self, register: Virtual) -> Type {
        self.types[register.0 as usize]
    }

    /// A register by name.
    pub fn register(&self, at: &Instruction, name: &str) -> Result<(Virtual, Type), DecodeError> {
        self.registers
            .get(name)
            .copied()
            .ok_or_else(|| DecodeError::new(at, format!("{name} is not declared as a register")))
    }

    /// A destination of `bytes` bytes (1 and 2 live in a 32-bit row); `None` for `_`.
    pub fn dest(
        &self,
        at: &Instruction,
        operand: &Operand,
        bytes: u32,
    ) -> Result<Option<Virtual>, DecodeError> {
        match operand {
            Operand::Name(name) if name == "_" => Ok(None),
            Operand::Name(name) => {
                let (register, ty) = self.register(at, name)?;
                self.fits(at, name, ty, bytes)?;
                Ok(Some(register))
            }
            _ => Err(DecodeError::new(
                at,
                "a destination must be a register".into(),
            )),
        }
    }

    /// A source of `ty`: register, integer or float literal, or the address of a variable.
    pub fn source(
        &self,
        at: &Instruction,
        operand: &Operand,
        ty: Type,
    ) -> Result<Source, DecodeError> {
        let wide = ty.bytes() == 8;
        let immediate = |bits: u64| match ty.bytes() {
            8 => Source::Wide(bits),
            4 => Source::Narrow(bits as u32),
            2 => Source::Narrow(u32::from(bits as u16)),
            _ => Source::Narrow(u32::from(bits as u8)),
        };
        match operand {
            Operand::Name(name) => match self.places.get(name) {
                Some(place) if wide => Ok(Source::Wide(u64::from(place.offset))),
                Some(place) => Ok(Source::Narrow(place.offset)),
                None => {
                    let (register, declared) = self.register(at, name)?;
                    self.fits(at, name, declared, ty.bytes())?;
                    Ok(Source::Register(register))
                }
            },
            Operand::Integer(bits) => Ok(immediate(*bits)),
            Operand::Float32(bits) if ty.bytes() == 4 => Ok(Source::Narrow(*bits)),
            Operand::Float64(bits) if ty == Type::F32 => {
                Ok(Source::Narrow((f64::from_bits(*bits) as f32).to_bits()))
            }
            Operand::Float64(bits) if wide => Ok(Source::Wide(*bits)),
            other => Err(DecodeError::new(
                at,
                format!("{other:?} is no source of type {ty}"),
            )),
        }
    }

    /// A destination predicate; `None` for `_`.
    pub fn pred_dest(&self, at: &Instruction, name: &str) -> Result<Option<Virtual>, DecodeError> {
        if name == "_" {
            return Ok(None);
        }
        match self.register(at, name)? {
            (register, Type::Pred) => Ok(Some(register)),
            (_, ty) => Err(DecodeError::new(
                at,
                format!("{name} is {ty}, not a predicate"),
            )),
        }
    }

    /// A source predicate, `p` or `!p`.
    pub fn pred_source(
        &self,
        at: &Instruction,
        operand: &Operand,
    ) -> Result<PredSource, DecodeError> {
        let (name, negated) = match operand {
            Operand::Name(name) => (name, false),
            Operand::Not(name) => (name, true),
            other => return Err(DecodeError::new(at, format!("{other:?} is no predicate"))),
        };
        self.pred(at, name, negated)
    }

    /// A predicate that is read: `_` holds nothing.
    pub fn pred(
        &self,
        at: &Instruction,
        name: &str,
        negated: bool,
    ) -> Result<PredSource, DecodeError> {
        match self.pred_dest(at, name)? {
            None => Err(DecodeError::new(at, "_ is no predicate to read".into())),
            register => Ok(PredSource { register, negated }),
        }
    }

    /// `[base+offset]`, `[variable+offset]` or `[absolute]`.
    pub fn address(
        &self,
        at: &Instruction,
        operand: &Operand,
    ) -> Result<AddressSource, DecodeError> {
        let Operand::Address(address) = operand else {
            return Err(DecodeError::new(at, format!("{operand:?} is no address")));
        };
        let Some(name) = &address.base else {
            return Ok(AddressSource {
                base: Source::Wide(0),
                wide: true,
                offset: address.offset,
                space: None,
            });
        };
        if let Some(place) = self.places.get(name) {
            return Ok(AddressSource {
                base: Source::Wide(0),
                wide: true,
                offset: i64::from(place.offset) + address.offset,
                space: Some(place.space),
            });
        }
        let (register, ty) = self.register(at, name)?;
        let wide = match ty {
            Type::B32 | Type::U32 | Type::S32 => false,
            Type::B64 | Type::U64 | Type::S64 => true,
            _ => {
                let what = format!(
                    "{name} is {ty}; addresses are modelled in integer registers of 32 and 64 bits"
                );
                return Err(DecodeError::new(at, what));
            }
        };
        Ok(AddressSource {
            base: Source::Register(register),
            wide,
            offset: address.offset,
            space: None,
        })
    }

    /// A parameter, variable or label by name.
    pub fn place(&self, name: &str) -> Option<Place> {
        self.places.get(name).copied()
    }

    /// The index in the entry's body that a label stands for.
    pub fn label(&self, at: &Instruction, name: &str) -> Result<u32, DecodeError> {
        self.labels
            .get(name)
            .copied()
            .ok_or_else(|| DecodeError::new(at, format!("there is no label {name}")))
    }

    /// PTX lets a register hold a value of its own size only; loads and conversions that widen say so themselves by
    /// asking for the register's size.
    fn fits(&self, at: &Instruction, name: &str, ty: Type, bytes: u32) -> Result<(), DecodeError> {
        let rows = |bytes: u32| bytes.div_ceil(4);
        if ty == Type::Pred || rows(ty.bytes()) != rows(bytes) {
            let what = format!("{name} is {ty}, but {bytes} bytes are needed");
            return Err(DecodeError::new(at, what));
        }
        Ok(())
    }
}
