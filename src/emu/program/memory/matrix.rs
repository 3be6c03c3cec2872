//! Decoding of `ldmatrix`.

use super::qualifiers::named_space;
use crate::emu::op::{MemoryOp, Op};
use crate::emu::program::error::DecodeError;
use crate::emu::program::parts::{Parts, operands};
use crate::emu::program::{Decoded, Resolver};
use crate::emu::ptx::{Instruction, Operand, Space, Type};

/// `ldmatrix.sync.aligned.m8n8.x{1,2,4}{.trans}{.shared}.b16 {d..}, [a]`.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let mut parts = Parts::new(at, 1);
    for name in ["sync", "aligned", "m8n8"] {
        if !parts.accept(name) {
            return Err(parts.refuse());
        }
    }
    let count = parts.one_of(&[("x1", 1), ("x2", 2), ("x4", 4)]);
    let count = count.ok_or_else(|| parts.refuse())?;
    let transposed = parts.accept("trans");
    let mut space = Space::Generic;
    if parts.peek().and_then(named_space) == Some(Space::Shared) {
        parts.take();
        space = Space::Shared;
    }
    parts.last_type(&[Type::B16])?;
    let operands = operands(at, 2, 2)?;
    let registers = match &operands[0] {
        Operand::Vector(registers) => registers.as_slice(),
        other => std::slice::from_ref(other),
    };
    if registers.len() != usize::from(count) {
        let what = format!("{} registers for {count} matrices", registers.len());
        return Err(DecodeError::new(at, what));
    }
    let address = names.address(at, &operands[1])?;
    let defs: Result<Vec<_>, _> = registers.iter().map(|r| names.dest(at, r, 4)).collect();
    let load = MemoryOp::LoadMatrix {
        count,
        transposed,
        space: address.space.unwrap_or(space),
        wide: address.wide,
    };
    Ok(Decoded {
        defs: defs?,
        uses: vec![address.base],
        immediate: address.offset,
        ..Decoded::new(Op::Memory(load))
    })
}
