//! Decoding of everything that touches memory.

mod atomic;
mod copy;
mod load;
mod matrix;
mod prefetch;
mod qualifiers;
mod store;

use super::decoded::Decoded;
use super::error::DecodeError;
use super::resolve::Resolver;
use crate::emu::ptx::Instruction;

/// Decodes a memory instruction; `None` for other opcodes.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Option<Decoded>, DecodeError> {
    match at.parts[0].as_str() {
        "ld" | "ldu" => load::decode(at, names).map(Some),
        "st" => store::decode(at, names).map(Some),
        "atom" | "red" => atomic::decode(at, names).map(Some),
        "cp" => copy::decode(at, names).map(Some),
        "ldmatrix" => matrix::decode(at, names).map(Some),
        "prefetch" | "prefetchu" => prefetch::decode(at, names).map(Some),
        _ => Ok(None),
    }
}
