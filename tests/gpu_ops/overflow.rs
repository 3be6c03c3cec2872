//! What does not fit the matrix type becomes an infinity of its sign, and NaN stays NaN: nothing is clamped to a number that
//! looks like an answer.

use half::{bf16, f16};
use qwarp::backend::SequenceSpan;
use qwarp::backend::gpu::kernels::Kernels;
use qwarp::backend::gpu::launch::{
    AttentionType, FlashAttention, PagedAttention, SiluMul, SiluMulType, span_words,
};
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::driver::{Driver, InOut, Out, Target};
use qwarp::shape::Heads;

use crate::emulator;
use crate::gpu_cases::{Device, Real};

/// gate 100 (a SiLU of 100) times each `up`, then a NaN gate.
fn products<T: Real + SiluMulType>(driver: &dyn Driver, kernels: &Kernels, up: &[f32]) -> Vec<f64> {
    let device = Device::new(driver, kernels);
    let n = up.len();
    let mut gate_up = vec![100.0; n];
    gate_up[n - 1] = f32::NAN;
    gate_up.extend_from_slice(up);
    let out = device.output::<T>(n).unwrap();
    let gate_up = device.input(&gate_up).unwrap();
    let launch = SiluMul {
        rows: 1,
        n,
        gate_up,
        out,
    };
    driver.launch(&launch.launch(kernels).unwrap()).unwrap();
    read(driver, out)
}

fn read<T: Real>(driver: &dyn Driver, out: Out<T>) -> Vec<f64> {
    let mut bytes = vec![0; out.len * size_of::<T>()];
    driver.copy_out(out.ptr, &mut bytes).unwrap();
    let values = bytemuck::pod_collect_to_vec::<u8, T>(&bytes);
    values.into_iter().map(T::to_f64).collect()
}

const TOKENS: usize = 5;
const HEADS: Heads = Heads {
    query: 2,
    kv: 1,
    dim: 64,
};

/// What each kernel of attention gives for each token of a sequence whose third key has `x` in one place; queries are positive.
fn attentions<T: Real + AttentionType>(
    driver: &dyn Driver,
    kernels: &Kernels,
    x: f64,
) -> [Vec<f64>; 2] {
    let device = Device::new(driver, kernels);
    let varied = |n: usize| -> Vec<T> {
        let value = |i| T::round(0.25 + (i * 7 % 23) as f32 / 64.0);
        (0..n).map(value).collect()
    };
    let cache_len = BLOCK_SIZE * HEADS.dim;
    let (mut keys, values) = (varied(cache_len), varied(cache_len));
    keys[2 * HEADS.dim + 5] = T::round(x as f32);
    let span = SequenceSpan {
        tokens: TOKENS,
        cached: 0,
        table_start: 0,
        table_len: 1,
    };
    let launch = || FlashAttention {
        tokens: TOKENS,
        heads: HEADS,
        blocks: 1,
        sequences: 1,
        longest: TOKENS,
        context: TOKENS,
        q: device.input(&varied(TOKENS * HEADS.q_dim())).unwrap(),
        keys: device.input(&keys).unwrap(),
        values: device.input(&values).unwrap(),
        block_tables: device.input(&[0]).unwrap(),
        spans: device.input(&span_words(&[span]).unwrap()).unwrap(),
        out: device.output(TOKENS * HEADS.q_dim()).unwrap(),
    };
    let flash = launch();
    let paged = {
        let partial: Out<f32> = device
            .output(TOKENS * HEADS.query * (HEADS.dim + 2))
            .unwrap();
        PagedAttention {
            attention: launch(),
            partial: InOut::new(partial.ptr, partial.len),
            arrived: device
                .in_out(&vec![0; PagedAttention::<T>::tiles(HEADS, TOKENS)])
                .unwrap(),
        }
    };
    driver.launch(&flash.launch(kernels).unwrap()).unwrap();
    driver.launch(&paged.launch(kernels).unwrap()).unwrap();
    [read(driver, flash.out), read(driver, paged.attention.out)]
}

/// An f16 key that overflows, as a model made for bf16 can have: a score of minus infinity is as broken as one of infinity,
/// and not a position that the row does not see.
#[test]
fn an_infinite_key_breaks_the_rows_that_see_it() {
    fn holds<T: Real + AttentionType>(target: Target) {
        let Some((driver, kernels)) = emulator(target) else {
            return;
        };
        for x in [1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            for out in attentions::<T>(&driver, &kernels, x) {
                for (token, row) in out.chunks(HEADS.q_dim()).enumerate() {
                    let sees = token >= 2 && !x.is_finite();
                    assert!(
                        row.iter().all(|out| out.is_nan() == sees),
                        "{x} in the third key, token {token}: {row:?}"
                    );
                }
            }
        }
    }
    holds::<f16>(Target::Sm75);
    holds::<bf16>(Target::Sm80);
}

#[test]
fn values_out_of_range_become_infinities() {
    let Some((driver, kernels)) = emulator(Target::Sm80) else {
        return;
    };
    // 65,519 is the last that rounds to f16's largest number, 65,504.
    let up = [655.19, 655.21, -655.19, -655.21, 3e38, 1.0];
    let found = products::<f16>(&driver, &kernels, &up);
    let infinity = f64::INFINITY;
    assert_eq!(
        found[..5],
        [65504.0, infinity, -65504.0, -infinity, infinity]
    );
    assert!(found[5].is_nan());
    let found = products::<bf16>(&driver, &kernels, &[3e36, -3e36, 3.4e38, 1.0]);
    assert!(found[0].is_finite() && found[0] > 2.9e38, "{}", found[0]);
    assert_eq!(found[0], -found[1]);
    assert_eq!(found[2], infinity);
    assert!(found[3].is_nan());
}
