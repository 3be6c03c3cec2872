//! A case of `tests/emu_pass` or `tests/emu_fail`: a PTX file whose `//!` lines say what to launch. It runs on any driver,
//! so the same files are held against the emulator and against hardware.
#![allow(dead_code, unused_imports, reason = "each program uses its own part")]

#[path = "ptx_case/bound.rs"]
mod bound;
#[path = "ptx_case/compare.rs"]
mod compare;
#[path = "ptx_case/header.rs"]
mod header;
#[path = "ptx_case/launch.rs"]
mod launch;

use std::ops::RangeInclusive;

use qwarp::driver::Target;

pub use bound::Bound;
pub use compare::render;
pub use launch::Output;

/// What a case's header says, and its PTX.
///
/// ```text
/// //! add.s32 wraps at both ends       the behaviour, on the first line
/// //! grid 1                           CTAs in x, y, z; the default is 1
/// //! block 32                         threads of a CTA
/// //! shared 256                       dynamic shared memory in bytes; the default is 0
/// //! only sm_80                       on hardware its bits are this generation's alone
/// //! in a u32 0x1 0x2*3               a pointer that is only read, and its values; a later line appends
/// //! out r u32 32                     a pointer to 32 elements that nobody has written
/// //! inout x u32 0x5                  a pointer with values, read and written
/// //! scalar n u32 5                   a value
/// //! beside m u32 0x7                 memory between the others that is no argument (with `slab`)
/// //! freed p u32 8                    a pointer, passed as a value, to memory that has been given back
/// //! slab                             all memory lies in one allocation, in this order, at multiples of 16 bytes
/// //! bound r f32 ulp 2                how far a result may be off: `ulp`, `abs` or `rel`; without it, not a bit
/// //! expect race line 30 and line 28  what must be found, and the PTX lines it must name (`18-20`: one of them)
/// //! source a.cu:12 and a.cu:15       the lines of the CUDA source that the report must name
/// //! refuse not modelled              what the refusal of the module must say
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PtxCase {
    /// The file's name without its extension.
    pub name: String,
    /// The behaviour.
    pub about: String,
    /// CTAs.
    pub grid: [u32; 3],
    /// Threads of a CTA.
    pub block: [u32; 3],
    /// Dynamic shared memory in bytes.
    pub shared: u32,
    /// The generation that alone has these bits.
    pub only: Option<Target>,
    /// Whether all memory lies in one allocation.
    pub slab: bool,
    /// Parameters and other memory, in order.
    pub slots: Vec<Slot>,
    /// What must be found.
    pub expect: Option<Expect>,
    /// What the refusal must say.
    pub refuse: Option<String>,
    /// What the PTX is for.
    pub target: Target,
    /// The whole file; the header is a comment to PTX.
    pub ptx: String,
}

/// A finding that must come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// `ReportKind::name`.
    pub kind: String,
    /// The PTX lines of the finding and of the other access, in either order; a finding without a place of its own, such
    /// as an endless loop, lies between the first and the last line of a range. Empty where the source says it.
    pub lines: Vec<RangeInclusive<u32>>,
    /// `file:line` of the CUDA source for each place.
    pub sources: Vec<String>,
}

/// A parameter, or memory that is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// How it is passed.
    pub role: Role,
    /// Bytes of an element: 1, 2, 4 or 8.
    pub width: usize,
    /// Its elements before the launch; zeros that are never copied for `Out`.
    pub values: Vec<u64>,
    /// How far a result may be off.
    pub bound: Option<Bound>,
}

/// How a slot is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `const T*`.
    In,
    /// `T*`.
    Out,
    /// `T*` with values.
    InOut,
    /// By value.
    Scalar,
    /// Not at all: it only lies in memory.
    Beside,
    /// As the address of memory that was given back.
    Freed,
}

impl Slot {
    /// Whether the case reads it back.
    pub fn is_output(&self) -> bool {
        matches!(self.role, Role::Out | Role::InOut)
    }

    /// Its bytes before the launch.
    pub fn bytes(&self) -> Vec<u8> {
        let each = self.values.iter();
        each.flat_map(|x| x.to_le_bytes().into_iter().take(self.width))
            .collect()
    }
}
