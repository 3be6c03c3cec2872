//! The C types that kernel parameters may have.

/// A C type and what it is in Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Type {
    /// As the `.cu` file writes it.
    pub c: &'static str,
    /// As the stub writes it.
    pub rust: &'static str,
    /// Its size, which is its alignment too.
    pub bytes: u32,
    /// Whether a kernel may take it by value.
    pub by_value: bool,
}

const fn of(c: &'static str, rust: &'static str, bytes: u32, by_value: bool) -> Type {
    Type {
        c,
        rust,
        bytes,
        by_value,
    }
}

/// Every type accepted.
pub const TYPES: [Type; 12] = [
    of("float", "f32", 4, true),
    of("__half", "half::f16", 2, false),
    of("__nv_bfloat16", "half::bf16", 2, false),
    of("int", "i32", 4, true),
    of("int32_t", "i32", 4, true),
    of("unsigned int", "u32", 4, true),
    of("uint32_t", "u32", 4, true),
    of("unsigned long long", "u64", 8, true),
    of("uint64_t", "u64", 8, true),
    of("uint16_t", "u16", 2, false),
    of("uint8_t", "u8", 1, false),
    of("int8_t", "i8", 1, false),
];

/// The names of those that `accept` takes, for errors.
pub fn names(accept: impl Fn(&Type) -> bool) -> String {
    let names: Vec<&str> = TYPES.iter().filter(|t| accept(t)).map(|t| t.c).collect();
    names.join(", ")
}
