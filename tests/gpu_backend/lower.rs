//! From the plan's ops to stages.

use qwarp::DType;
use qwarp::backend::gpu::lower::{Stage, Work, lower};
use qwarp::graph::Plan;

use crate::{MAX_ROWS, TIED, graph, plan};

/// A stage in a word; a product with what it does beside the sum.
fn word(stage: &Stage) -> &'static str {
    match stage.work {
        Work::Embed { .. } => "embed",
        Work::RmsNorm { .. } => "norm",
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
        Work::LinearSiluMul { .. } => "silu product",
        Work::RopeAppend { .. } => "rope",
        Work::Attention { .. } => "attention",
        Work::SiluMul { .. } => "silu",
        Work::SelectRows { .. } => "select",
    }
}

fn words(plan: &Plan) -> Vec<&'static str> {
    lower(plan).iter().map(word).collect()
}

/// A layer whose SiLU is a stage of its own, or is not.
fn layers(inner: &[&'static str]) -> Vec<&'static str> {
    let layer = ["norm", "biased", "rope", "attention", "added", "norm"];
    let layer = [&layer, inner, &["added"]].concat();
    let ends: [&[&str]; 2] = [&["embed"], &["select", "norm", "plain"]];
    [ends[0], &layer, &layer, ends[1]].concat()
}

#[test]
fn a_fused_plan_has_one_stage_for_a_product_and_its_silu() {
    assert_eq!(words(&plan(TIED, DType::F16)), layers(&["silu product"]));
}

#[test]
fn a_plain_plan_has_a_stage_for_every_op() {
    let plain = Plan::new(graph(TIED, DType::F16), MAX_ROWS).unwrap();
    assert_eq!(words(&plain), layers(&["plain", "silu"]));
    let stages = lower(&plain);
    for (index, (stage, node)) in stages.iter().zip(plain.steps()).enumerate() {
        assert_eq!((stage.node, stage.output), (index, node.output));
    }
}

#[test]
fn a_fused_stage_reads_what_the_product_reads_and_writes_what_silu_writes() {
    let plan = plan(TIED, DType::F16);
    let stages = lower(&plan);
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
        let stages = lower(&plan(TIED, DType::F16));
        stages.iter().filter_map(|s| pick(&s.work)).collect()
    };
    let appended = layers(|work| match work {
        Work::RopeAppend { layer, .. } => Some(*layer),
        _ => None,
    });
    let attended = layers(|work| match work {
        Work::Attention { layer, .. } => Some(*layer),
        _ => None,
    });
    assert_eq!((appended, attended), (vec![0, 1], vec![0, 1]));
}
