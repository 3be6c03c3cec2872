//! What loads and stores share: order, scope, space, cache hints, vector size, type.

use crate::emu::op::{Order, Scope, Span};
use crate::emu::program::error::DecodeError;
use crate::emu::program::parts::Parts;
use crate::emu::program::resolve::AddressSource;
use crate::emu::ptx::{Instruction, Operand, Space, Type};

/// Types of elements.
const ELEMENTS: [Type; 14] = [
    Type::B8,
    Type::B16,
    Type::B32,
    Type::B64,
    Type::U8,
    Type::U16,
    Type::U32,
    Type::U64,
    Type::S8,
    Type::S16,
    Type::S32,
    Type::S64,
    Type::F32,
    Type::F64,
];

/// Hints that change which cache keeps a line, not what is read or stored.
const HINTS: [&str; 8] = [
    "L1::evict_normal",
    "L1::evict_unchanged",
    "L1::evict_first",
    "L1::evict_last",
    "L1::no_allocate",
    "L2::evict_normal",
    "L2::evict_first",
    "L2::evict_last",
];
/// More of them, for loads.
const LOAD_HINTS: [&str; 8] = [
    "ca", "cg", "cs", "lu", "cv", "L2::64B", "L2::128B", "L2::256B",
];
/// More of them, for stores.
const STORE_HINTS: [&str; 4] = ["wb", "cg", "cs", "wt"];

type Scoped = fn(Scope) -> Order;

/// What one of the opcodes takes.
struct Opcode {
    /// Its orders besides `.weak` and `.volatile`; `None` where it takes none at all.
    orders: Option<[(&'static str, Scoped); 2]>,
    /// Its own hints.
    hints: &'static [&'static str],
}

impl Opcode {
    fn of(at: &Instruction) -> Opcode {
        match at.parts[0].as_str() {
            "st" => Opcode {
                orders: Some([("relaxed", Order::Relaxed), ("release", Order::Release)]),
                hints: &STORE_HINTS,
            },
            "ldu" => Opcode {
                orders: None,
                hints: &[],
            },
            _ => Opcode {
                orders: Some([("relaxed", Order::Relaxed), ("acquire", Order::Acquire)]),
                hints: &LOAD_HINTS,
            },
        }
    }

    fn hints(&self, part: &str) -> bool {
        self.hints.contains(&part) || self.orders.is_some() && HINTS.contains(&part)
    }
}

/// The qualifiers of a load or store.
#[derive(Debug)]
pub struct Qualifiers {
    /// How it is ordered.
    pub order: Order,
    /// Its space.
    pub space: Space,
    /// Whether the memory is read through a cache that sees no writes of the launch (`ld.nc`, `ldu`).
    pub unchanging: bool,
    /// Elements.
    pub count: u8,
    /// Type of an element.
    pub ty: Type,
}

impl Qualifiers {
    /// Reads the parts behind the opcode.
    pub fn read(at: &Instruction) -> Result<Qualifiers, DecodeError> {
        let (mut parts, opcode) = (Parts::new(at, 1), Opcode::of(at));
        let order = order(&mut parts, &opcode)?;
        let (mut space, mut count) = (Space::Generic, 1);
        let mut unchanging = at.parts[0] == "ldu";
        while let Some(part) = parts.peek() {
            match named_space(part) {
                Some(named) if space == Space::Generic => space = named,
                None if opcode.hints(part) => {}
                None if part == "nc" && at.parts[0] == "ld" => {
                    if (space, order) != (Space::Global, Order::Weak) {
                        return Err(parts.refuse());
                    }
                    unchanging = true;
                }
                _ => break,
            }
            parts.take();
        }
        if let Some(elements) = parts.one_of(&[("v2", 2), ("v4", 4)]) {
            count = elements;
        }
        let ty = parts.last_type(&ELEMENTS)?;
        if u32::from(count) * ty.bytes() > 16 {
            return Err(DecodeError::new(
                at,
                "vectors over 16 bytes are not modelled".into(),
            ));
        }
        Ok(Qualifiers {
            order,
            space,
            unchanging,
            count,
            ty,
        })
    }

    /// The span of an access through `address`: a variable's name decides the space where the opcode names none.
    pub fn span(&self, address: &AddressSource) -> Span {
        Span {
            space: match (self.space, address.space) {
                (Space::Generic, Some(space)) => space,
                (space, _) => space,
            },
            bytes: self.ty.bytes() as u8,
            count: self.count,
            wide: address.wide,
        }
    }

    /// The elements of the value operand.
    pub fn elements<'a>(
        &self,
        at: &Instruction,
        operand: &'a Operand,
    ) -> Result<&'a [Operand], DecodeError> {
        let elements = match operand {
            Operand::Vector(elements) => elements.as_slice(),
            other => std::slice::from_ref(other),
        };
        if elements.len() == usize::from(self.count) {
            return Ok(elements);
        }
        let what = format!("{} values for {} elements", elements.len(), self.count);
        Err(DecodeError::new(at, what))
    }
}

/// A space by its name in an opcode.
pub fn named_space(part: &str) -> Option<Space> {
    Some(match part {
        "param" | "param::entry" => Space::Param,
        "global" => Space::Global,
        "shared" | "shared::cta" => Space::Shared,
        "local" => Space::Local,
        "const" => Space::Const,
        _ => return None,
    })
}

fn order(parts: &mut Parts<'_>, opcode: &Opcode) -> Result<Order, DecodeError> {
    let Some(orders) = &opcode.orders else {
        return Ok(Order::Weak);
    };
    if parts.accept("weak") {
        return Ok(Order::Weak);
    }
    // PTX defines volatile as relaxed at system scope.
    if parts.accept("volatile") {
        return Ok(Order::Relaxed(Scope::Device));
    }
    match parts.one_of(orders) {
        Some(order) => Ok(order(parts.scope().ok_or_else(|| parts.refuse())?)),
        None => Ok(Order::Weak),
    }
}
