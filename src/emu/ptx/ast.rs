//! The syntax tree of a PTX module.

use std::fmt;

/// A parsed `.ptx` file.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// `.version`, major and minor.
    pub version: (u32, u32),
    /// `.target`'s number: 80 of `sm_80`.
    pub target: u32,
    /// `.file` names by number.
    pub files: Vec<(u32, String)>,
    /// Module-level `.global`, `.const` and `.shared` variables (`extern .shared` has size 0).
    pub variables: Vec<Variable>,
    /// The kernels.
    pub entries: Vec<Entry>,
}

impl Module {
    /// File and line of the source that an instruction comes from: the innermost place in a `.cu` or `.cuh` file, since a
    /// line in a header of the toolkit helps nobody; else the innermost place at all.
    pub fn source(&self, instruction: &Instruction) -> Option<(&str, u32)> {
        let places = instruction.loc.iter().chain(&instruction.call_sites);
        let mut named = places.filter_map(|(number, line)| {
            let file = self.files.iter().find(|(n, _)| n == number)?;
            Some((file.1.as_str(), *line))
        });
        let first = named.clone().next();
        named
            .find(|(file, _)| file.ends_with(".cu") || file.ends_with(".cuh"))
            .or(first)
    }
}

/// A `.visible .entry`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its parameters in order.
    pub params: Vec<Param>,
    /// `.reg` declarations.
    pub registers: Vec<RegisterDecl>,
    /// `.shared` and `.local` variables of the body. Registers, variables and labels of a nested scope (inline assembly)
    /// are named `N#name`, N the scope's number.
    pub variables: Vec<Variable>,
    /// The instructions in order.
    pub body: Vec<Instruction>,
    /// Each label and the index in `body` of the instruction after it.
    pub labels: Vec<Label>,
    /// `.maxntid`, product of its dimensions.
    pub max_threads: Option<u32>,
    /// `.reqntid`: the only CTA shape that may be launched.
    pub required_threads: Option<[u32; 3]>,
    /// Line of the `.entry`.
    pub line: u32,
}

/// A jump target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name, `$` included.
    pub name: String,
    /// Index in the entry's body of the instruction that follows.
    pub index: usize,
}

/// One `.param`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type; a by-value struct is `B8` with `count` bytes.
    pub ty: Type,
    /// Elements: 1 but for arrays.
    pub count: u32,
    /// Its alignment in bytes.
    pub align: u32,
}

/// `.reg .b32 %r<10>;` or `.reg .pred p;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterDecl {
    /// The name, or the prefix when `count` is given.
    pub name: String,
    /// `N` of `%r<N>`: declares `%r0` to `%r(N-1)`.
    pub count: Option<u32>,
    /// The type.
    pub ty: Type,
}

/// A variable in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Where it lives.
    pub space: Space,
    /// Its alignment in bytes.
    pub align: u32,
    /// Its size in bytes; 0 for `extern .shared x[]`.
    pub bytes: u32,
    /// Initial bytes, where given (`.global`, `.const`).
    pub init: Vec<u8>,
}

/// State spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Kernel parameters.
    Param,
    /// Device memory.
    Global,
    /// Memory of a CTA.
    Shared,
    /// Memory of a thread.
    Local,
    /// Read-only module memory.
    Const,
    /// Any of the above, by address.
    Generic,
}

/// Fundamental types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum Type {
    Pred,
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    F32,
    F64,
}

impl Type {
    /// PTX's spelling without the dot, such as `u32`.
    pub fn name(self) -> &'static str {
        match self {
            Type::Pred => "pred",
            Type::B8 => "b8",
            Type::B16 => "b16",
            Type::B32 => "b32",
            Type::B64 => "b64",
            Type::B128 => "b128",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::S8 => "s8",
            Type::S16 => "s16",
            Type::S32 => "s32",
            Type::S64 => "s64",
            Type::F16 => "f16",
            Type::F16x2 => "f16x2",
            Type::Bf16 => "bf16",
            Type::Bf16x2 => "bf16x2",
            Type::F32 => "f32",
            Type::F64 => "f64",
        }
    }

    /// From PTX's spelling without the dot.
    pub fn from_name(name: &str) -> Option<Type> {
        const ALL: [Type; 20] = [
            Type::Pred,
            Type::B8,
            Type::B16,
            Type::B32,
            Type::B64,
            Type::B128,
            Type::U8,
            Type::U16,
            Type::U32,
            Type::U64,
            Type::S8,
            Type::S16,
            Type::S32,
            Type::S64,
            Type::F16,
            Type::F16x2,
            Type::Bf16,
            Type::Bf16x2,
            Type::F32,
            Type::F64,
        ];
        ALL.into_iter().find(|ty| ty.name() == name)
    }

    /// Bytes of a value; a predicate counts as one.
    pub fn bytes(self) -> u32 {
        match self {
            Type::Pred | Type::B8 | Type::U8 | Type::S8 => 1,
            Type::B16 | Type::U16 | Type::S16 | Type::F16 | Type::Bf16 => 2,
            Type::B32 | Type::U32 | Type::S32 | Type::F16x2 | Type::Bf16x2 | Type::F32 => 4,
            Type::B64 | Type::U64 | Type::S64 | Type::F64 => 8,
            Type::B128 => 16,
        }
    }

    /// Whether the value is a signed integer.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `@p` or `@!p`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The predicate register.
    pub register: String,
    /// Whether it is negated.
    pub negated: bool,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// Its guard.
    pub guard: Option<Guard>,
    /// The opcode and its modifiers, split at dots: `["ld", "global", "nc", "v4", "b32"]`. `::` stays inside a part:
    /// `["ld", "global", "L1::no_allocate", "b32"]`.
    pub parts: Vec<String>,
    /// The operands in order.
    pub operands: Vec<Operand>,
    /// Line of the PTX text, from 1.
    pub line: u32,
    /// `.loc` in force: file number and line. Inside inlined code it is the innermost place.
    pub loc: Option<(u32, u32)>,
    /// Where inlined code was called, innermost first: file numbers and lines.
    pub call_sites: Vec<(u32, u32)>,
    /// The text of the instruction without guard-leading white space, for reports.
    pub text: String,
}

impl Instruction {
    /// The opcode with its modifiers, as it stands in the text.
    pub fn opcode(&self) -> String {
        self.parts.join(".")
    }
}

/// What an instruction works on.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A register or special register (`%tid.x` is one name), a variable, a parameter or a label.
    Name(String),
    /// An integer literal, as the 64 bits that two's complement gives it.
    Integer(u64),
    /// `0f3F800000`, as bits.
    Float32(u32),
    /// `0d3FF0000000000000` or a decimal literal, as bits.
    Float64(u64),
    /// `[base+offset]`.
    Address(Address),
    /// `{a, b, c, d}`; `_` (a result thrown away) is a `Name("_")`.
    Vector(Vec<Operand>),
    /// `p|q`: two destinations of `setp`, `shfl`, `match`.
    Pair(String, String),
    /// `!p`.
    Not(String),
}

/// An address operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Register, variable or parameter; `None` for an absolute address.
    pub base: Option<String>,
    /// Bytes added.
    pub offset: i64,
}
