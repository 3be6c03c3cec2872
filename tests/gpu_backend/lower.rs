//! From the plan's ops to stages.

use qwarp::DType;
use qwarp::backend::gpu::lower::{Stage, Work, lower};
use qwarp::graph::Plan;

use crate::{MAX_ROWS, TIED, graph, plan};

/// A stage in a word; a product with what it does beside the sum.
fn word(stage: &Stage) -> &'static str {
    match stage.work {
        Work::Embed { .. } => "embed",
        Work::RmsNorm(_) => "norm",
        Work::Linear {
            bias: Some(_),
            add: false,
            ..
        } => "biased",
        Work::Linear {
            bias: None,
            add: true,
            ..
        } => "added",
        Work::Linear {
            bias: None,
            add: false,
            ..
        } => "plain",
        Work::Linear { .. } => "biased and added",
        Work::LinearSiluMul { norm: None, .. } => "silu product",
        Work::LinearSiluMul { .. } => "norm and silu product",
        Work::LinearRopeAppend { norm: None, .. } => "rope product",
        Work::LinearRopeAppend { .. } => "norm and rope product",
        Work::Attention { .. } => "attention",
        Work::SiluMul { .. } => "silu",
        Work::SelectRows { .. } => "select",
    }
}

fn words(plan: &Plan) -> Vec<&'static str> {
    lower(plan).unwrap().iter().map(word).collect()
}

#[test]
fn a_fused_plan_has_five_stages_a_layer() {
    let layer = [
        "norm and rope product",
        "attention",
        "added",
        "norm and silu product",
        "added",
    ];
    let expected = [&["embed"], &layer[..], &layer, &["select", "norm", "plain"]].concat();
    assert_eq!(words(&plan(TIED, DType::F16)), expected);
}

#[test]
fn a_rotation_that_is_not_fused_is_refused() {
    let plain = Plan::new(graph(TIED, DType::F16), MAX_ROWS).unwrap();
    let error = lower(&plain).unwrap_err().to_string();
    assert!(error.contains("layer 0 rope"), "{error}");
}

#[test]
fn a_fused_stage_reads_what_the_product_reads_and_writes_what_silu_writes() {
    let plan = plan(TIED, DType::F16);
    let stages = lower(&plan).unwrap();
    let mut fused = 0;
    for stage in &stages {
        let node = &plan.steps()[stage.node];
        assert_eq!(stage.output, node.output, "{}", node.name);
        if let Work::LinearSiluMul { x, .. } = stage.work {
            assert_eq!(x, plan.steps()[stage.node - 1].inputs[0]);
            assert_eq!(node.name, format!("layer {fused} silu mul"));
            fused += 1;
        }
    }
    assert_eq!(fused, 2);
}

#[test]
fn layers_keep_their_numbers() {
    let layers = |pick: fn(&Work) -> Option<usize>| -> Vec<usize> {
        let stages = lower(&plan(TIED, DType::F16)).unwrap();
        stages.iter().filter_map(|s| pick(&s.work)).collect()
    };
    let appended = layers(|work| match work {
        Work::LinearRopeAppend { layer, .. } => Some(*layer),
        _ => None,
    });
    let attended = layers(|work| match work {
        Work::Attention { layer, .. } => Some(*layer),
        _ => None,
    });
    assert_eq!((appended, attended), (vec![0, 1], vec![0, 1]));
}
