//! Time of the CPU kernels at the shapes of Qwen2.5-0.5B, with the bytes or operations they need as throughput.
//! `cargo bench --bench ops`

use std::hint::black_box;
use std::marker::PhantomData;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use half::bf16;
use qwarp::backend::cpu::elementwise::{RmsNorm, SiluMul};
use qwarp::backend::cpu::matmul::Matmul;
use qwarp::backend::cpu::packed::{pack, packed_len};
use qwarp::backend::cpu::simd::Path;
use qwarp::backend::sampling::{SampleRow, SamplingParams, sample};

const HIDDEN: usize = 896;
const INNER: usize = 4864;
const VOCAB: usize = 151_936;

fn values(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 37 % 1009) as f32 - 504.0) / 700.0)
        .collect()
}

fn matmul(c: &mut Criterion) {
    for (name, k, n) in [
        ("qkv", HIDDEN, 1152),
        ("gate_up", HIDDEN, 2 * INNER),
        ("down", INNER, HIDDEN),
    ] {
        let w: Vec<bf16> = values(k * n).into_iter().map(bf16::from_f32).collect();
        for tokens in [1, 32] {
            let mut x = vec![0.0; tokens * packed_len(k)];
            let tokens_in: Vec<bf16> = values(tokens * k).into_iter().map(bf16::from_f32).collect();
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

fn sampler(c: &mut Criterion) {
    let logits: Vec<f32> = values(VOCAB).iter().map(|x| x * 20.0).collect();
    for (name, temperature, top_k, top_p, presence_penalty) in [
        ("greedy", 0.0, 0, 1.0, 0.0),
        ("greedy_presence", 0.0, 0, 1.0, 0.5),
        ("all", 0.8, 0, 1.0, 0.0),
        ("top_k_50", 0.8, 50, 1.0, 0.0),
        ("top_p_0.9", 0.8, 0, 0.9, 0.0),
        ("top_p_0.9_hot", 100.0, 0, 0.9, 0.0),
    ] {
        let params = SamplingParams {
            temperature,
            top_k,
            top_p,
            presence_penalty,
            seed: 1,
            ..SamplingParams::GREEDY
        };
        let row = SampleRow {
            params,
            position: 7,
            history: (0..4096).collect::<Vec<u32>>().into(),
            ..SampleRow::default()
        };
        c.bench_function(&format!("sample/{name}"), |b| {
            b.iter(|| sample(black_box(&logits), &row))
        });
    }
}

criterion_group!(benches, matmul, elementwise, sampler);
criterion_main!(benches);
