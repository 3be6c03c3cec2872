//! What the executor asks the race check, and what it answers.

use super::lanes::Lanes;

/// What an access does to its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Reads them.
    Read,
    /// Writes them.
    Write,
    /// Reads and writes them in one step.
    Atomic,
}

/// How far an access is protected against others of the same bytes: two accesses that are both strong for each other are
/// no race (PTX: morally strong). Ordinary loads and stores are weak; atomics, `volatile`, `relaxed`, `acquire` and
/// `release` are strong for the threads of their scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Strength {
    /// Not at all.
    Weak,
    /// Within the CTA.
    Cta,
    /// On the whole device.
    Gpu,
}

/// One memory instruction of a warp.
pub struct Request<'a> {
    /// The warp in its CTA.
    pub warp: u32,
    /// Which bytes.
    pub lanes: Lanes<'a>,
    /// The instruction's index in its program; those from 2^20 on are reported as the last below.
    pub instruction: u32,
    /// Read, write or atomic.
    pub kind: Kind,
    /// Weak for ordinary loads and stores.
    pub strength: Strength,
    /// For a store: whether two lanes store the same value. Lanes of one store that write one place are a race only if
    /// they differ.
    pub same_value: &'a dyn Fn(u32, u32) -> bool,
}

impl<'a> Request<'a> {
    /// An ordinary load.
    pub fn read(warp: u32, lanes: Lanes<'a>, instruction: u32) -> Request<'a> {
        Request {
            warp,
            lanes,
            instruction,
            kind: Kind::Read,
            strength: Strength::Weak,
            same_value: &|_, _| true,
        }
    }

    /// An ordinary store.
    pub fn write(
        warp: u32,
        lanes: Lanes<'a>,
        instruction: u32,
        same_value: &'a dyn Fn(u32, u32) -> bool,
    ) -> Request<'a> {
        Request {
            warp,
            lanes,
            instruction,
            kind: Kind::Write,
            strength: Strength::Weak,
            same_value,
        }
    }
}

/// One side of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The CTA, as [`super::Clocks::begin_cta`] was told.
    pub cta: u64,
    /// The thread in its CTA: `32 warp + lane`.
    pub thread: u32,
    /// The instruction's index.
    pub instruction: u32,
    /// Whether it wrote (an atomic does).
    pub wrote: bool,
}

/// Two accesses of one place with no order between them, at least one a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The place: an address as the request gave them, the first of the grain that both touch.
    pub address: u64,
    /// The access that was there first.
    pub earlier: Access,
    /// The one that was found.
    pub later: Access,
}
