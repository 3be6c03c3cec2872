//! What a check found, with everything needed to mend it.

use std::fmt;

/// Which rule a kernel broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReportKind {
    /// An access outside every range that the launch was given, or into freed memory.
    OutOfBounds,
    /// An address that is not a multiple of the access size.
    Misaligned,
    /// A store through an argument that is only to be read.
    ReadOnly,
    /// Two accesses of the same bytes, at least one a store, with no order between them.
    Race,
    /// A read of memory that nobody wrote.
    UninitializedRead,
    /// An unwritten register that reached an address, a taken branch, a store, an atomic or a tensor-core product.
    UninitializedRegister,
    /// A barrier or warp-level instruction that some of its threads cannot reach.
    Divergence,
    /// A read of `cp.async` bytes before their group was waited for.
    AsyncNotWaited,
    /// A use of what a launch before may still be writing.
    GridNotWaited,
    /// A launch that makes no progress.
    NoProgress,
    /// `trap`, a division by zero where the result is undefined, or another stop of the kernel's own making.
    Trap,
}

impl ReportKind {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            ReportKind::OutOfBounds => "access out of bounds",
            ReportKind::Misaligned => "misaligned access",
            ReportKind::ReadOnly => "store through a read-only argument",
            ReportKind::Race => "race",
            ReportKind::UninitializedRead => "read of memory nobody wrote",
            ReportKind::UninitializedRegister => "use of an unwritten register",
            ReportKind::Divergence => "threads missing at a barrier",
            ReportKind::AsyncNotWaited => "read of cp.async data before its group was waited for",
            ReportKind::GridNotWaited => {
                "use of memory before the launch that writes it was waited for"
            }
            ReportKind::NoProgress => "no progress",
            ReportKind::Trap => "trap",
        }
    }
}

/// Where in a launch something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The CTA in the grid.
    pub cta: [u32; 3],
    /// The thread in the CTA.
    pub thread: [u32; 3],
    /// Line of the PTX text, from 1; 0 for what the host did.
    pub ptx_line: u32,
    /// The instruction as it stands there.
    pub instruction: String,
    /// File and line of the `.cu` source, where the PTX has them.
    pub source: Option<(String, u32)>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which rule.
    pub kind: ReportKind,
    /// The kernel.
    pub kernel: String,
    /// One line on what happened: space, size, address.
    pub what: String,
    /// The access that was found.
    pub place: Place,
    /// The other access of a race, or the threads that are missing.
    pub other: Option<Place>,
    /// The allocation or argument concerned, such as `argument 2, byte 128 of 128`.
    pub memory: Option<String>,
    /// What a store or an atomic at `place` writes, by element.
    pub value: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ptx_line == 0 {
            return f.write_str(&self.instruction);
        }
        let [x, y, z] = self.thread;
        let [cx, cy, cz] = self.cta;
        write!(
            f,
            "thread ({x},{y},{z}) of CTA ({cx},{cy},{cz}), PTX line {}",
            self.ptx_line
        )?;
        if let Some((file, line)) = &self.source {
            write!(f, ", {file}:{line}")?;
        }
        write!(f, ": {}", self.instruction)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}: {}", self.kind.name(), self.kernel, self.what)?;
        write!(f, "\n  at     {}", self.place)?;
        if let Some(other) = &self.other {
            write!(f, "\n  other  {other}")?;
        }
        if let Some(memory) = &self.memory {
            write!(f, "\n  memory {memory}")?;
        }
        if let Some(value) = &self.value {
            write!(f, "\n  value  {value}")?;
        }
        Ok(())
    }
}
