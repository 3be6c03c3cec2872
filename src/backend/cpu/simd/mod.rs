//! Sixteen f32 lanes on whatever the machine has. An algorithm is written once over `Isa`; each implementation
//! computes the same bits, because every operation here is either exact or rounded once by IEEE 754.
//!
//! A token of type `Isa` can only be had through `Path`, which checks the processor, so holding one proves that
//! its instructions exist. `Path::run` enters a function compiled with those instructions; the kernel and
//! everything it calls is inlined into it. Kernels are therefore written without closures that take or give lanes: a
//! closure is a function of its own, compiled without the path's instructions, and may stay outside.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use half::{bf16, f16};

/// Lanes of one vector.
pub const LANES: usize = 16;

/// The operations kernels are written in.
pub trait Isa: Copy {
    /// Sixteen f32.
    type V: Copy;
    /// Whether sixteen vectors fit in registers beside their operands.
    const WIDE: bool;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::V;
    /// Lane i is `x[i]`.
    fn load(self, x: &[f32; LANES]) -> Self::V;
    /// Writes lane i to `out[i]`.
    fn store(self, v: Self::V, out: &mut [f32; LANES]);
    /// The odd elements, then the even ones: lane i is `x[2 i + 1]`, and `x[2 i]`.
    fn load_bf16_pairs(self, x: &[bf16; 2 * LANES]) -> (Self::V, Self::V);
    /// Lane i is `x[i]`.
    fn load_bf16(self, x: &[bf16; LANES]) -> Self::V;
    /// Lane i is `x[i]`, which is finite.
    fn load_f16(self, x: &[f16; LANES]) -> Self::V;
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger; neither is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; neither is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c` for products that f32 holds exactly: fused and unfused then agree, so each path takes
    /// whichever its machine has.
    fn madd_exact(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `p * 2^n`, where n stands in the low mantissa bits of `t` as `exp` leaves it; no overflow.
    fn scale_exponent(self, p: Self::V, t: Self::V) -> Self::V;
    /// Asks for the cache line `ahead` bytes behind `at`, which need not exist; a hint without effect on results.
    fn prefetch<T>(self, at: &T, ahead: usize);
    /// Lanes of `x` where `a < b`, zero elsewhere.
    fn zero_unless_less(self, a: Self::V, b: Self::V, x: Self::V) -> Self::V;

    /// Lanes rounded to bf16, to nearest even; those of a magnitude below `flush` become zero. Finite.
    fn round_bf16(self, v: Self::V, flush: f32) -> Self::V;
    /// Lanes rounded to f16, to nearest even; f16 holds them.
    fn round_f16(self, v: Self::V) -> Self::V;

    /// `tree_sum` of each: four at a time share their shuffles.
    fn tree_sums(self, v: [Self::V; 4]) -> [f32; 4];
}

/// A computation that runs on any path.
pub trait Kernel {
    /// Must be `#[inline(always)]`, so that it is compiled with the path's instructions.
    fn run<I: Isa>(self, isa: I);
}

/// An instruction set this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Plain Rust; what the compiler's baseline offers.
    Portable,
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

/// Proof that this processor has AVX2, FMA and F16C.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

/// Proof that this processor has AVX-512 F, BW, DQ and VL.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512(());

/// Plain Rust needs no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portable;

impl Path {
    /// Every path this processor has, the fastest first.
    pub fn available() -> Vec<Path> {
        let mut paths = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                paths.push(Path::Avx512(Avx512(())));
            }
            if avx2 {
                paths.push(Path::Avx2(Avx2(())));
            }
        }
        paths.push(Path::Portable);
        paths
    }

    /// The fastest path.
    pub fn best() -> Path {
        Path::available()[0]
    }

    /// The path of this name, if this processor has it.
    pub fn from_name(name: &str) -> Option<Path> {
        Path::available()
            .into_iter()
            .find(|path| path.name() == name)
    }

    /// `avx512`, `avx2` or `portable`.
    pub fn name(self) -> &'static str {
        match self {
            Path::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_) => "avx512",
        }
    }

    /// Runs `kernel` compiled for this path.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) {
        match self {
            Path::Portable => kernel.run(Portable),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(token) => avx2::run(token, kernel),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(token) => avx512::run(token, kernel),
        }
    }
}

/// The fixed tree of the numerics contract: lane i takes lane i + 8, then + 4, + 2, + 1.
#[inline(always)]
pub fn tree_sum<I: Isa>(isa: I, v: I::V) -> f32 {
    let mut lanes = [0.0; LANES];
    isa.store(v, &mut lanes);
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The largest lane; none is NaN.
#[inline(always)]
pub fn largest<I: Isa>(isa: I, v: I::V) -> f32 {
    let mut lanes = [0.0; LANES];
    isa.store(v, &mut lanes);
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}
