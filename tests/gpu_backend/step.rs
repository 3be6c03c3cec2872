//! A step's launches, stage by stage: which kernels, with which slices of which buffers.

use half::{bf16, f16};
use qwarp::DType;
use qwarp::backend::gpu::inputs::{Extent, Layout, Widths};
use qwarp::backend::gpu::kernels::Kernels;
use qwarp::backend::gpu::launch::MatrixType;
use qwarp::backend::gpu::lower::{Work, lower};
use qwarp::backend::gpu::memory::Memory;
use qwarp::backend::gpu::step::{Buffers, Step};
use qwarp::backend::gpu::upload::Bands;
use qwarp::backend::gpu::weights::DeviceWeights;
use qwarp::backend::{SequenceSpan, StepInputs};
use qwarp::driver::{DevicePtr, Launch, Target};
use qwarp::graph::Plan;

use crate::failing::Failing;
use crate::kernels::have_kernels;
use crate::{TIED, UNTIED, plan, weights};

const BLOCKS: usize = 40;
/// Every buffer at an address of its own; nothing is launched, so nothing has to stand there.
const BUFFERS: Buffers = Buffers {
    arena: DevicePtr(1 << 32),
    cache: DevicePtr(2 << 32),
    partial: DevicePtr(3 << 32),
    arrived: DevicePtr(6 << 32),
    partial_len: 20 * 6 * 3 * 66,
    inputs: DevicePtr(4 << 32),
    drawn: DevicePtr(5 << 32),
};

/// A model on a device, ready for steps.
struct Ready {
    plan: Plan,
    kernels: Kernels,
    weights: DeviceWeights,
    buffers: Buffers,
    _memory: Memory,
}

/// `None` where the build has no kernels.
fn ready(name: &str, matrix: DType) -> Option<Ready> {
    if !have_kernels() {
        return None;
    }
    let plan = plan(name, matrix);
    let mut memory = Memory::new(Failing::new(Target::Sm80, None).0);
    let host = weights(name, &plan);
    let stages = lower(&plan).unwrap();
    let weights = DeviceWeights::upload(&mut memory, &plan, &stages, &host, Bands::on(1));
    Some(Ready {
        kernels: Kernels::load(memory.driver()).unwrap(),
        weights: weights.unwrap(),
        plan,
        buffers: BUFFERS,
        _memory: memory,
    })
}

/// A step of sequences of (cached positions, tokens), the last `logits` of whose tokens are to have logits.
fn inputs(spans: &[(usize, usize)], logits: usize) -> StepInputs {
    let tokens: usize = spans.iter().map(|(_, tokens)| tokens).sum();
    let mut step = StepInputs {
        token_ids: vec![1; tokens],
        positions: vec![0; tokens],
        slot_mapping: vec![0; tokens],
        logit_rows: (tokens - logits..tokens).map(|row| row as u32).collect(),
        ..StepInputs::default()
    };
    for &(cached, tokens) in spans {
        let blocks = (cached + tokens).div_ceil(16);
        step.sequences.push(SequenceSpan {
            tokens,
            cached,
            table_start: step.block_tables.len(),
            table_len: blocks,
        });
        step.block_tables.extend(0..blocks as u32);
    }
    step
}

impl Ready {
    /// Each stage's launches.
    fn launches<T: MatrixType>(&self, inputs: &StepInputs) -> Vec<(Work, Vec<Launch>)> {
        let extent = Extent::of(inputs);
        let widths = Widths {
            dim: self.plan.graph.layers.unwrap().1.dim,
            vocab: 320,
            changes: 1,
        };
        let step = Step {
            kernels: &self.kernels,
            plan: &self.plan,
            weights: &self.weights,
            buffers: &self.buffers,
            extent,
            layout: Layout::new(extent, widths),
            num_blocks: BLOCKS,
        };
        let stages = lower(&self.plan).unwrap();
        let of = |stage| step.launches::<T>(stage).unwrap();
        stages.iter().map(|s| (s.work, of(s))).collect()
    }

    /// The kernels that a step runs, in order.
    fn names<T: MatrixType>(&self, inputs: &StepInputs) -> Vec<&'static str> {
        let launches = self.launches::<T>(inputs).into_iter();
        let launches = launches.flat_map(|(_, launches)| launches);
        let name = |launch: Launch| self.kernels.entry(launch.function).unwrap().name;
        launches.map(name).collect()
    }
}

/// The kernels of a step of a model of two layers.
fn expected(
    embed: &'static str,
    layer: &[&'static str],
    end: &[&'static str],
) -> Vec<&'static str> {
    [&[embed], layer, layer, end].concat()
}

#[test]
fn a_decode_step_splits_attention_over_chunks() {
    let Some(ready) = ready(TIED, DType::F16) else {
        return;
    };
    // Two tokens of six heads of a group fit one tile of 16 rows.
    let layer = [
        "norm_linear_rope_append_f16_t8",
        "paged_attention_f16_d64",
        "linear_f16_t8",
        "norm_linear_silu_mul_f16_t8",
        "linear_f16_t8",
    ];
    let end = ["embed_f32", "rms_norm_f16", "linear_f16_t8"];
    let step = inputs(&[(300, 2), (0, 1)], 2);
    assert_eq!(
        ready.names::<f16>(&step),
        expected("embed_f16", &layer, &end)
    );
}

#[test]
fn a_prefill_takes_attention_by_tiles_and_products_of_many_tokens() {
    let Some(ready) = ready(UNTIED, DType::Bf16) else {
        return;
    };
    let layer = [
        "rms_norm_bf16",
        "linear_rope_append_bf16_t16",
        "flash_attention_bf16_d128",
        "linear_bf16_t16",
        "rms_norm_bf16",
        "linear_silu_mul_bf16_t16",
        "linear_bf16_t16",
    ];
    let end = ["embed_f32", "rms_norm_bf16", "linear_bf16_t8"];
    let step = inputs(&[(5, 13)], 1);
    assert_eq!(
        ready.names::<bf16>(&step),
        expected("embed_bf16", &layer, &end)
    );
    // In a step without logits nothing of the head runs.
    let step = inputs(&[(5, 13)], 0);
    assert_eq!(
        ready.names::<bf16>(&step),
        expected("embed_bf16", &layer, &[])
    );
}

#[test]
fn without_room_for_partial_results_attention_goes_the_other_way() {
    let Some(mut ready) = ready(TIED, DType::F16) else {
        return;
    };
    // One token, six heads, two chunks of 64 dims and their maximum and sum.
    let step = inputs(&[(300, 1)], 1);
    ready.buffers.partial_len = 6 * 2 * 66;
    let names = ready.names::<f16>(&step);
    assert!(names.contains(&"paged_attention_f16_d64"), "{names:?}");
    ready.buffers.partial_len -= 1;
    let names = ready.names::<f16>(&step);
    assert!(names.contains(&"flash_attention_f16_d64"), "{names:?}");
    assert!(!names.contains(&"paged_attention_f16_d64"), "{names:?}");
}

/// Where the pointer that is parameter `param` points to, and to how many bytes.
fn view(launch: &Launch, param: u32) -> (u64, u64) {
    let mut views = launch.args.views.iter();
    let view = views.find(|view| view.param == param).unwrap();
    (view.ptr.0, view.bytes)
}

fn last_two(launch: &Launch) -> [u32; 2] {
    let mut params = launch.args.views.iter().rev().map(|view| view.param);
    let last = params.next().unwrap();
    [params.next().unwrap(), last]
}

#[test]
fn each_layer_has_its_own_part_of_the_cache() {
    let Some(ready) = ready(TIED, DType::F16) else {
        return;
    };
    // 16 positions of one KV head of 64.
    let bytes = (BLOCKS * 16 * 64 * 2) as u64;
    let step = inputs(&[(0, 3)], 1);
    let mut seen = 0;
    for (work, launches) in ready.launches::<f16>(&step) {
        let (layer, params) = match work {
            // Keys and values are its last pointers.
            Work::LinearRopeAppend { layer, .. } => (layer, last_two(&launches[0])),
            Work::Attention { layer, .. } => (layer, [1, 2]),
            _ => continue,
        };
        let at = BUFFERS.cache.0 + 2 * layer as u64 * bytes;
        let found = params.map(|param| view(&launches[0], param));
        assert_eq!(found, [(at, bytes), (at + bytes, bytes)], "{work:?}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn every_activation_lies_in_the_arena_where_the_plan_has_it() {
    let Some(ready) = ready(TIED, DType::F16) else {
        return;
    };
    let step = inputs(&[(0, 3)], 2);
    let (start, end) = (
        BUFFERS.arena.0,
        BUFFERS.arena.0 + ready.plan.arena_bytes as u64,
    );
    let stages = lower(&ready.plan).unwrap();
    let mut outputs = 0;
    for (stage, (work, launches)) in stages.iter().zip(ready.launches::<f16>(&step)) {
        let at = start + ready.plan.offsets[stage.output.0] as u64;
        let views = launches.iter().flat_map(|launch| &launch.args.views);
        let in_arena = views.filter(|view| view.ptr.0 >> 32 == start >> 32);
        let in_arena: Vec<_> = in_arena.collect();
        assert!(
            in_arena.iter().all(|v| v.ptr.0 + v.bytes <= end),
            "{work:?}"
        );
        let spec = ready.plan.graph.tensors[stage.output.0];
        let rows = match spec.rows {
            qwarp::shape::Rows::Tokens => 3,
            qwarp::shape::Rows::Logits => 2,
        };
        let bytes = (rows * spec.row_bytes()) as u64;
        let writes = |view: &&&qwarp::driver::View| (view.ptr.0, view.bytes) == (at, bytes);
        outputs += usize::from(in_arena.iter().any(|view| writes(&view)));
    }
    assert_eq!(outputs, stages.len(), "stages that write their output");
}
