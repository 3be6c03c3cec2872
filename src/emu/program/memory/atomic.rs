//! Decoding of `atom` and `red`.

use super::qualifiers::named_space;
use crate::emu::op::{AtomicFunction, MemoryOp, Op, Order, Scope, Span};
use crate::emu::program::error::DecodeError;
use crate::emu::program::parts::{Parts, operands};
use crate::emu::program::{Decoded, Resolver};
use crate::emu::ptx::{Instruction, Space, Type};

const FUNCTIONS: [(&str, AtomicFunction); 10] = [
    ("add", AtomicFunction::Add),
    ("min", AtomicFunction::Min),
    ("max", AtomicFunction::Max),
    ("and", AtomicFunction::And),
    ("or", AtomicFunction::Or),
    ("xor", AtomicFunction::Xor),
    ("exch", AtomicFunction::Exch),
    ("cas", AtomicFunction::Cas),
    ("inc", AtomicFunction::Inc),
    ("dec", AtomicFunction::Dec),
];

/// `atom{.order}{.scope}{.space}.op.type d, [a], b{, c}` and `red` without `d`.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let returns = at.parts[0] == "atom";
    let mut parts = Parts::new(at, 1);
    let (order, space) = order(&mut parts, returns);
    let function = parts.one_of(&FUNCTIONS).ok_or_else(|| parts.refuse())?;
    let rounds_as_told = parts.accept("noftz");
    let ty = parts.last_type(accepted(function))?;
    let is_half = matches!(ty, Type::F16 | Type::F16x2 | Type::Bf16 | Type::Bf16x2);
    if rounds_as_told != is_half {
        return Err(DecodeError::new(
            at,
            format!(".noftz and {ty} do not go together"),
        ));
    }
    let compare = usize::from(function == AtomicFunction::Cas);
    let first = usize::from(returns);
    let count = first + 2 + compare;
    let operands = operands(at, count, count)?;
    let address = names.address(at, &operands[first])?;
    let span = Span {
        space: match (space, address.space) {
            (Space::Generic, Some(named)) => named,
            (space, _) => space,
        },
        bytes: ty.bytes() as u8,
        count: 1,
        wide: address.wide,
    };
    let mut uses = vec![address.base];
    for operand in &operands[first + 1..] {
        uses.push(names.source(at, operand, ty)?);
    }
    let defs = match returns {
        true => vec![names.dest(at, &operands[0], ty.bytes())?],
        false => Vec::new(),
    };
    let atomic = MemoryOp::Atomic {
        span,
        function,
        ty,
        order,
    };
    Ok(Decoded {
        defs,
        uses,
        immediate: address.offset,
        ..Decoded::new(Op::Memory(atomic))
    })
}

/// Order, scope and space; ptxas takes the scope on either side of the space. `red`, which returns nothing, cannot acquire.
fn order(parts: &mut Parts<'_>, returns: bool) -> (Order, Space) {
    type Scoped = fn(Scope) -> Order;
    let table: [(&str, Scoped); 4] = [
        ("relaxed", Order::Relaxed),
        ("release", Order::Release),
        ("acquire", Order::Acquire),
        ("acq_rel", Order::AcquireRelease),
    ];
    let table = if returns { &table[..] } else { &table[..2] };
    let order = parts.one_of(table).unwrap_or(Order::Relaxed);
    let before = parts.scope();
    let mut space = Space::Generic;
    if let Some(named @ (Space::Global | Space::Shared)) = parts.peek().and_then(named_space) {
        parts.take();
        space = named;
    }
    // Without a scope an atomic reaches the whole device.
    let scope = before.or_else(|| parts.scope()).unwrap_or(Scope::Device);
    (order(scope), space)
}

fn accepted(function: AtomicFunction) -> &'static [Type] {
    use AtomicFunction::{Add, And, Cas, Dec, Exch, Inc, Max, Min, Or, Xor};
    match function {
        Add => &[
            Type::U32,
            Type::S32,
            Type::U64,
            Type::S64,
            Type::F32,
            Type::F64,
            Type::F16,
            Type::F16x2,
            Type::Bf16,
            Type::Bf16x2,
        ],
        Min | Max => &[Type::U32, Type::S32, Type::U64, Type::S64],
        And | Or | Xor | Exch => &[Type::B32, Type::B64],
        Cas => &[Type::B16, Type::B32, Type::B64],
        Inc | Dec => &[Type::U32],
    }
}
