//! Lane-by-lane operations: registers and predicates to registers and predicates.

use super::number::{Float, Half, Int, Rounding, Width};

/// An operation on the lanes of a warp, each for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AluOp {
    /// `mov` of 16 or 32 bits.
    Copy32,
    /// `mov` of 64 bits, `cvta` to and from global.
    Copy64,
    /// `mov` of parts to a whole, low part first.
    Pack(Packing),
    /// `mov` of a whole to parts.
    Unpack(Packing),
    /// `and.pred`, `or.pred`, `xor.pred`, `not.pred`, `mov.pred`. A second source that is not there is the constant
    /// `immediate != 0`.
    Predicate(PredicateOp),
    /// `selp`: `a` where the predicate holds, else `b`. 64 bits or fewer.
    Select {
        /// Whether the values are 64 bits wide.
        wide: bool,
    },
    /// `slct`: `a` where `c >= 0`, else `b`.
    SelectBySign {
        /// Whether the values are 64 bits wide.
        wide: bool,
        /// Whether `c` is f32 (`Some(ftz)`) or s32.
        float: Option<bool>,
    },
    /// `isspacep`: whether the generic address lies in the window whose number is `immediate`.
    InWindow,
    /// Integers to an integer of the same type.
    Int {
        /// What.
        op: IntOp,
        /// On what.
        ty: Int,
    },
    /// `mul.wide` and `mad.wide`: the type is that of the factors.
    Widening {
        /// Whether `c` is added.
        add: bool,
        /// 16- or 32-bit.
        ty: Int,
    },
    /// `add.cc`, `subc` and their like, which read and write the carry flag.
    Carry {
        /// What.
        op: CarryOp,
        /// 32- or 64-bit; the sign matters to the high half of a product.
        ty: Int,
        /// Whether the flag comes in.
        reads: bool,
        /// Whether the flag is set.
        writes: bool,
    },
    /// Bit by bit, and shifts by a clamped amount.
    Logic {
        /// What.
        op: LogicOp,
        /// On what; the sign matters to `shr`.
        ty: Int,
    },
    /// `lop3` with the table `immediate`.
    Lop3,
    /// `prmt`.
    Permute(PermuteMode),
    /// `shf`: the funnel shift of `b:a`.
    Funnel {
        /// `.l`.
        left: bool,
        /// `.wrap`, else `.clamp`.
        wrap: bool,
    },
    /// Fields and counts of bits.
    Field {
        /// What.
        op: FieldOp,
        /// On what.
        ty: Int,
    },
    /// `dp4a` and `dp2a`.
    Dot {
        /// Whether `a` is signed.
        a_signed: bool,
        /// Whether `b` is signed.
        b_signed: bool,
        /// Four bytes by four, or two halves by two bytes.
        form: DotForm,
    },
    /// `setp`.
    Compare {
        /// How.
        cmp: Cmp,
        /// What.
        ty: Compared,
        /// With which other predicate.
        combine: Combine,
        /// Whether subnormal f32 and f16 count as zero.
        ftz: bool,
    },
    /// `set`.
    Set {
        /// How.
        cmp: Cmp,
        /// What.
        ty: Compared,
        /// With which other predicate.
        combine: Combine,
        /// What stands for true.
        result: SetResult,
        /// Whether subnormal f32 and f16 count as zero.
        ftz: bool,
    },
    /// `testp`.
    Test {
        /// For what.
        op: TestOp,
        /// f64, else f32.
        wide: bool,
    },
    /// f32, to nearest even.
    F32 {
        /// What.
        op: FloatOp,
        /// Whether subnormal operands and results are zero.
        ftz: bool,
    },
    /// f32 `add`, `sub`, `mul`, `fma`, `div`, `sqrt`, `rcp` in any rounding, with `.sat`.
    F32Rounded {
        /// What.
        op: FloatOp,
        /// How.
        rounding: Rounding,
        /// Whether subnormal operands and results are zero.
        ftz: bool,
        /// Whether the result is clamped to [0, 1].
        sat: bool,
    },
    /// f64, to nearest even.
    F64(FloatOp),
    /// f16 and bf16, to nearest even.
    Half {
        /// What.
        op: FloatOp,
        /// On what.
        ty: Half,
        /// Two values a register.
        packed: bool,
        /// What is done to operands and results.
        clamp: HalfClamp,
    },
    /// `.approx` of f32.
    Approx {
        /// What.
        op: ApproxOp,
        /// Whether subnormal operands and results are zero.
        ftz: bool,
    },
    /// `ex2.approx` and `tanh.approx` of f16 and bf16.
    ApproxHalf {
        /// `tanh`, else `ex2`.
        tanh: bool,
        /// On what.
        ty: Half,
        /// Two values a register.
        packed: bool,
        /// Whether subnormal results are zero.
        ftz: bool,
    },
    /// `cvt.rn.f32` of a 32-bit integer.
    IntToFloat {
        /// Whether it is signed.
        signed: bool,
    },
    /// `cvt` of f16 or bf16 to f32.
    HalfToFloat(Half),
    /// `cvt.rn` of f32 to f16 or bf16.
    FloatToHalf(Half),
    /// `cvt.f16x2.f32` and `cvt.bf16x2.f32`: `a` to the high half, `b` to the low.
    FloatsToPair {
        /// To what.
        ty: Half,
        /// How.
        rounding: Rounding,
        /// Negative results become zero.
        relu: bool,
    },
    /// `cvt` between integers without clamping: the low bits of `a` as `to`, in a register of `register` bits.
    Resize {
        /// Whether `a` is in a 64-bit register.
        wide: bool,
        /// Which low bits, and whether they have a sign.
        to: Int,
        /// Bits of the destination.
        register: Width,
    },
    /// Every other `cvt`.
    Convert(Conversion),
}

/// How registers are cut into parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// 32 bits of two 16-bit parts.
    Two16,
    /// 64 bits of two 32-bit parts.
    Two32,
    /// 64 bits of four 16-bit parts.
    Four16,
}

/// Logic on predicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum PredicateOp {
    And,
    Or,
    Xor,
    Not,
    Copy,
}

/// Integer arithmetic. `Mul` and `Mad` give the low half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum IntOp {
    Add,
    Sub,
    Mul,
    MulHigh,
    Mad,
    MadHigh,
    Sad,
    Div,
    Rem,
    Neg,
    Abs,
    Min,
    Max,
    /// `add.sat.s32`.
    AddSat,
    /// `sub.sat.s32`.
    SubSat,
}

/// Arithmetic with the carry flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum CarryOp {
    Add,
    Sub,
    MadLow,
    MadHigh,
}

/// Logic bit by bit; shifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum LogicOp {
    And,
    Or,
    Xor,
    Not,
    /// 1 for 0, else 0.
    Cnot,
    Shl,
    Shr,
}

/// `prmt`'s modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum PermuteMode {
    /// Four selectors of four bits.
    Index,
    F4e,
    B4e,
    Rc8,
    Ecl,
    Ecr,
    Rc16,
}

/// Fields and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum FieldOp {
    /// `bfe`.
    Extract,
    /// `bfi`.
    Insert,
    Brev,
    Clz,
    Popc,
    Bfind,
    /// `bfind.shiftamt`.
    BfindShift,
    /// `bmsk.clamp`.
    MaskClamp,
    /// `bmsk.wrap`.
    MaskWrap,
}

/// What a dot product multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DotForm {
    /// `dp4a`.
    Bytes,
    /// `dp2a.lo`.
    HalvesLow,
    /// `dp2a.hi`.
    HalvesHigh,
}

/// Comparisons. The last eight are for floats: the ones with a `u` also hold for a NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum Cmp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Equ,
    Neu,
    Ltu,
    Leu,
    Gtu,
    Geu,
    /// Neither is a NaN.
    Num,
    Nan,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// Integers.
    Int(Int),
    /// f32 or f64.
    Float(Float),
    /// Two f16 or bf16 a register: the first predicate is the low half's, the second the high half's.
    Pair(Half),
}

/// How `setp` uses another predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum Combine {
    None,
    And,
    Or,
    Xor,
}

/// What `set` writes for true; zero for false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetResult {
    /// All bits of 32, or of each half for pairs.
    Ones,
    /// 16 bits set.
    Ones16,
    /// 1.0 in f32.
    OneF32,
    /// 1.0 in f16 or bf16, in each half for pairs.
    OneHalf(Half),
}

/// `testp`'s classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum TestOp {
    Finite,
    Infinite,
    Number,
    NotANumber,
    Normal,
    Subnormal,
}

/// Float arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum FloatOp {
    Add,
    Sub,
    Mul,
    Fma,
    Min,
    Max,
    /// `min.NaN`: a NaN wins.
    MinNan,
    MaxNan,
    Neg,
    Abs,
    /// The second's magnitude with the first's sign.
    Copysign,
    Div,
    /// `div.approx` and `div.full`.
    DivApprox,
    Sqrt,
    Rcp,
}

/// What half arithmetic does around its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HalfClamp {
    /// Nothing.
    None,
    /// Subnormal operands and results are zero.
    Ftz,
    /// To [0, 1].
    Sat,
    /// Both.
    FtzSat,
    /// Negative results become zero.
    Relu,
    /// Both.
    FtzRelu,
}

/// Functions with a stated error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PTX's own")]
pub enum ApproxOp {
    Ex2,
    Lg2,
    Rcp,
    Rsqrt,
    Sqrt,
    Sin,
    Cos,
    Tanh,
}

/// A `cvt` in its general form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversion {
    /// From what.
    pub from: Number,
    /// Whether the source stands in a 64-bit register.
    pub wide: bool,
    /// To what.
    pub to: Number,
    /// Bits of the destination register.
    pub register: Width,
    /// How a float result is rounded.
    pub rounding: Rounding,
    /// How a float is rounded to an integer first.
    pub integral: Option<Rounding>,
    /// Whether subnormal f32 are zero.
    pub ftz: bool,
    /// Whether the result is clamped: floats to [0, 1], integers to their range.
    pub sat: bool,
    /// Negative float results become zero.
    pub relu: bool,
}

/// A type that `cvt` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// An integer.
    Int(Int),
    /// A float.
    Float(Float),
}
