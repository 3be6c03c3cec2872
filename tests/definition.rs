//! The written definitions of the numerics contract, spelled out once more in plain scalar code, against every SIMD path:
//! equal bit for bit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::marker::PhantomData;

use half::{bf16, f16};
use qwarp::backend::cpu::element::{Element, StoredFor};
use qwarp::backend::cpu::elementwise::{RmsNorm, SiluMul};
use qwarp::backend::cpu::exp;
use qwarp::backend::cpu::matmul::Matmul;
use qwarp::backend::cpu::packed::{pack, packed_len};
use qwarp::backend::cpu::simd::{Isa, Kernel, LANES, Path};
use qwarp::backend::rng::philox;

/// Distinct values of both signs over several magnitudes.
fn values(count: usize, seed: u32) -> Vec<f32> {
    (0..count)
        .map(|i| {
            let bits = philox([i as u32, 0, 0, 0], [seed, 0]);
            let mantissa = bits[0] as f32 / u32::MAX as f32 - 0.5;
            mantissa * 2f32.powi((bits[1] % 12) as i32 - 8)
        })
        .collect()
}

/// The tree: lane i takes lane i + 8, then + 4, + 2, + 1.
fn tree(mut lanes: [f32; 16]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// `vdpbf16ps` as Intel's manual gives it: fused, odd element first, denormals in and out are zero.
fn dot_bf16(x: &[bf16], w: &[bf16]) -> f32 {
    let flush = |x: f32| if x.is_subnormal() { 0.0 } else { x };
    let wide = |values: &[bf16], i: usize| flush(values.get(i).map_or(0.0, |value| value.to_f32()));
    let mut lanes = [0f32; 16];
    for group in 0..x.len().div_ceil(32) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            for element in [2 * lane + 1, 2 * lane] {
                let i = group * 32 + element;
                *sum = flush(wide(x, i).mul_add(wide(w, i), *sum));
            }
        }
    }
    tree(lanes)
}

/// f16 and f32: lane i takes elements i, then 16 + i, of each 32; two roundings, of which f16 products need only one.
fn dot_two_roundings<T: Element>(x: &[T], w: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    for (i, (x, w)) in x.iter().zip(w).enumerate() {
        lanes[i % 16] += x.widen() * w;
    }
    tree(lanes)
}

/// All products of `tokens` activations rows with `rows` weight rows on one path.
fn matmul<C: Element, W: StoredFor<C>>(path: Path, x: &[C], w: &[W], k: usize) -> Vec<f32> {
    let (tokens, rows) = (x.len() / k, w.len() / k);
    let mut packed = vec![f32::NAN; tokens * packed_len(k)];
    pack(x.chunks(k), k, &mut packed);
    let mut out = vec![f32::NAN; tokens * rows];
    path.run(Matmul::<C, W> {
        x: &packed,
        tokens,
        w,
        k,
        out: &mut out,
        element: PhantomData,
    });
    out
}

fn every_product<C: Element, W: StoredFor<C> + Copy>(
    narrow: fn(f32) -> W,
    define: impl Fn(&[C], &[W]) -> f32,
) {
    let (mut compared, mut paths) = (0, 0);
    for path in Path::available() {
        paths += 1;
        for (tokens, rows, k) in [
            (1, 1, 1),
            (1, 7, 31),
            (3, 5, 33),
            (5, 9, 64),
            (9, 6, 127),
            (2, 11, 896),
            (7, 4, 4864),
        ] {
            let x: Vec<C> = values(tokens * k, 1).into_iter().map(C::round).collect();
            let w: Vec<W> = values(rows * k, 2).into_iter().map(narrow).collect();
            let ours = matmul::<C, W>(path, &x, &w, k);
            for (t, x) in x.chunks(k).enumerate() {
                for (n, w) in w.chunks(k).enumerate() {
                    let expected = define(x, w);
                    assert_eq!(
                        ours[t * rows + n].to_bits(),
                        expected.to_bits(),
                        "{} t {t} n {n} k {k}",
                        path.name()
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared >= 150 * paths);
}

#[test]
fn bf16_products_are_vdpbf16ps() {
    every_product::<bf16, bf16>(bf16::from_f32, dot_bf16);
}

#[test]
fn f16_products_follow_their_definition() {
    every_product::<f16, f16>(f16::from_f32, |x, w| {
        dot_two_roundings(x, &w.iter().map(|w| w.to_f32()).collect::<Vec<f32>>())
    });
}

#[test]
fn f32_products_follow_their_definition_for_every_stored_type() {
    every_product::<f32, f32>(|x| x, dot_two_roundings);
    every_product::<f32, bf16>(bf16::from_f32, |x, w| {
        dot_two_roundings(x, &w.iter().map(|w| w.to_f32()).collect::<Vec<f32>>())
    });
    every_product::<f32, f16>(f16::from_f32, |x, w| {
        dot_two_roundings(x, &w.iter().map(|w| w.to_f32()).collect::<Vec<f32>>())
    });
}

/// The scaled product never meets a denormal: the smallest activations and weights, where an unscaled product would
/// underflow, give the exact value, fused or not, on every path.
#[test]
fn the_smallest_operands_do_not_underflow_on_the_way() {
    let smallest_weight = bf16::from_bits(0x0080);
    assert_eq!(smallest_weight.to_f32(), f32::MIN_POSITIVE);
    let k = 64;
    let x: Vec<bf16> = (0..k)
        .map(|i| bf16::round(2f32.powi(-40 + i % 40)))
        .collect();
    let mut w = vec![smallest_weight; k as usize];
    w[3] = bf16::from_f32(-1.5 * f32::MIN_POSITIVE);
    let results: Vec<u32> = Path::available()
        .into_iter()
        .map(|path| matmul::<bf16, bf16>(path, &x, &w, k as usize)[0].to_bits())
        .collect();
    let exact: f64 = x.iter().zip(&w).map(|(x, w)| x.to_f64() * w.to_f64()).sum();
    let expected = exact as f32;
    assert!(expected > 0.0, "the sum itself is representable");
    assert!(
        results.iter().all(|&bits| bits == results[0]),
        "{results:x?}"
    );
    let error = (f64::from(f32::from_bits(results[0])) - exact).abs() / exact;
    assert!(error < 1e-5, "{error}");
    assert_eq!(
        bf16::round(2f32.powi(-41)).to_bits(),
        0,
        "below the flush limit an activation is zero"
    );
}

struct Exp<'a> {
    x: &'a [[f32; LANES]],
    out: &'a mut Vec<f32>,
}

impl Kernel for Exp<'_> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        for x in self.x {
            let mut lanes = [0.0; LANES];
            isa.store(exp::exp(isa, isa.load(x)), &mut lanes);
            self.out.extend(lanes);
        }
    }
}

#[test]
fn exp_has_the_same_bits_everywhere_and_stays_within_two_ulp() {
    let mut x: Vec<f32> = (-90_000..90_000).map(|i| i as f32 * 0.001_003).collect();
    x.extend([
        0.0,
        -0.0,
        1e-30,
        -1e-30,
        exp::LOWEST,
        exp::HIGHEST,
        1e30,
        -1e30,
        f32::NEG_INFINITY,
        -87.0001,
        -86.9999,
    ]);
    x.resize(x.len().next_multiple_of(LANES), 1.0);
    let mut runs = Vec::new();
    for path in Path::available() {
        let mut out = Vec::new();
        path.run(Exp {
            x: x.as_chunks().0,
            out: &mut out,
        });
        runs.push(out);
    }
    let bits = |run: &Vec<f32>| run.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    assert!(runs.iter().all(|run| bits(run) == bits(&runs[0])));
    let mut worst = 0f64;
    for (&x, &y) in x.iter().zip(&runs[0]) {
        if x <= exp::LOWEST {
            assert_eq!(y, 0.0, "{x}");
        } else {
            let exact = f64::from(x.min(exp::HIGHEST)).exp();
            let ulp =
                f64::from(f32::from_bits((exact as f32).to_bits() + 1)) - f64::from(exact as f32);
            worst = worst.max((f64::from(y) - exact).abs() / ulp);
        }
    }
    assert!(worst <= 2.0, "{worst} ulp");
}

#[test]
fn silu_has_the_same_bits_everywhere() {
    let (gate, up) = (values(1003, 5), values(1003, 6));
    let gate: Vec<f32> = gate.iter().map(|x| x * 40.0).collect();
    let run = |path: Path| {
        let mut out = vec![f32::NAN; gate.len()];
        path.run(SiluMul {
            gate: &gate,
            up: &up,
            out: &mut out,
        });
        out.iter().map(|x| x.to_bits()).collect::<Vec<u32>>()
    };
    let first = run(Path::Portable);
    for path in Path::available() {
        assert_eq!(run(path), first, "{}", path.name());
    }
}

#[test]
fn rms_norm_follows_its_definition_on_every_path() {
    for n in [1, 15, 16, 33, 896, 1003] {
        let (x, weight, eps) = (values(n, 7), values(n, 8), 1e-5);
        let mut lanes = [0f32; 16];
        for (i, x) in x.iter().enumerate() {
            lanes[i % 16] += x * x;
        }
        let scale = 1.0 / (tree(lanes) / n as f32 + eps).sqrt();
        let expected: Vec<u32> = x
            .iter()
            .zip(&weight)
            .map(|(x, w)| (x * scale * w).to_bits())
            .collect();
        for path in Path::available() {
            let mut out = vec![f32::NAN; n];
            path.run(RmsNorm {
                x: &x,
                weight: &weight,
                eps,
                out: &mut out,
            });
            assert_eq!(
                out.iter().map(|x| x.to_bits()).collect::<Vec<u32>>(),
                expected,
                "{} n {n}",
                path.name()
            );
        }
    }
}
