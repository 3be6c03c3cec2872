//! An instruction between decoding and register allocation: operands are virtual registers.

use crate::emu::op::Op;

/// A virtual register of the entry, by declaration order; its type decides how many rows it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Virtual(pub u32);

/// A source operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A register.
    Register(Virtual),
    /// An immediate of 32 bits (or fewer, zero-extended).
    Narrow(u32),
    /// An immediate of 64 bits.
    Wide(u64),
    /// Not there.
    None,
}

/// A predicate operand: a virtual register of type `pred`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PredSource {
    /// The register; `None` for one that is not there.
    pub register: Option<Virtual>,
    /// Whether it is negated.
    pub negated: bool,
}

impl PredSource {
    /// Not there.
    pub const NONE: PredSource = PredSource {
        register: None,
        negated: false,
    };
}

/// A decoded instruction over virtual registers. The decoders of each family of instructions make these.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// What it does. A branch's target is a label's index in the entry's body.
    pub op: Op,
    /// Its guard.
    pub guard: PredSource,
    /// Destination registers in order; `None` is a result thrown away.
    pub defs: Vec<Option<Virtual>>,
    /// Source registers in order.
    pub uses: Vec<Source>,
    /// Destination predicates.
    pub pred_defs: [Option<Virtual>; 2],
    /// Source predicates.
    pub pred_uses: [PredSource; 2],
    /// An immediate, see [`super::Inst::immediate`].
    pub immediate: i64,
}

impl Decoded {
    /// An instruction with no operands; the guard is filled in by the caller of the family decoders.
    pub fn new(op: Op) -> Decoded {
        Decoded {
            op,
            guard: PredSource::NONE,
            defs: Vec::new(),
            uses: Vec::new(),
            pred_defs: [None; 2],
            pred_uses: [PredSource::NONE; 2],
            immediate: 0,
        }
    }
}
