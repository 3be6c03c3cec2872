//! Time of the CPU kernels on one thread, on each SIMD path, at the shapes of Qwen2.5-0.5B, with the bytes or operations
//! they need as throughput. Whole ops on all threads: `steps`. `cargo bench --bench ops`

use std::hint::black_box;
use std::marker::PhantomData;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use half::bf16;
use qwarp::backend::cpu::attention::CHUNK;
use qwarp::backend::cpu::elementwise::{RmsNorm, SiluMul};
use qwarp::backend::cpu::exp::exp;
use qwarp::backend::cpu::matmul::Matmul;
use qwarp::backend::cpu::packed::{pack, packed_len};
use qwarp::backend::cpu::simd::{Isa, Kernel, LANES, Path};

const HIDDEN: usize = 896;
const INNER: usize = 4864;
const VOCAB: usize = 151_936;

fn value(index: usize) -> f32 {
    ((index * 37 % 1009) as f32 - 504.0) / 700.0
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(value).collect()
}

fn matmul(c: &mut Criterion) {
    for (name, k, n) in [
        ("qkv", HIDDEN, 1152),
        ("gate_up", HIDDEN, 2 * INNER),
        ("o_proj", HIDDEN, HIDDEN),
        ("down", INNER, HIDDEN),
        ("lm_head", HIDDEN, VOCAB),
    ] {
        let w: Vec<bf16> = (0..k * n).map(|i| bf16::from_f32(value(i))).collect();
        for tokens in [1, 32] {
            // Logits are wanted for one row of a prompt.
            if tokens > 1 && n == VOCAB {
                continue;
            }
            let mut x = vec![0.0; tokens * packed_len(k)];
            let tokens_in: Vec<bf16> = (0..tokens * k).map(|i| bf16::from_f32(value(i))).collect();
            pack(tokens_in.chunks(k), k, &mut x);
            let mut out = vec![0.0; tokens * n];
            let mut group = c.benchmark_group(format!("matmul_bf16/{name}/{tokens}"));
            group.throughput(match tokens {
                1 => Throughput::Bytes((2 * k * n) as u64),
                _ => Throughput::Elements((2 * k * n * tokens) as u64),
            });
            for path in Path::available() {
                group.bench_function(path.name(), |b| {
                    b.iter(|| {
                        let element = PhantomData;
                        path.run(Matmul::<bf16, bf16> {
                            x: &x,
                            tokens,
                            w: &w,
                            k,
                            out: &mut out,
                            element,
                        });
                        black_box(out[0])
                    });
                });
            }
        }
    }
}

fn elementwise(c: &mut Criterion) {
    let (x, weight) = (values(2 * INNER), values(INNER));
    let mut out = vec![0.0; INNER];
    for path in Path::available() {
        c.bench_function(&format!("rms_norm/{}", path.name()), |b| {
            b.iter(|| {
                path.run(RmsNorm {
                    x: &x[..HIDDEN],
                    weight: &weight[..HIDDEN],
                    eps: 1e-6,
                    out: &mut out[..HIDDEN],
                })
            });
        });
        c.bench_function(&format!("silu_mul/{}", path.name()), |b| {
            b.iter(|| {
                path.run(SiluMul {
                    gate: &x[..INNER],
                    up: &x[INNER..],
                    out: &mut out,
                })
            });
        });
    }
}

/// `e^x` over a row of scores, as attention's softmax takes it.
struct Exp<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Exp<'_> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let rows = self.x.as_chunks::<LANES>().0.iter();
        for (x, out) in rows.zip(self.out.as_chunks_mut::<LANES>().0) {
            isa.store(exp(isa, isa.load(x)), out);
        }
    }
}

fn softmax_exp(c: &mut Criterion) {
    let x: Vec<f32> = values(CHUNK).iter().map(|x| x * 20.0 - 15.0).collect();
    let mut out = vec![0.0; CHUNK];
    let mut group = c.benchmark_group("exp");
    group.throughput(Throughput::Elements(CHUNK as u64));
    for path in Path::available() {
        group.bench_function(path.name(), |b| {
            b.iter(|| {
                path.run(Exp {
                    x: black_box(&x),
                    out: &mut out,
                });
                black_box(out[0])
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = matmul, elementwise, softmax_exp
}
criterion_main!(benches);
