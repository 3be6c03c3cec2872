//! The number types that lane-by-lane operations work on.

/// Integer types. 8-bit ones are known to conversions only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum Int {
    U8,
    S8,
    U16,
    S16,
    U32,
    S32,
    U64,
    S64,
}

impl Int {
    /// Whether it takes a 64-bit register.
    pub const fn is_wide(self) -> bool {
        matches!(self, Int::U64 | Int::S64)
    }
}

/// 16-bit float formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum Half {
    F16,
    Bf16,
}

/// Float formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum Float {
    F16,
    Bf16,
    F32,
    F64,
}

/// Bits of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the numbers say it")]
pub enum Width {
    W16,
    W32,
    W64,
}

/// Where a result goes that is no value of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    /// Toward zero.
    Zero,
    /// Toward minus infinity.
    Down,
    /// Toward plus infinity.
    Up,
}
