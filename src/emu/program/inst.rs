//! Decoded instructions: everything that can be settled before the first thread runs is settled here.

use crate::driver::Target;
use crate::emu::op::Op;
use crate::emu::rows::{Row, Slot};

/// A predicate register of a warp, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pred(pub u16);

impl Pred {
    /// No predicate: no guard, or a result thrown away.
    pub const NONE: Pred = Pred(u16::MAX);
}

/// `@p`, `@!p`, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardSlot {
    /// The predicate; [`Pred::NONE`] for an instruction that always runs.
    pub pred: Pred,
    /// Whether it is negated.
    pub negated: bool,
}

/// One decoded instruction. `d` is the first destination, `a`, `b` and `c` the first sources; an instruction with more
/// operands has all of them, destinations first, in [`Program::lists`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inst {
    /// What it does.
    pub op: Op,
    /// When.
    pub guard: GuardSlot,
    /// First destination register.
    pub d: Slot,
    /// First source register.
    pub a: Slot,
    /// Second source register.
    pub b: Slot,
    /// Third source register.
    pub c: Slot,
    /// Destination predicates (`p|q`).
    pub pd: [Pred; 2],
    /// Source predicates, and whether each is negated.
    pub ps: [Pred; 2],
    /// See `ps`.
    pub ps_negated: [bool; 2],
    /// An immediate: an address offset, a barrier's number, a `lop3` table.
    pub immediate: i64,
    /// Where all register operands stand in [`Program::lists`].
    pub list: u32,
    /// How many of them are destinations.
    pub defs: u8,
    /// How many are sources.
    pub uses: u8,
    /// Which of them take two rows: bit `i` is operand `i` of the list.
    pub wide: u16,
    /// Whether an unwritten register can reach an operand on some path: such instructions carry poison masks, others
    /// cannot meet one.
    pub poison: bool,
    /// Whether something is to be looked at before it runs: unwritten registers, a divisor.
    pub watched: bool,
}

/// Where an instruction came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Line of the PTX text, from 1.
    pub line: u32,
    /// File and line of the `.cu` source, where the PTX has them.
    pub source: Option<(String, u32)>,
    /// The instruction's text.
    pub text: String,
}

/// A parameter's place in the parameter bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamPlace {
    /// Its name.
    pub name: String,
    /// Where it starts.
    pub offset: u32,
    /// Its size.
    pub bytes: u32,
}

/// A decoded kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// What it runs on, whatever it was compiled for: tensor cores differ in their sums.
    pub device: Target,
    /// The instructions; the last is an [`Op::Exit`].
    pub code: Vec<Inst>,
    /// Where each came from.
    pub origins: Vec<Origin>,
    /// Register operands of instructions, see [`Inst::list`].
    pub lists: Vec<Slot>,
    /// Immediate operands, each the same in all lanes; a 64-bit one is two rows.
    pub constants: Vec<Row>,
    /// Rows of a warp's registers.
    pub rows: u16,
    /// Predicates of a warp.
    pub preds: u16,
    /// Rows and predicates whose value is unwritten at the start and may be read so: set in the poison masks.
    pub poison_rows: Vec<u16>,
    /// See `poison_rows`.
    pub poison_preds: Vec<u16>,
    /// Parameters in order.
    pub params: Vec<ParamPlace>,
    /// Bytes of the parameters.
    pub param_bytes: u32,
    /// Static shared memory; dynamic shared memory starts behind it, at `dynamic_shared_offset`.
    pub shared_bytes: u32,
    /// Where `extern .shared` starts.
    pub dynamic_shared_offset: u32,
    /// Local memory of a thread.
    pub local_bytes: u32,
    /// The `.const` bank of the module: its bytes, variables at the offsets that the decoder used.
    pub const_bytes: Vec<u8>,
    /// The smallest access to global and to shared memory, in bytes (1, 2 or 4): the grain of the race check.
    pub global_grain: u8,
    /// See `global_grain`.
    pub shared_grain: u8,
    /// Whether CTAs can speak to each other: global atomics or fences at `gpu` scope. Such a grid runs in CTA order on
    /// one thread.
    pub communicates: bool,
    /// Whether it waits for the launches before (`griddepcontrol.wait`), and so may begin while they run.
    pub waits: bool,
    /// `.maxntid`.
    pub max_threads: Option<u32>,
    /// `.reqntid`: the only CTA that may be launched.
    pub required_threads: Option<[u32; 3]>,
}

impl Program {
    /// Whether an operand is the immediate `value`.
    pub fn is_constant(&self, operand: Slot, value: u32) -> bool {
        operand != Slot::NONE
            && operand.is_constant()
            && self
                .constants
                .get(operand.index())
                .is_some_and(|row| row.0[0] == value)
    }
}
