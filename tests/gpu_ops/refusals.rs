//! A launch whose slices do not have the shape is refused before it reaches the device, with the op, the dimension and both
//! values.

use half::{bf16, f16};
use qwarp::backend::SequenceSpan;
use qwarp::backend::gpu::kernels::Kernels;
use qwarp::backend::gpu::launch::{
    Argmax, Embed, FlashAttention, Linear, LinearOut, LinearRopeAppend, LinearSiluMul, NormIn,
    NormLinearRopeAppend, NormLinearSiluMul, PagedAttention, RmsNorm, RopeOut, SampleRows, SiluMul,
    span_words,
};
use qwarp::driver::{DevicePtr, DeviceType, DriverError, In, InOut, Launch, Out, Target};
use qwarp::shape::Heads;

use crate::emulator;

fn input<T: DeviceType>(len: usize) -> In<T> {
    In::new(DevicePtr(4096), len)
}

fn output<T: DeviceType>(len: usize) -> Out<T> {
    Out::new(DevicePtr(8192), len)
}

fn in_out<T: DeviceType>(len: usize) -> InOut<T> {
    InOut::new(DevicePtr(12288), len)
}

fn refused(launch: Result<Launch, DriverError>, expected: &str) {
    let found = launch.unwrap_err().to_string();
    assert_eq!(found, format!("launch of {expected}"));
}

fn rope() -> LinearRopeAppend<f16> {
    LinearRopeAppend {
        tokens: 3,
        k: 20,
        x: input(60),
        weights: input(8 * 2 * 256),
        rope: RopeOut {
            heads: Heads {
                query: 4,
                kv: 2,
                dim: 16,
            },
            blocks: 2,
            bias: Some(input(128)),
            cos_sin: input(48),
            slot_mapping: input(3),
            q: output(192),
            keys: in_out(1024),
            values: in_out(1024),
        },
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let Some((_, kernels)) = emulator(Target::Sm80) else {
        return;
    };
    norms(&kernels);
    ropes(&kernels);
    norms_within(&kernels);
    products(&kernels);
    attentions(&kernels);
    samples(&kernels);
    let mut embed = Embed::<f16> {
        tokens: 2,
        vocab: 5,
        hidden: 8,
        token_ids: input(2),
        drawn: input(1),
        table: input(40),
        out: output(16),
    };
    assert!(embed.launch(&kernels).is_ok());
    embed.table = input(39);
    let expected = "embed: table has 39 elements, expected 40 (vocab 5, hidden 8)";
    refused(embed.launch(&kernels), expected);
    let silu = SiluMul::<f16> {
        rows: 2,
        n: 3,
        gate_up: input(6),
        out: output(6),
    };
    let expected = "silu_mul: gate_up has 6 elements, expected 12 (rows 2, gate and up 2, n 3)";
    refused(silu.launch(&kernels), expected);
    let argmax = Argmax {
        rows: 2,
        vocab: 5000,
        logits: input(10_000),
        partial: output(5),
        tokens: output(2),
    };
    let found = argmax.launches(&kernels).unwrap_err().to_string();
    assert!(
        found.ends_with("partial has 5 elements, expected 6 (rows 2, parts 3)"),
        "{found}"
    );
}

fn samples(kernels: &Kernels) {
    let sample = SampleRows {
        rows: 2,
        logit_rows: 3,
        vocab: 5000,
        changes_len: 7,
        logits: input(15_000),
        settings: input(24),
        starts: input(8),
        changes: input(28),
        state: in_out(16),
        bins: in_out(8192),
        tokens: output(2),
    };
    assert_eq!(SampleRows::lengths(2, 5000, 7), [24, 8, 28, 16, 8192]);
    assert!(sample.launches(kernels).is_ok());
    let refused = |wrong: SampleRows, expected: &str| {
        let found = wrong.launches(kernels).unwrap_err().to_string();
        assert_eq!(found, format!("launch of sample: {expected}"));
    };
    let logits = SampleRows {
        logits: input(10_000),
        ..sample
    };
    let expected = "logits has 10000 elements, expected 15000 (logit rows 3, vocab 5000)";
    refused(logits, expected);
    let starts = SampleRows {
        starts: input(6),
        ..sample
    };
    let expected = "starts has 6 elements, expected 8 (rows 2, parts and their end 4)";
    refused(starts, expected);
    let bins = SampleRows {
        bins: in_out(4096),
        ..sample
    };
    let expected = "bins has 4096 elements, expected 8192 (rows 2, bins 2048, words 2)";
    refused(bins, expected);
    let vocab = 4_194_305;
    let wide = SampleRows {
        vocab,
        logit_rows: 1,
        logits: input(vocab),
        starts: input(2 * 2050),
        ..sample
    };
    refused(wide, "vocab = 4194305, expected at most 4194304");
    let none = SampleRows {
        changes_len: 0,
        changes: input(0),
        ..sample
    };
    refused(none, "changes = 0, expected 1 to 2147483647");
}

fn products(kernels: &Kernels) {
    let linear = Linear::<f16> {
        tokens: 2,
        n: 17,
        k: 20,
        x: input(40),
        weights: input(1024),
        bias: Some(input(17)),
        out: LinearOut::Write(output(34)),
    };
    assert!(linear.launch(kernels).is_ok());
    let rows = Linear {
        weights: input(340),
        ..linear
    };
    let expected =
        "linear: weights has 340 elements, expected 1024 (row tiles 2, k tiles 2, elements 256)";
    refused(rows.launch(kernels), expected);
    let bias = Linear {
        bias: Some(input(16)),
        ..linear
    };
    refused(
        bias.launch(kernels),
        "linear: bias has 16 elements, expected 17 (n 17)",
    );
    let added = Linear {
        out: LinearOut::Add(in_out(33)),
        ..linear
    };
    let expected = "linear: out has 33 elements, expected 34 (tokens 2, n 17)";
    refused(added.launch(kernels), expected);
    let tall = Linear::<f16> {
        tokens: 1,
        n: 65_535 * 16 + 1,
        k: 1,
        x: input(1),
        weights: input(65_536 * 256),
        bias: None,
        out: LinearOut::Write(output(65_535 * 16 + 1)),
    };
    let expected = "linear: 65536 row tiles, expected at most 65535";
    refused(tall.launch(kernels), expected);
    let silu_mul = LinearSiluMul::<bf16> {
        tokens: 2,
        n: 9,
        k: 20,
        x: input(40),
        weights: input(512),
        out: output(18),
    };
    let expected = "linear_silu_mul: weights has 512 elements, expected 1024 (row tiles 2, k tiles 2, elements 256)";
    refused(silu_mul.launch(kernels), expected);
}

fn norms(kernels: &Kernels) {
    let norm = RmsNorm::<f16> {
        rows: 2,
        n: 4,
        eps: 1e-6,
        x: input(8),
        weight: input(4),
        out: output(8),
    };
    assert!(norm.launch(kernels).is_ok());
    let short = RmsNorm {
        weight: input(3),
        ..norm
    };
    refused(
        short.launch(kernels),
        "rms_norm: weight has 3 elements, expected 4 (n 4)",
    );
    let off = RmsNorm {
        x: In::new(DevicePtr(4100), 8),
        ..norm
    };
    refused(
        off.launch(kernels),
        "rms_norm: x starts 4 bytes past a multiple of 16, expected 0",
    );
    let empty = RmsNorm {
        rows: 0,
        x: input(0),
        out: output(0),
        ..norm
    };
    refused(
        empty.launch(kernels),
        "rms_norm: rows = 0, expected 1 to 2147483647",
    );
}

fn ropes(kernels: &Kernels) {
    assert!(rope().launch(kernels).is_ok());
    let with = |change: fn(&mut LinearRopeAppend<f16>), expected: &str| {
        let mut rope = rope();
        change(&mut rope);
        let expected = format!("linear_rope_append: {expected}");
        refused(rope.launch(kernels), &expected);
    };
    let expected = "values has 1023 elements, expected 1024 \
                    (blocks 2, kv heads 2, block size 16, dim 16)";
    with(|r| r.rope.values = in_out(1023), expected);
    let expected = "dim = 24, expected a multiple of 16";
    with(|r| r.rope.heads.dim = 24, expected);
    let expected = "bias has 127 elements, expected 128 (n 128)";
    with(|r| r.rope.bias = Some(input(127)), expected);
    let expected = "cos_sin has 47 elements, expected 48 (tokens 3, dim 16)";
    with(|r| r.rope.cos_sin = input(47), expected);
    let expected = "slot_mapping has 4 elements, expected 3 (tokens 3)";
    with(|r| r.rope.slot_mapping = input(4), expected);
    let expected = "q has 191 elements, expected 192 (tokens 3, query heads 4, dim 16)";
    with(|r| r.rope.q = output(191), expected);
    let expected = "x has 61 elements, expected 60 (tokens 3, k 20)";
    with(|r| r.x = input(61), expected);
    let expected =
        "weights has 4095 elements, expected 4096 (row tiles 8, k tiles 2, elements 256)";
    with(|r| r.weights = input(4095), expected);
}

fn norms_within(kernels: &Kernels) {
    let LinearRopeAppend { weights, rope, .. } = rope();
    let norm = NormIn {
        x: input(60),
        weight: input(20),
        eps: 1e-6,
    };
    let one = NormLinearRopeAppend {
        tokens: 3,
        k: 20,
        norm,
        weights,
        rope,
    };
    assert!(one.launch(kernels).is_ok());
    let short = NormLinearRopeAppend {
        norm: NormIn {
            weight: input(19),
            ..norm
        },
        ..one
    };
    let expected = "norm_linear_rope_append: norm has 19 elements, expected 20 (k 20)";
    refused(short.launch(kernels), expected);
    let product = |tokens: usize, n: usize, k: usize, tiles: usize| NormLinearSiluMul::<f16> {
        tokens,
        n,
        k,
        norm: NormIn {
            x: input(tokens * k),
            weight: input(k),
            eps: 1e-6,
        },
        weights: input(n.div_ceil(8) * tiles * 256),
        out: output(tokens * n),
    };
    assert!(product(8, 9, 20, 2).launch(kernels).is_ok());
    let expected = "norm_linear_silu_mul: tokens = 9, expected at most 8";
    refused(product(9, 9, 20, 2).launch(kernels), expected);
    let expected =
        "norm_linear_silu_mul: 8 rows of 18944 do not fit in 101376 bytes of shared memory";
    refused(product(8, 9, 18_944, 1184).launch(kernels), expected);
    let mut wrong = product(2, 9, 20, 2);
    wrong.out = output(17);
    let expected = "norm_linear_silu_mul: out has 17 elements, expected 18 (tokens 2, n 9)";
    refused(wrong.launch(kernels), expected);
}

/// Two sequences: 300 positions, of which 2 are new, and 3.
fn attention() -> FlashAttention<f16> {
    FlashAttention {
        tokens: 5,
        heads: Heads {
            query: 4,
            kv: 2,
            dim: 64,
        },
        blocks: 20,
        sequences: 2,
        longest: 3,
        context: 300,
        q: input(1280),
        keys: input(40_960),
        values: input(40_960),
        block_tables: input(20),
        spans: input(8),
        out: output(1280),
    }
}

fn attentions(kernels: &Kernels) {
    assert!(attention().launch(kernels).is_ok());
    let mut odd = attention();
    odd.heads.dim = 80;
    let expected = "head dim 80: there are kernels for 64 and 128 alone";
    refused(odd.launch(kernels), &format!("flash_attention: {expected}"));
    let paged = |attention, partial, arrived| {
        let paged = PagedAttention {
            attention,
            partial: in_out(partial),
            arrived: in_out(arrived),
        };
        paged.launch(kernels)
    };
    refused(paged(odd, 0, 4), &format!("paged_attention: {expected}"));
    assert!(paged(attention(), 2640, 4).is_ok());
    let expected = "paged_attention: partial has 2639 elements, expected 2640 \
                    (tokens 5, query heads 4, chunks 2, dim and 2 66)";
    refused(paged(attention(), 2639, 4), expected);
    let expected = "paged_attention: arrived has 3 elements, expected 4 (sequences 2, row tiles 2)";
    refused(paged(attention(), 2640, 3), expected);
    let with = |change: fn(&mut FlashAttention<f16>), expected: &str| {
        let mut attention = attention();
        change(&mut attention);
        let expected = format!("flash_attention: {expected}");
        refused(attention.launch(kernels), &expected);
    };
    let expected = "keys has 40959 elements, expected 40960 \
                    (blocks 20, kv heads 2, block size 16, dim 64)";
    with(|a| a.keys = input(40_959), expected);
    let expected = "spans has 7 elements, expected 8 (sequences 2, words 4)";
    with(|a| a.spans = input(7), expected);
    with(|a| a.longest = 6, "longest = 6, expected at most 5");
    let three = |a: &mut FlashAttention<f16>| {
        a.heads.query = 3;
        (a.q, a.out) = (input(960), output(960));
    };
    with(three, "3 query heads, expected a multiple of 2");
}

#[test]
fn spans_are_words_of_the_device() {
    let span = |tokens, cached, table_start| SequenceSpan {
        tokens,
        cached,
        table_start,
        table_len: 1,
    };
    let words = span_words(&[span(2, 298, 0), span(3, 0, 19)]).unwrap();
    assert_eq!(words, [0, 2, 298, 0, 2, 3, 0, 19]);
    let error = span_words(&[span(1, 1 << 32, 0)]).unwrap_err();
    let expected =
        "launch of attention: cached positions = 4294967296 of a span, expected at most 4294967295";
    assert_eq!(error.to_string(), expected);
}
