//! The code generations that kernels are compiled for.

use std::fmt;

/// What a kernel image was compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Turing (T4): f16 only.
    Sm75,
    /// Ampere and Ada (A100, A10G, L4).
    Sm80,
    /// Hopper (H100, H200).
    Sm90,
}

impl Target {
    /// Every target, oldest first.
    pub const ALL: [Target; 3] = [Target::Sm75, Target::Sm80, Target::Sm90];

    /// Compute capability as PTX writes it, such as 75.
    pub fn number(self) -> u32 {
        match self {
            Target::Sm75 => 75,
            Target::Sm80 => 80,
            Target::Sm90 => 90,
        }
    }

    /// Whether kernels on bf16 exist.
    pub fn has_bf16(self) -> bool {
        self >= Target::Sm80
    }

    /// Whether a launch of a sequence may begin before the one before has ended: its kernels then wait themselves
    /// (`griddepcontrol.wait`).
    pub fn overlaps(self) -> bool {
        self >= Target::Sm90
    }

    /// Whether a cubin of this target runs on a card of this compute capability: the same major number, not older.
    pub fn cubin_runs_on(self, major: u32, minor: u32) -> bool {
        let number = self.number();
        number / 10 == major && number % 10 <= minor
    }

    /// The newest target that a card of this compute capability runs. Cards of 12.x (RTX 50, GB10) give a CTA 99 KiB of shared
    /// memory, as the smaller ones of sm_80 do; kernels for sm_90 count on more.
    pub fn for_compute_capability(major: u32, minor: u32) -> Option<Target> {
        let number = if major == 12 { 80 } else { major * 10 + minor };
        Target::ALL.into_iter().rev().find(|t| t.number() <= number)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sm_{}", self.number())
    }
}
