//! Loads, stores, atomics, asynchronous copies and `ldmatrix`.

use crate::emu::ptx::{Space, Type};

/// Where an access goes and how wide it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Which memory.
    pub space: Space,
    /// Bytes of an element.
    pub bytes: u8,
    /// Elements: 1, 2 or 4.
    pub count: u8,
    /// Whether the address operand is 64 bits wide.
    pub wide: bool,
}

impl Span {
    /// Bytes that one lane touches.
    pub fn total(self) -> u32 {
        u32::from(self.bytes) * u32::from(self.count)
    }
}

/// How far an ordered access or a fence reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The CTA.
    Cta,
    /// The device; the whole system is the same to one device.
    Device,
}

/// How an access is ordered against others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Not at all: concurrent access is a race.
    Weak,
    /// Atomic, ordering nothing else (`.relaxed`, `.volatile`, atomics without a qualifier).
    Relaxed(Scope),
    /// What follows sees what was released to it.
    Acquire(Scope),
    /// What went before is seen by who acquires it.
    Release(Scope),
    /// Both.
    AcquireRelease(Scope),
}

impl Order {
    /// How far it reaches; `None` for a weak access.
    pub fn scope(self) -> Option<Scope> {
        match self {
            Order::Weak => None,
            Order::Relaxed(scope)
            | Order::Acquire(scope)
            | Order::Release(scope)
            | Order::AcquireRelease(scope) => Some(scope),
        }
    }
}

/// What a loaded element becomes in its register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Widen {
    /// Zero-extended into one row.
    Zero,
    /// Sign-extended to 16 bits, the rest of the row zero.
    Sign16,
    /// Sign-extended to 32 bits.
    Sign32,
    /// Zero-extended to 64 bits, or a 64-bit element as it is.
    ZeroWide,
    /// Sign-extended to 64 bits.
    SignWide,
}

/// What an atomic does with the old value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum AtomicFunction {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
    Exch,
    Cas,
    Inc,
    Dec,
}

/// Which part of an asynchronous copy is read; the rest of its bytes are filled with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopySize {
    /// All of it.
    All,
    /// As many bytes as the third source operand says.
    Operand,
    /// Nothing where the source predicate holds (`ignore-src`).
    Ignore,
}

/// An operation on memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MemoryOp {
    /// Elements from an address (first source, plus the immediate) to registers.
    Load {
        /// Where and how wide.
        span: Span,
        /// What becomes of an element.
        widen: Widen,
        /// How it is ordered.
        order: Order,
        /// Whether it is read through a cache that sees no writes of the launch.
        unchanging: bool,
    },
    /// Elements from registers (the sources behind the address) to an address.
    Store {
        /// Where and how wide.
        span: Span,
        /// How it is ordered.
        order: Order,
        /// Whether the elements stand in 64-bit registers.
        wide_values: bool,
    },
    /// A read, a function and a write that nothing comes between; with a destination it gives the old value.
    Atomic {
        /// Where and how wide.
        span: Span,
        /// The function.
        function: AtomicFunction,
        /// The type it works on.
        ty: Type,
        /// How it is ordered.
        order: Order,
    },
    /// `cp.async`: from the second address (global) to the first (shared). The upper half of the immediate is the first
    /// address's offset, the lower half the second's.
    AsyncCopy {
        /// Bytes that a lane writes: 4, 8 or 16.
        bytes: u8,
        /// How many of them it reads.
        size: CopySize,
        /// Whether the shared address is 64 bits wide.
        wide_to: bool,
    },
    /// `cp.async.commit_group`.
    AsyncCommit,
    /// `cp.async.wait_group` with the immediate's count of groups left; `cp.async.wait_all`.
    AsyncWait {
        /// Whether copies that were not committed are waited for too.
        all: bool,
    },
    /// `ldmatrix`: `count` 8 x 8 matrices of 16-bit elements, one row from each address.
    LoadMatrix {
        /// Matrices: 1, 2 or 4.
        count: u8,
        /// Whether each is transposed.
        transposed: bool,
        /// Shared, or generic addresses into it.
        space: Space,
        /// Whether the address operand is 64 bits wide.
        wide: bool,
    },
}

impl MemoryOp {
    /// The space and the bytes of one element of an access, for the grain of the race check.
    pub fn access(&self) -> Option<(Space, u8)> {
        match *self {
            MemoryOp::Load { span, .. }
            | MemoryOp::Store { span, .. }
            | MemoryOp::Atomic { span, .. } => Some((span.space, span.bytes)),
            // From global to shared memory: Generic stands for both.
            MemoryOp::AsyncCopy { bytes, .. } => Some((Space::Generic, bytes)),
            MemoryOp::LoadMatrix { .. } => Some((Space::Shared, 16)),
            MemoryOp::AsyncCommit | MemoryOp::AsyncWait { .. } => None,
        }
    }

    /// Whether CTAs can speak to each other through it: atomics and ordered accesses in global memory that reach beyond
    /// the CTA.
    pub fn communicates(&self) -> bool {
        match *self {
            MemoryOp::Load { span, order, .. }
            | MemoryOp::Store { span, order, .. }
            | MemoryOp::Atomic { span, order, .. } => {
                matches!(span.space, Space::Global | Space::Generic)
                    && order.scope().is_some_and(|scope| scope > Scope::Cta)
            }
            _ => false,
        }
    }
}
